#pragma once
// One thread with its loop, its listeners and everything it serves.

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "app/clients.h"
#include "app/gate.h"
#include "app/memory.h"
#include "app/sockets.h"
#include "app/spread.h"
#include "revproxyd/base/event.h"
#include "revproxyd/base/log_writer.h"
#include "revproxyd/base/metrics.h"
#include "revproxyd/base/task_group.h"
#include "revproxyd/net/descriptor.h"
#include "revproxyd/net/listener.h"
#include "revproxyd/net/loop.h"
#include "revproxyd/proxy/serve.h"
#include "revproxyd/tls/context.h"

namespace revproxyd::app {

/// What a worker listens on.
struct ListenerInstall {
  std::string identity;  // see listener_identity()
  std::shared_ptr<const proxy::ListenerSettings> settings;
  std::shared_ptr<const tls::ServerContext> tls;
  WorkerSockets sockets;  // of an address that is new to it, else none
  bool held = false;      // see BoundAddress; of an address that is new to it
};

/// A configuration on its way to a worker.
struct Installation {
  std::shared_ptr<const proxy::Plan> plan;
  std::vector<ListenerInstall> listeners;  // all of them: what is missing is closed
  Duration streams{0};                     // after it, exchanges of routes that are gone end
  std::shared_ptr<LogWriter> access_log;   // null: none
  std::uint64_t generation = 0;            // never 0 when it is installed
};

class Worker;

/// Shared by the workers of a process.
struct ProcessState {
  Gate gate;
  std::atomic<bool> shedding{false};
  FreedMemory freed;
  std::vector<Worker*> workers;         // complete before the first connection
  std::atomic<bool> passing_on{false};  // a worker may serve what another one has accepted
};

class Worker {
 public:
  Worker(std::size_t index, ProcessState& process, std::uint64_t seed);
  /// The thread has been asked to stop() and is joined here.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Called from the supervisor's thread; what they do happens on the worker.
  /// Calls `done` on the worker when the configuration is in force there, and the listeners that it
  /// does not have any more are closed, but for those that wait for descriptors for their queue.
  void install(Installation installation, std::function<void()> done);
  /// No new connections; those that are there finish what is under way. `done` runs on the worker
  /// when none is left.
  void drain(std::function<void()> done);
  /// The same without haste: clients are told to connect again before their connection ends, and
  /// another process accepts them. `closed` runs when this one accepts no more. `taken`: identities
  /// of the listeners that the other has; who waits at another one is served here.
  void hand_over(std::set<std::string> taken, std::function<void()> closed,
                 std::function<void()> done);
  /// Connections without a request end now, those with one after it.
  void hurry();
  /// Ends what is left at once.
  void cut();
  void stop();
  /// Waits for the end of the thread, which was asked to stop().
  void join();
  /// Gives back to the allocator what the thread keeps for later.
  void trim();
  /// The same with what it has not needed for a while. Call it once a second; while the worker has
  /// not come to it, no more than once counts.
  void scavenge();

  /// Listeners whose queue was lost with clients in it. Only after join().
  const std::set<std::string>& lost_queues() const noexcept { return lost_queues_; }

  const metrics::WorkerCounts& counts() const noexcept { return counts_; }
  const metrics::LoopCounts& loop_counts() const noexcept { return loop_counts_; }
  const std::string& thread_name() const noexcept { return name_; }

  /// How much of the last second or so its loop did not wait, in thousandths.
  std::uint32_t busy() const noexcept { return visible_.busy.load(std::memory_order_relaxed); }

  /// Asks for a sign of life; each one is answered once, in turn.
  void beat(TimePoint now);
  /// How many have been answered.
  std::uint64_t beats() const noexcept { return beats_.value(); }
  /// The one that is owed has been for too long, or no more.
  void set_stalled(bool stalled) noexcept { stalled_ = stalled; }
  metrics::LoopView loop_view(TimePoint now) const noexcept;

 private:
  struct Active;
  struct Passed {
    net::Accepted accepted;
    std::shared_ptr<const proxy::ListenerSettings> settings;
    std::shared_ptr<const tls::ServerContext> tls;
  };

  void run();
  void apply(Installation installation);
  /// A connection that was accepted under these settings would now be treated otherwise.
  bool outdated(const proxy::ListenerSettings& accepted) const;
  void retire_outdated();
  /// False when not all of it could be opened.
  bool open(const ListenerInstall& wanted);
  void forget_closing(const WorkerSockets& taken_back);
  void close_listener(Active& active);
  bool accept_rest(Active& active);
  void sweep_closed();
  Task<void> sweep_again();
  void stop_accepting();
  void begin_haste();
  Task<void> accept_loop(Active& active, net::Listener& listener);
  Task<void> wait_drained(std::function<void()> done);
  void start_client(net::Accepted accepted, const Active& active);
  Share share() const noexcept;
  Worker* one_with_less() noexcept;
  bool pass_on(Worker& other, net::Accepted& accepted, const Active& active);
  Task<void> serve_passed();
  void note_busy() noexcept;
  void flush_log();

  std::string name_;
  ProcessState& process_;
  std::uint64_t seed_;
  metrics::WorkerCounts counts_;
  metrics::LoopCounts loop_counts_;
  metrics::Counter beats_;
  TimePoint asked_{};     // for the last sign of life; of the supervisor's thread, as the next
  bool stalled_ = false;  // see set_stalled()
  std::atomic<bool> scavenging_{false};  // the loop has not come to it yet
  Visible visible_;

  // Of the worker's thread from here on.
  std::unique_ptr<net::Loop> loop_;
  proxy::Runtime runtime_;
  proxy::ConnectionList connections_list_;
  std::shared_ptr<LogWriter> log_writer_;
  std::unique_ptr<LogBatch> log_batch_;
  std::map<std::string, std::unique_ptr<Active>> listeners_;  // by identity
  std::vector<std::unique_ptr<Active>> closing_;              // see sweep_closed()
  std::vector<std::function<void()>> closed_;                 // called when none of these accepts
  std::set<std::string> lost_queues_;                         // names of listeners
  bool sweeping_ = false;                                     // sweep_again() is under way
  std::unique_ptr<Clients> clients_;
  Spread spread_;
  std::size_t compared_ = 0;   // the worker that was last compared with this one
  std::deque<Passed> passed_;  // by others, not served yet
  Event has_passed_;
  TimePoint busy_since_{};  // when the loop's busy time was last looked at
  std::uint64_t busy_then_us_ = 0;
  std::unique_ptr<TaskGroup> housekeeping_;
  std::unique_ptr<MemberTimer<Worker>> log_tick_;
  std::jthread thread_;
};

}  // namespace revproxyd::app

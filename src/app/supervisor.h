#pragma once
// The main thread: starts, reloads, replaces and stops what serves.

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/access_log.h"
#include "app/build.h"
#include "app/control.h"
#include "app/file_watch.h"
#include "app/logs.h"
#include "app/notify.h"
#include "app/sockets.h"
#include "app/successor.h"
#include "app/upgrade.h"
#include "app/upstream_watch.h"
#include "app/watchdog.h"
#include "app/worker.h"
#include "revproxyd/app/load.h"
#include "revproxyd/base/deadline.h"
#include "revproxyd/base/metrics.h"
#include "revproxyd/net/loop.h"
#include "revproxyd/net/signals.h"

namespace revproxyd::app {

/// How the process came to be.
struct Launch {
  /// Loads the configuration anew; empty when there is no file to load it from.
  std::function<LoadResult()> load;
  Program program;
  InheritedSockets inherited;
  bool strict = false;                   // warnings fail the start
  std::unique_ptr<Successor> successor;  // when it takes the place of another process
};

/// Made and run on the main thread.
class Supervisor {
 public:
  explicit Supervisor(Launch launch);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  /// Serves `settings` until told to stop; an exit code.
  int run(const Settings& settings);

 private:
  enum class Phase : std::uint8_t { starting, serving, upgrading, handed_over, stopping };
  enum class Cause : std::uint8_t { reload, certificates };  // asked for; files that have changed

  /// All that a configuration needs and that can fail to be had.
  struct Prepared {
    std::unique_ptr<Built> built;
    OpenLogs logs;
    ListeningSockets::Fresh fresh;
  };

  bool start_held(const Settings& settings);
  bool start(const Settings& settings);
  bool start_failed(const std::string& problem);
  bool make_workers();
  bool start_control(InheritedAdmin inherited);
  bool put_in_force_first(ListeningSockets::Fresh fresh);
  void wait_resolved();
  void begin_service();
  void on_signal(int number);
  Task<Verdict> execute(std::string verb);
  Task<bool> none_left(const std::size_t& count, Duration patience);
  Task<Verdict> reload_and_wait();
  Task<void> reload_by_signal();
  Verdict reload();
  Verdict attempt(Cause cause);
  Verdict load_and_apply();
  Verdict apply(Settings settings, Cause cause);
  Verdict put_in_force(Settings settings, Cause cause, Prepared prepared) noexcept;
  Verdict refuse(const std::string& why, Cause cause = Cause::reload);
  void count(Cause cause, bool ok);
  static std::string_view word(Cause cause) noexcept;
  void install(ListeningSockets::Fresh fresh);
  void installed();
  Task<Verdict> upgrade();
  Task<void> upgrade_by_signal();
  void hand_over(const Upgrade::Outcome& outcome);
  std::function<void()> drained(const Worker& worker);
  void begin_stop();
  void drain();
  void hurry();
  void tell_lost_queues() const;
  void finish_stop();
  void every_second();
  void drain_time_over();
  void cut();
  void give_up();
  void watch_files();
  std::string_view phase_word() const noexcept;
  void tell_ready(Urgency urgency = Urgency::usual);
  std::string stats() const;

  net::Loop loop_;
  Launch launch_;
  ProcessState process_;
  metrics::ProcessCounts counts_;
  std::shared_ptr<tls::TicketKeys> tickets_;
  Settings settings_;
  std::unique_ptr<Built> built_;
  std::deque<std::shared_ptr<const proxy::Plan>>
      retired_;  // so that the last reference is dropped here
  std::unique_ptr<ListeningSockets> sockets_;
  AccessLog access_log_;
  std::vector<std::unique_ptr<Worker>> workers_;
  UpstreamWatch upstreams_;
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<net::Signals> signals_;
  std::unique_ptr<Watchdog> watchdog_;
  Upgrade upgrade_;
  TaskGroup jobs_;
  MemberTimer<Supervisor> second_;
  MemberTimer<Supervisor> drain_;
  const TimePoint started_ = Clock::now();
  std::uint64_t generation_ = 0;
  bool reload_asked_ = false;  // by signals, and has yet to begin
  bool ready_untold_ = false;  // the service manager did not take that this process is ready
  std::size_t pending_ = 0;    // installations that workers have not put in force yet
  std::vector<std::string> in_force_;    // what is logged of them then
  std::vector<const Worker*> draining_;  // workers that still serve at the end
  std::size_t accepting_ = 0;            // and those that still accept
  std::size_t seconds_ = 0;
  FileWatch files_;
  std::string problem_;   // why the start has failed
  int failure_;           // and what to end with then
  bool hurried_ = false;  // after an upgrade: connections without a request have ended
  bool cut_ = false;      // what was left was ended
  Phase phase_ = Phase::starting;
};

}  // namespace revproxyd::app

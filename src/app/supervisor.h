#pragma once
// The main thread: starts, reloads and stops what serves.

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/build.h"
#include "app/control.h"
#include "app/sockets.h"
#include "app/upstream_watch.h"
#include "app/worker.h"
#include "revproxyd/app/load.h"
#include "revproxyd/base/deadline.h"
#include "revproxyd/base/log_writer.h"
#include "revproxyd/base/metrics.h"
#include "revproxyd/net/loop.h"
#include "revproxyd/net/signals.h"

namespace revproxyd::app {

/// Made and run on the main thread.
class Supervisor {
 public:
  /// Loads the configuration anew; empty when there is no file to load it from.
  using Load = std::function<LoadResult()>;

  explicit Supervisor(Load reload);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  /// Serves `settings` until told to stop; an exit code.
  int run(const Settings& settings);

 private:
  bool start(const Settings& settings);
  void make_workers();
  bool start_control();
  void wait_resolved();
  void on_signal(int number);
  Task<Verdict> execute(std::string verb);
  Task<Verdict> reload_and_wait();
  Verdict reload();
  Verdict apply(Settings settings, const std::string& what);
  Verdict refuse(const std::string& what);
  enum class Ports : std::uint8_t { chosen, fixed };  // by the kernel, by the configuration
  bool bind_new(Settings& settings, Ports ports, std::map<std::string, BoundAddress>& fresh,
                std::string& problem);
  bool open_logs(const Settings& settings, std::shared_ptr<LogWriter>& access_log,
                 std::string& problem);
  bool listens_on(std::uint16_t port, const std::map<std::string, BoundAddress>& fresh) const;
  void install(std::map<std::string, BoundAddress> fresh);
  void installed();
  void reopen_logs();
  void begin_stop();
  void finish_stop();
  void every_second();
  void cut();
  void watch_files();
  std::string stats() const;

  net::Loop loop_;
  Load reload_;
  ProcessState process_;
  metrics::ProcessCounts counts_;
  std::shared_ptr<tls::TicketKeys> tickets_;
  Settings settings_;
  std::unique_ptr<Built> built_;
  std::deque<std::shared_ptr<const proxy::Plan>>
      retired_;  // so that the last reference is dropped here
  struct Bound {
    std::string where;
    std::uint16_t port = 0;
  };
  std::map<std::string, Bound> bound_;  // by identity
  std::shared_ptr<LogWriter> access_log_;
  std::vector<std::unique_ptr<Worker>> workers_;
  UpstreamWatch upstreams_;
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<net::Signals> signals_;
  MemberTimer<Supervisor> second_;
  MemberTimer<Supervisor> drain_;
  std::uint64_t generation_ = 0;
  std::size_t pending_ = 0;            // installations that workers have not put in force yet
  std::vector<std::string> in_force_;  // what is logged of them then
  std::size_t draining_ = 0;           // workers that still serve after begin_stop()
  std::size_t seconds_ = 0;
  std::string watched_;   // signature of the watched files
  std::string settling_;  // a new one that must be seen twice: a file may be half written
  bool stopping_ = false;
};

}  // namespace revproxyd::app

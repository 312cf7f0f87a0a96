#pragma once
// Sees to it that every worker turns, and tells the service manager only while that is so.

#include <memory>
#include <vector>

#include "app/worker.h"
#include "revproxyd/base/deadline.h"

namespace revproxyd::app {

/// On the main thread, beside workers that stay until stop(). Each is asked for a sign of life in
/// turn; one that owes it for too long is stalled, which is logged as an error with its name.
class Watchdog {
 public:
  /// A worker that answers later is stalled; half of the service manager's time where that is less.
  static constexpr Duration kStalled{5000};
  /// How often is looked; a quarter of the service manager's time where that is less.
  static constexpr Duration kLook{1000};

  explicit Watchdog(const std::vector<std::unique_ptr<Worker>>& workers);

  void start();
  void stop() noexcept { timer_.disarm(); }
  /// The service manager hears of another process from now on; the log goes on hearing of this one.
  void leave_manager() noexcept { manager_ = Duration::zero(); }
  /// No worker is stalled.
  bool all_turn() const noexcept { return stalled_ == 0; }

 private:
  struct Watched {
    std::uint64_t asked = 0;
    std::uint64_t long_turns = 0;  // as told last
    TimePoint since;               // when the beat that is owed was asked for
    bool stalled = false;
  };
  void look();
  void look_at(Worker& worker, Watched& watched, TimePoint now);
  static void tell_lag(const Worker& worker, Watched& watched);

  const std::vector<std::unique_ptr<Worker>>& workers_;
  std::vector<Watched> watched_;
  Duration manager_;  // the service manager's time; zero: it does not watch
  Duration patience_;
  Duration period_;
  std::size_t stalled_ = 0;
  MemberTimer<Watchdog> timer_;
};

}  // namespace revproxyd::app

#include "app/watchdog.h"

#include <algorithm>
#include <chrono>

#include "app/notify.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/base/log.h"

namespace revproxyd::app {

namespace {

constexpr Duration kLeast{10};

// Half of the manager's time is its own advice; a beat may be owed when it is asked for anew.
Duration fraction(Duration of_manager, int part, Duration otherwise) {
  if (of_manager == Duration::zero()) return otherwise;
  return std::clamp(of_manager / part, kLeast, otherwise);
}

}  // namespace

Watchdog::Watchdog(const std::vector<std::unique_ptr<Worker>>& workers)
    : workers_(workers),
      manager_(watchdog_time()),
      patience_(fraction(manager_, 2, kStalled)),
      period_(fraction(manager_, 4, kLook)),
      timer_(*this, &Watchdog::look) {}

void Watchdog::start() {
  watched_.assign(workers_.size(), Watched{});
  look();
}

void Watchdog::look() {
  timer_.arm(period_);
  const TimePoint now = Clock::now();
  for (std::size_t i = 0; i < workers_.size(); ++i) look_at(*workers_[i], watched_[i], now);
  if (all_turn() && manager_ != Duration::zero())
    notify_service_manager("WATCHDOG=1", Urgency::passing);
}

void Watchdog::look_at(Worker& worker, Watched& watched, TimePoint now) {
  tell_lag(worker, watched);
  if (worker.beats() == watched.asked) {
    if (watched.stalled) {
      watched.stalled = false;
      worker.set_stalled(false);
      --stalled_;
      log::Line(log::Level::warn) << worker.thread_name() << ": turns again";
    }
    ++watched.asked;
    watched.since = now;
    worker.beat(now);
    return;
  }
  if (watched.stalled || now - watched.since < patience_) return;
  watched.stalled = true;
  worker.set_stalled(true);
  ++stalled_;
  log::Line(log::Level::error) << worker.thread_name() << ": stalled, its loop has not turned for "
                               << std::chrono::duration_cast<Duration>(now - watched.since);
}

void Watchdog::tell_lag(const Worker& worker, Watched& watched) {
  const metrics::LoopCounts& counts = worker.loop_counts();
  const std::uint64_t turns = counts.long_turns.value();
  if (turns == watched.long_turns) return;
  watched.long_turns = turns;
  log::Line(log::Level::warn) << worker.thread_name() << ": a turn of its loop took "
                              << counts.long_turn_us.value() / 1000 << " ms";
}

}  // namespace revproxyd::app

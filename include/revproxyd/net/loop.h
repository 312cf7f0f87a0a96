#pragma once
// A thread's event loop: the poller for traffic, the ready queue and the timer wheel, and
// Boost.Asio's io_context for what is rare (posts from other threads, signals).

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "revproxyd/base/metrics.h"
#include "revproxyd/base/units.h"

namespace boost::asio {
class io_context;
}

namespace revproxyd::net {

class Poller;

/// Version of the library below, for -V.
std::string loop_library_version();

/// Made, run and destroyed on one thread; post() and stop() may be called from any. What they
/// posted may end the loop before they have returned: its destructor waits for them.
class Loop {
 public:
  /// Throws std::system_error when there is no descriptor or memory for it.
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// The loop of the calling thread while it runs (or between enter() and its end in tests).
  static Loop& current() noexcept;
  /// This is the calling thread's.
  bool is_current() const noexcept;

  /// Runs until stop(). What was posted before still runs.
  void run();
  /// Runs what is ready; when nothing is, waits at most `limit` for the first event. For tests and
  /// for draining at the end.
  void run_for(Duration limit);
  void stop() noexcept;

  /// Runs `function` on the loop's thread, in the order of posting.
  void post(std::function<void()> function);

  /// Busy time and long turns are counted there, as long as the loop lives.
  void measure(metrics::LoopCounts& counts) noexcept { counts_ = &counts; }

  Poller& poller() noexcept { return *poller_; }
  /// For objects that wait by Asio: from now on the loop waits in it, with the poller nested, which
  /// costs each wait some system calls more. Only for a loop without traffic.
  boost::asio::io_context& context() noexcept;

 private:
  struct Asio;
  struct Doorbell;
  void arm_poller();
  bool turn();
  bool batch(Duration wait);
  void arm_timer();
  Duration until_timer(Duration most) const noexcept;
  void note_long(Duration over) noexcept;
  void note_busy(TimePoint until) noexcept;

  std::unique_ptr<Poller> poller_;
  std::unique_ptr<Asio> asio_;
  std::unique_ptr<Doorbell> doorbell_;
  metrics::LoopCounts* counts_ = nullptr;
  TimePoint awake_ = Clock::now();        // since when it has not waited
  Clock::duration uncounted_{};           // of the time before that, less than a microsecond
  TimePoint allowed_ = TimePoint::max();  // when the batch that runs begins to be a long one
  std::atomic<int> posting_ = 0;          // calls of post() under way
  bool stopped_ = false;
};

}  // namespace revproxyd::net

#pragma once
// Time on a coarse wheel of the thread: arming costs a few nanoseconds, firing is up to one tick
// late and never early.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "revproxyd/base/cancel.h"
#include "revproxyd/base/units.h"

namespace revproxyd {

/// A node of the thread's TimerWheel. Destroying it disarms it. Subclasses say what firing does.
class Timer {
 public:
  Timer() noexcept = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Fires `after` from now, replacing what was armed. Any thread's wheel is that of the calling
  /// thread.
  void arm(Duration after) noexcept;
  void disarm() noexcept;
  bool armed() const noexcept { return slot_ != nullptr; }

 protected:
  virtual ~Timer() { disarm(); }
  /// Runs on the loop, disarmed; may arm again. Must not block and must not destroy other timers'
  /// owners inline.
  virtual void fire() noexcept = 0;

 private:
  friend class TimerWheel;
  Timer** slot_ = nullptr;  // head of the list it is in
  Timer* previous_ = nullptr;
  Timer* next_ = nullptr;
  std::uint64_t tick_ = 0;
};

/// Four levels of slots over 10 ms ticks; one a thread. The loop advances it once per batch of
/// events.
class TimerWheel {
 public:
  static constexpr std::chrono::milliseconds kTick{10};
  static TimerWheel& current() noexcept;
  TimerWheel() noexcept;

  /// What the thread takes for now from here on; fires nothing.
  void set_now(TimePoint now) noexcept { now_ = std::max(now, now_); }
  /// The thread was held up until `now`, and could not look at what came: that time counts for no
  /// timer that is armed, and what is armed now counts from here.
  void excuse_until(TimePoint now) noexcept {
    start_ += std::max(now, now_) - now_;
    set_now(now);
  }
  /// Fires everything due at `now`.
  void advance(TimePoint now) noexcept;
  /// The time as of the last advance(): what the thread takes for now.
  TimePoint now() const noexcept { return now_; }
  /// When advance() should run next at the latest; nothing when no timer is armed. May be early,
  /// never late.
  std::optional<TimePoint> next() const noexcept;

 private:
  friend class Timer;
  static constexpr std::size_t kLevels = 4;
  static constexpr std::size_t kBits = 6;
  static constexpr std::size_t kSlots = 1 << kBits;

  void place(Timer& timer) noexcept;
  void take_out(Timer& timer) noexcept;
  std::uint64_t next_tick() const noexcept;
  void cascade() noexcept;
  void run_slot() noexcept;

  std::array<std::array<Timer*, kSlots>, kLevels> slots_{};
  std::array<std::uint64_t, kLevels> occupied_{};
  TimePoint start_;
  TimePoint now_;
  std::uint64_t tick_ = 0;
};

/// The time of the running batch; no system call.
inline TimePoint loop_now() noexcept { return TimerWheel::current().now(); }

/// How long ago, by that time.
inline Duration since(TimePoint begun) noexcept {
  return std::chrono::duration_cast<Duration>(loop_now() - begun);
}

/// Cancels a scope with a reason when its time comes.
class Deadline final : public Timer {
 public:
  explicit Deadline(CancelScope& scope) noexcept : scope_(scope) {}
  /// Zero or less disarms: such a limit is not set.
  void set(Duration after, Code reason) noexcept {
    reason_ = reason;
    if (after.count() > 0) {
      arm(after);
    } else {
      disarm();
    }
  }

 private:
  void fire() noexcept override { scope_.cancel(reason_); }
  CancelScope& scope_;
  Code reason_ = Code::cancelled;
};

/// Calls a member of its owner, which outlives it.
template <typename Owner>
class MemberTimer final : public Timer {
 public:
  MemberTimer(Owner& owner, void (Owner::*call)()) noexcept : owner_(owner), call_(call) {}

 private:
  void fire() noexcept override { (owner_.*call_)(); }
  Owner& owner_;
  void (Owner::*call_)();
};

/// `co_await Sleep(10ms);` Code::none when the time has passed, else the reason of the scope.
class Sleep final : public Timer, public Waiter {
 public:
  explicit Sleep(Duration time) noexcept : time_(time) {}
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    if (!begin(handle, handle.promise().scope)) return false;
    arm(time_);
    return true;
  }
  Code await_resume() noexcept {
    disarm();
    return reason();
  }

 private:
  void fire() noexcept override { wake(); }
  Duration time_;
};

}  // namespace revproxyd

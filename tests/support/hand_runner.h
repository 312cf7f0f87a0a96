#pragma once
// Runs coroutines by hand: nothing happens but inside these calls, and time passes only when the
// test says so.

#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>
#include <utility>

#include <gtest/gtest.h>

#include "revproxyd/base/deadline.h"
#include "revproxyd/base/ready_queue.h"
#include "revproxyd/base/task.h"
#include "revproxyd/base/task_group.h"

namespace revproxyd::test {

/// One at a time on a thread. Its end cancels what still runs, and gives the thread's timer wheel
/// its true time back.
class HandRunner {
 public:
  HandRunner() = default;
  HandRunner(const HandRunner&) = delete;
  HandRunner& operator=(const HandRunner&) = delete;
  ~HandRunner() {
    stop();
    TimerWheel::current() = TimerWheel();
  }

  /// Cancels what runs and waits for it. For the end of a test whose objects go before this one.
  void stop() {
    tasks_.cancel(Code::cancelled);
    settle();
    for (int seconds = 0; tasks_.size() != 0 && seconds < 10; ++seconds)
      pass(std::chrono::seconds(1));
    if (tasks_.size() == 0) return;
    std::fputs("a cancelled task did not end\n", stderr);
    std::terminate();
  }

  void spawn(Task<void> task) {
    tasks_.spawn(std::move(task));
    settle();
  }
  /// As spawn(), without waiting for rest: for tasks that always have something to do.
  void launch(Task<void> task) { tasks_.spawn(std::move(task)); }
  /// The result of `task`, which must end without the passing of time.
  template <typename T>
  T run(Task<T> task) {
    std::optional<T> result;
    tasks_.spawn(keep(std::move(task), result));
    settle();
    EXPECT_TRUE(result.has_value()) << "the task still waits";
    return std::move(*result);
  }
  /// Starts `task`; `result` is filled when it ends.
  template <typename T>
  void start(Task<T> task, std::optional<T>& result) {
    tasks_.spawn(keep(std::move(task), result));
    settle();
  }
  /// Until every coroutine waits for something outside.
  void settle() {
    std::size_t rounds = 0;
    while (ReadyQueue::current().run(64)) {
      if (++rounds == 100'000) {
        ADD_FAILURE() << "coroutines never come to rest";
        return;
      }
    }
  }
  /// At most so many resumptions; true when more is ready.
  bool step(std::size_t resumptions) { return ReadyQueue::current().run(resumptions); }
  /// Lets time pass in ticks of the wheel, two more than asked for because timers fire late rather
  /// than early.
  void pass(Duration time) {
    TimerWheel& wheel = TimerWheel::current();
    for (Duration left = time + 2 * TimerWheel::kTick; left.count() > 0;
         left -= TimerWheel::kTick) {
      wheel.advance(wheel.now() + TimerWheel::kTick);
      settle();
    }
  }
  /// Tasks that have not ended.
  std::size_t running() const noexcept { return tasks_.size(); }
  CancelScope& scope() noexcept { return tasks_.scope(); }
  void cancel(Code reason) {
    tasks_.cancel(reason);
    settle();
  }

 private:
  template <typename T>
  static Task<void> keep(Task<T> task, std::optional<T>& out) {
    auto value = co_await std::move(task);
    out.emplace(std::move(value));
  }

  TaskGroup tasks_;
};

}  // namespace revproxyd::test

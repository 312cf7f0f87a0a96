#pragma once
// Runs coroutines of a test to their end on a loop of the test's thread.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

#include "revproxyd/base/deadline.h"
#include "revproxyd/base/task.h"
#include "revproxyd/base/task_group.h"
#include "revproxyd/net/loop.h"

namespace revproxyd::test {

/// A loop and a way to wait for a task on it. A test has at most one at a time on a thread.
class LoopRunner {
 public:
  net::Loop& loop() noexcept { return loop_; }

  /// The result of `task`. After `limit` the test fails and the task is cancelled; one that does
  /// not end then ends the process.
  template <typename T>
  T run(Task<T> task, Duration limit = std::chrono::seconds(5)) {
    TimerWheel::current().advance(
        Clock::now());  // the test may have taken its time since the last turn
    TaskGroup group;
    if constexpr (std::is_void_v<T>) {
      group.spawn(std::move(task));
      wait(group, limit);
    } else {
      std::optional<T> result;
      group.spawn(keep<T>(std::move(task), result));
      wait(group, limit);
      return std::move(*result);
    }
  }

  /// Runs the loop until `condition()` holds; false when it does not within `limit`.
  template <typename Condition>
  bool run_until(Condition condition, Duration limit = std::chrono::seconds(5)) {
    const TimePoint end = Clock::now() + limit;
    while (!condition()) {
      const TimePoint now = Clock::now();
      if (now >= end) return false;
      const auto left = std::chrono::duration_cast<Duration>(end - now);
      loop_.run_for(std::clamp(left, Duration(1), Duration(50)));
    }
    return true;
  }

 private:
  template <typename T>
  static Task<void> keep(Task<T> task, std::optional<T>& out) {
    auto value = co_await std::move(task);
    out.emplace(std::move(value));
  }

  void wait(TaskGroup& group, Duration limit) {
    const auto ended = [&group] { return group.size() == 0; };
    if (run_until(ended, limit)) return;
    ADD_FAILURE() << "the task did not end within " << limit.count() << " ms";
    group.cancel(Code::cancelled);
    if (run_until(ended, std::chrono::seconds(2))) return;
    std::fputs("a cancelled task did not end\n", stderr);
    std::terminate();
  }

  net::Loop loop_;
};

/// Runs `task` on a loop of its own. What the task uses of a loop must be made inside it.
template <typename T>
T run(Task<T> task, Duration limit = std::chrono::seconds(5)) {
  LoopRunner runner;
  return runner.run(std::move(task), limit);
}

}  // namespace revproxyd::test

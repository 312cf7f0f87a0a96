#pragma once
// Waiting for what other threads and processes do.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>

namespace revproxyd::testing {

using Milliseconds = std::chrono::milliseconds;

/// How long a test waits for what must come. Only a failing test waits so long.
inline constexpr Milliseconds kPatience{10000};

/// Asks again and again until `holds` says yes; false when `patience` is over first.
bool wait_until(const std::function<bool()>& holds, Milliseconds patience = kPatience);

/// Closed until somebody opens it; stays open.
class Gate {
 public:
  void open();
  /// False when it is still closed after `patience`.
  bool wait(Milliseconds patience = kPatience);
  bool is_open() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

/// Milliseconds since this object was made.
class Stopwatch {
 public:
  Milliseconds elapsed() const {
    return std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - begun_);
  }

 private:
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

}  // namespace revproxyd::testing

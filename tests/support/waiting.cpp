#include "tests/support/waiting.h"

#include <thread>

namespace revproxyd::testing {

bool wait_until(const std::function<bool()>& holds, Milliseconds patience) {
  const Stopwatch watch;
  while (!holds()) {
    if (watch.elapsed() > patience) return false;
    std::this_thread::sleep_for(Milliseconds(5));
  }
  return true;
}

void Gate::open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
  changed_.notify_all();
}

bool Gate::wait(Milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [this] { return open_; });
}

bool Gate::is_open() const {
  const std::lock_guard lock(mutex_);
  return open_;
}

}  // namespace revproxyd::testing

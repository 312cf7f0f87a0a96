#include "revproxyd/net/readiness.h"

#include <chrono>

namespace revproxyd::net {

void Readiness::notify(bool input, bool output, bool ended) noexcept {
  if (ended) hangup = true;
  if (output || ended) {
    writable = true;
    if (!wake_for(Want::write) && watcher_ != nullptr) watcher_->on_output();
  }
  if (!input && !ended) return;
  readable = true;
  if (!wake_for(Want::read) && watcher_ != nullptr) watcher_->on_input();
}

// False when no coroutine waits for it.
bool Readiness::wake_for(Want want) noexcept {
  bool any = false;
  for (Wait* const wait : {reader_, writer_}) {
    if (wait == nullptr || wait->want_ != want) continue;
    wait->wake();
    any = true;
  }
  return any;
}

void Readiness::IoTimer::set(Duration after, Code code) noexcept {
  expired = Code::none;
  code_ = code;
  due_ = after.count() > 0 ? loop_now() + after : TimePoint::max();
  if (due_ == TimePoint::max() || (armed() && wakes_ <= due_)) return;
  wakes_ = due_;
  arm(after);
}

void Readiness::IoTimer::fire() noexcept {
  if (due_ == TimePoint::max()) return;
  const auto left = std::chrono::ceil<Duration>(due_ - loop_now());
  if (left.count() > 0) {
    wakes_ = due_;
    arm(left);
    return;
  }
  expired = code_;
  const bool reads = this == &owner_.read_timer_;
  Wait* wait = reads ? owner_.reader_ : owner_.writer_;
  if (wait != nullptr) {
    wait->wake(code_);
  } else if (reads && owner_.watcher_ != nullptr) {
    owner_.watcher_->on_expired();
  }
}

}  // namespace revproxyd::net

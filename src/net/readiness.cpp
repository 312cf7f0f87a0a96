#include "revproxyd/net/readiness.h"

namespace revproxyd::net {

void Readiness::notify(bool input, bool output, bool ended) noexcept {
  if (ended) hangup = true;
  if (output || ended) {
    writable = true;
    if (writer_ != nullptr) writer_->wake();
  }
  if (!input && !ended) return;
  readable = true;
  if (reader_ != nullptr) {
    reader_->wake();
  } else if (watcher_ != nullptr) {
    watcher_->on_input();
  }
}

void Readiness::IoTimer::set(Duration after, Code code) noexcept {
  expired = Code::none;
  code_ = code;
  if (after.count() > 0) {
    arm(after);
  } else {
    disarm();
  }
}

void Readiness::IoTimer::fire() noexcept {
  expired = code_;
  Wait* wait = this == &owner_.read_timer_ ? owner_.reader_ : owner_.writer_;
  if (wait != nullptr) wait->wake(code_);
}

}  // namespace revproxyd::net

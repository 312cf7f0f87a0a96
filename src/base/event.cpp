#include "revproxyd/base/event.h"

namespace revproxyd {

void Event::set() noexcept {
  set_ = true;
  for (Wait* wait = head_; wait != nullptr; wait = wait->next_) wait->wake();
}

void Event::Wait::link() noexcept {
  previous_ = event_.tail_;
  next_ = nullptr;
  if (previous_ != nullptr) {
    previous_->next_ = this;
  } else {
    event_.head_ = this;
  }
  event_.tail_ = this;
  linked_ = true;
}

void Event::Wait::unlink() noexcept {
  if (!linked_) return;
  linked_ = false;
  if (previous_ != nullptr) {
    previous_->next_ = next_;
  } else {
    event_.head_ = next_;
  }
  if (next_ != nullptr) {
    next_->previous_ = previous_;
  } else {
    event_.tail_ = previous_;
  }
}

}  // namespace revproxyd

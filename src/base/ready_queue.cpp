#include "revproxyd/base/ready_queue.h"

#include <utility>

namespace revproxyd {

constinit thread_local ReadyQueue ReadyQueue::instance_;

void ReadyQueue::push(Waiter& waiter) noexcept {
  waiter.next_ready_ = nullptr;
  if (tail_ != nullptr) {
    tail_->next_ready_ = &waiter;
  } else {
    head_ = &waiter;
  }
  tail_ = &waiter;
}

bool ReadyQueue::run(std::size_t limit) noexcept {
  for (; head_ != nullptr && limit != 0; --limit) {
    Waiter* waiter = head_;
    head_ = waiter->next_ready_;
    if (head_ == nullptr) tail_ = nullptr;
    waiter->state_ = Waiter::State::idle;
    refill();
    waiter->handle_.resume();
  }
  refill();
  return head_ != nullptr;
}

}  // namespace revproxyd

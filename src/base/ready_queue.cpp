#include "revproxyd/base/ready_queue.h"

#include <utility>

namespace revproxyd {

namespace {
// Runs of coroutines that always have something to do before the turn ends all the same.
constexpr std::uint32_t kMostRuns = 4;
}  // namespace

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
  if (head_ == nullptr || ++runs_ >= kMostRuns) end_turn();
  return !empty();
}

void ReadyQueue::end_turn() noexcept {
  runs_ = 0;
  // Those that ask again meanwhile are for the next turn.
  for (std::size_t left = ends_; left != 0 && ends_head_ != nullptr; --left) {
    TurnEnd& one = *ends_head_;
    one.forget();
    one.on_turn_end();
  }
}

void TurnEnd::at_turn_end() noexcept {
  if (asked_) return;
  asked_ = true;
  auto& queue = ReadyQueue::current();
  ++queue.ends_;
  previous_ = queue.ends_tail_;
  next_ = nullptr;
  (previous_ != nullptr ? previous_->next_ : queue.ends_head_) = this;
  queue.ends_tail_ = this;
}

void TurnEnd::forget() noexcept {
  if (!asked_) return;
  asked_ = false;
  auto& queue = ReadyQueue::current();
  --queue.ends_;
  (previous_ != nullptr ? previous_->next_ : queue.ends_head_) = next_;
  (next_ != nullptr ? next_->previous_ : queue.ends_tail_) = previous_;
}

}  // namespace revproxyd

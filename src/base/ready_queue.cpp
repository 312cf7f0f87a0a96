#include "revproxyd/base/ready_queue.h"

#include <algorithm>
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

// Late work before prompt: what it has to send goes out with the rest.
void ReadyQueue::end_turn() noexcept {
  runs_ = 0;
  Asked& first = list_of(TurnEnd::Kind::costly_first);
  Asked& usual = list_of(TurnEnd::Kind::costly);
  const std::size_t kept = usual.size != 0 ? 1 : 0;
  const std::size_t ahead = std::min(limits::kTurnCostly - kept, first.size);
  const std::size_t behind = std::min(limits::kTurnCostly - ahead, usual.size);
  costly_left_ = limits::kTurnCostly - ahead - behind;
  work(first, ahead);
  work(usual, behind);
  work(list_of(TurnEnd::Kind::late), limits::kTurnLate);
  Asked& prompt = list_of(TurnEnd::Kind::prompt);
  work(prompt, prompt.size);
}

// Those that ask again meanwhile are for the next turn.
void ReadyQueue::work(Asked& list, std::size_t most) noexcept {
  for (std::size_t left = std::min(most, list.size); left != 0 && list.head != nullptr; --left) {
    TurnEnd& one = *list.head;
    one.forget();
    one.on_turn_end();
  }
}

void TurnEnd::at_turn_end() noexcept {
  if (asked_) return;
  asked_ = true;
  auto& list = ReadyQueue::current().list_of(kind_);
  ++list.size;
  previous_ = list.tail;
  next_ = nullptr;
  (previous_ != nullptr ? previous_->next_ : list.head) = this;
  list.tail = this;
}

void TurnEnd::forget() noexcept {
  if (!asked_) return;
  asked_ = false;
  auto& list = ReadyQueue::current().list_of(kind_);
  --list.size;
  (previous_ != nullptr ? previous_->next_ : list.head) = next_;
  (next_ != nullptr ? next_->previous_ : list.tail) = previous_;
}

}  // namespace revproxyd

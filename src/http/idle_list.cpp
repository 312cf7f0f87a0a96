#include "revproxyd/http/idle_list.h"

#include "revproxyd/base/limits.h"

namespace revproxyd::http {

void IdleList::Entry::enter(IdleList* list) noexcept {
  if (list == nullptr) return;
  list_ = list;
  since_ = loop_now();
  previous_ = list->tail_;
  next_ = nullptr;
  (previous_ != nullptr ? previous_->next_ : list->head_) = this;
  list->tail_ = this;
  if (++list->size_ > limits::kMostAwake) list->rest_first();
  if (!list->tick_.armed()) list->tick_.arm(limits::kRestAfter);
}

void IdleList::Entry::leave() noexcept {
  if (list_ == nullptr) return;
  (previous_ != nullptr ? previous_->next_ : list_->head_) = next_;
  (next_ != nullptr ? next_->previous_ : list_->tail_) = previous_;
  --list_->size_;
  list_ = nullptr;
}

void IdleList::rest_first() noexcept {
  Entry* first = head_;
  first->leave();
  first->on_long_idle();
}

// Up to one more period late, so that the timer is not set for each connection.
void IdleList::rest_old() {
  while (head_ != nullptr && since(head_->since_) >= limits::kRestAfter) rest_first();
  if (head_ != nullptr) tick_.arm(limits::kRestAfter);
}

}  // namespace revproxyd::http

#include "revproxyd/base/cancel.h"

#include <cassert>

#include "revproxyd/base/ready_queue.h"

namespace revproxyd {

void Waiter::wake(Code reason) noexcept {
  if (state_ != State::waiting) return;
  leave_scope();
  state_ = State::queued;
  reason_ = reason;
  ReadyQueue::current().push(*this);
}

bool Waiter::begin(std::coroutine_handle<> handle, CancelScope* scope) noexcept {
  assert(state_ == State::idle);
  reason_ = Code::none;
  if (scope != nullptr) {
    if (scope->cancelled()) {
      reason_ = scope->reason();
      return false;
    }
    scope_ = scope;
    next_ = scope->waiters_;
    previous_ = nullptr;
    if (next_ != nullptr) next_->previous_ = this;
    scope->waiters_ = this;
  }
  handle_ = handle;
  state_ = State::waiting;
  return true;
}

void Waiter::leave_scope() noexcept {
  if (scope_ == nullptr) return;
  if (previous_ != nullptr) {
    previous_->next_ = next_;
  } else {
    scope_->waiters_ = next_;
  }
  if (next_ != nullptr) next_->previous_ = previous_;
  scope_ = nullptr;
  previous_ = next_ = nullptr;
}

CancelScope::CancelScope(CancelScope* parent) noexcept : parent_(parent) {
  if (parent == nullptr) return;
  reason_ = parent->reason_;
  next_ = parent->children_;
  if (next_ != nullptr) next_->previous_ = this;
  parent->children_ = this;
}

CancelScope::~CancelScope() {
  assert(waiters_ == nullptr && children_ == nullptr);
  if (parent_ == nullptr) return;
  if (previous_ != nullptr) {
    previous_->next_ = next_;
  } else {
    parent_->children_ = next_;
  }
  if (next_ != nullptr) next_->previous_ = previous_;
}

void CancelScope::cancel(Code reason) noexcept {
  if (cancelled()) return;
  reason_ = reason;
  while (waiters_ != nullptr) waiters_->wake(reason);
  for (CancelScope* child = children_; child != nullptr; child = child->next_)
    child->cancel(reason);
}

}  // namespace revproxyd

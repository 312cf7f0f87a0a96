#pragma once
// The coroutines of a thread that may go on, in the order they were woken, and the budget that
// keeps them fair.

#include <cstddef>

#include "revproxyd/base/cancel.h"
#include "revproxyd/base/limits.h"

namespace revproxyd {

/// One per thread. Every wake-up passes through it, which bounds the stack and lets no coroutine
/// overtake another.
class ReadyQueue {
 public:
  static ReadyQueue& current() noexcept { return instance_; }

  /// Appends a waiter that wake() has marked.
  void push(Waiter& waiter) noexcept;
  /// Resumes until the queue is empty or `limit` coroutines have run; true when some are left.
  bool run(std::size_t limit) noexcept;
  bool empty() const noexcept { return head_ == nullptr; }

  /// A leaf awaiter that could go on at once asks here with the bytes it will move. False: the turn
  /// is used up, queue yourself.
  bool spend(std::size_t bytes = 0) noexcept {
    if (spent() || bytes_ < bytes) return false;
    --completions_;
    bytes_ -= bytes;
    return true;
  }
  /// Bytes moved without awaiting count too.
  void charge(std::size_t bytes) noexcept { bytes_ = bytes_ < bytes ? 0 : bytes_ - bytes; }
  bool spent() const noexcept { return completions_ == 0 || bytes_ == 0; }
  void refill() noexcept {
    completions_ = limits::kTurnCompletions;
    bytes_ = limits::kTurnBytes;
  }

 private:
  static constinit thread_local ReadyQueue instance_;

  Waiter* head_ = nullptr;
  Waiter* tail_ = nullptr;
  std::size_t completions_ = limits::kTurnCompletions;
  std::size_t bytes_ = limits::kTurnBytes;
};

/// Lets others run when this turn's budget is used up: `co_await Fair{};` in loops that may never
/// wait otherwise. Resumes with Code::none, or with the reason when the scope was cancelled.
class Fair : public Waiter {
 public:
  Fair() noexcept = default;
  bool await_ready() const noexcept { return ReadyQueue::current().spend(); }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    if (!begin(handle, handle.promise().scope)) return false;
    wake();
    return true;
  }
  Code await_resume() const noexcept { return reason(); }
};

}  // namespace revproxyd

#pragma once
// Suspended coroutines and what may wake them. A Waiter is one suspension; a CancelScope is a set
// of suspensions that end together. All of it belongs to one thread.

#include <coroutine>
#include <cstdint>

#include "revproxyd/base/error.h"

namespace revproxyd {

class CancelScope;
class ReadyQueue;

/// One suspended coroutine; the base of every leaf awaiter, and so part of the frame that waits.
/// Whoever holds a pointer to it may wake() it; the first wake wins, the coroutine goes on from the
/// ready queue and never inline.
class Waiter {
 public:
  Waiter() noexcept = default;
  ~Waiter() { leave_scope(); }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  /// Queues the coroutine with `reason` as its outcome (Code::none: what it waited for happened).
  /// No effect unless it is waiting.
  void wake(Code reason = Code::none) noexcept;
  bool waiting() const noexcept { return state_ == State::waiting; }

 protected:
  /// Called from await_suspend. False when `scope` (may be null) has been cancelled: do not
  /// suspend, the reason says why.
  bool begin(std::coroutine_handle<> handle, CancelScope* scope) noexcept;
  Code reason() const noexcept { return reason_; }

 private:
  friend class CancelScope;
  friend class ReadyQueue;
  enum class State : std::uint8_t { idle, waiting, queued };

  void leave_scope() noexcept;

  std::coroutine_handle<> handle_;
  Waiter* next_ready_ = nullptr;
  CancelScope* scope_ = nullptr;
  Waiter* previous_ = nullptr;  // in scope_
  Waiter* next_ = nullptr;
  Code reason_ = Code::none;
  State state_ = State::idle;
};

/// Ends what is suspended under it, and under its children, with one reason. Scopes nest:
/// connection, exchange, attempt. Sticky: what tries to suspend under a cancelled scope gets the
/// reason at once. Must outlive the coroutines that run under it.
class CancelScope {
 public:
  /// A child of `parent`, which must outlive it; a child of a cancelled scope is born cancelled.
  explicit CancelScope(CancelScope* parent = nullptr) noexcept;
  ~CancelScope();
  CancelScope(const CancelScope&) = delete;
  CancelScope& operator=(const CancelScope&) = delete;

  /// First reason wins. Wakes through the ready queue, so nothing runs inside this call.
  void cancel(Code reason) noexcept;
  bool cancelled() const noexcept { return reason_ != Code::none; }
  /// Why, or Code::none.
  Code reason() const noexcept { return reason_; }

 private:
  friend class Waiter;
  CancelScope* parent_;
  CancelScope* children_ = nullptr;
  CancelScope* previous_ = nullptr;  // among parent_'s children
  CancelScope* next_ = nullptr;
  Waiter* waiters_ = nullptr;
  Code reason_ = Code::none;
};

}  // namespace revproxyd

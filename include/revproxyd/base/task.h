#pragma once
// Task<T>: a lazily started coroutine that is awaited once, or the value of work that needed no
// coroutine. Frames come from the thread's slab.
//
// Awaiting runs the child on the caller's stack until it first suspends. A child that completes
// without suspending gives control back by returning, not by resuming its parent, so a loop over
// ready children needs no stack whatever the compiler makes of symmetric transfer.

#include <cassert>
#include <coroutine>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include "revproxyd/base/cancel.h"
#include "revproxyd/base/slab.h"

namespace revproxyd {

class TaskGroup;

namespace detail {

/// Called when a spawned coroutine has ended and its frame is gone.
void child_done(TaskGroup& group) noexcept;

struct PromiseBase {
  static void* operator new(std::size_t size) { return slab::allocate(size); }
  static void operator delete(void* frame, std::size_t size) noexcept {
    slab::release(frame, size);
  }

  struct Final {
    bool await_ready() const noexcept { return false; }
    template <typename Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> handle) const noexcept {
      PromiseBase& promise = handle.promise();
      if (TaskGroup* owner = promise.group; owner != nullptr) {
        handle.destroy();
        child_done(*owner);
        return std::noop_coroutine();
      }
      return promise.inline_start ? std::noop_coroutine() : promise.continuation;
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  Final final_suspend() const noexcept { return {}; }
  // The data plane passes errors by value; an exception here is a bug or memory that ran out.
  [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }

  std::coroutine_handle<> continuation;
  CancelScope* scope = nullptr;  // inherited from who awaits, unless set by under()
  TaskGroup* group = nullptr;    // set when spawned: the frame frees itself
  bool inline_start = false;
};

/// A value or none. Unlike std::optional's, what says which is in front: frames are large, and the
/// line where one begins is touched anyway.
template <typename T>
class Slot {
 public:
  Slot() noexcept {}  // NOLINT: the value is not made
  Slot(Slot&& other) noexcept {
    if (other.held_) emplace(std::move(other.value_));
  }
  Slot& operator=(Slot&& other) noexcept {
    if (this == &other) return *this;
    reset();
    if (other.held_) emplace(std::move(other.value_));
    return *this;
  }
  ~Slot() { reset(); }

  /// Nothing is held yet.
  template <typename U>
  void emplace(U&& value) {
    ::new (static_cast<void*>(&value_)) T(std::forward<U>(value));
    held_ = true;
  }
  bool has_value() const noexcept { return held_; }
  T& operator*() noexcept { return value_; }

 private:
  void reset() noexcept {
    if (std::exchange(held_, false)) value_.~T();
  }

  bool held_ = false;
  union {
    T value_;
  };
};

template <typename T>
struct Promise : PromiseBase {
  std::coroutine_handle<Promise> get_return_object() noexcept {
    return std::coroutine_handle<Promise>::from_promise(*this);
  }
  template <typename U = T>
  void return_value(U&& value) {
    result.emplace(std::forward<U>(value));
  }
  T take() { return std::move(*result); }
  Slot<T> result;
};

template <>
struct Promise<void> : PromiseBase {
  std::coroutine_handle<Promise> get_return_object() noexcept {
    return std::coroutine_handle<Promise>::from_promise(*this);
  }
  void return_void() const noexcept {}
  void take() const noexcept {}
};

/// What a Task without a coroutine holds.
template <typename T>
struct Settled {
  Slot<T> value;
  T take() {
    assert(value.has_value());  // else the task was moved from, or taken already
    return std::move(*value);
  }
};
template <>
struct Settled<void> {
  void take() const noexcept {}
};

}  // namespace detail

template <typename T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task(Handle handle) noexcept : handle_(handle) {}  // NOLINT: made by the promise
  Task(Task&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), settled_(std::move(other.settled_)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
      settled_ = std::move(other.settled_);
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  /// A task that has ended: what a function returns that can tell at once. It costs no frame;
  /// awaiting it does not suspend.
  template <typename U>
  static Task settled(U&& value) {
    Task task{Handle()};
    task.settled_.value.emplace(std::forward<U>(value));
    return task;
  }
  static Task settled() noexcept requires std::is_void_v<T> { return Task(Handle()); }

  /// Runs this task, and what it awaits, under `scope` instead of the awaiting coroutine's.
  Task under(CancelScope& scope) && noexcept {
    if (handle_) handle_.promise().scope = &scope;
    return std::move(*this);
  }

  class Awaiter {
   public:
    explicit Awaiter(Task& task) noexcept : task_(task) {}
    bool await_ready() const noexcept { return !task_.handle_; }
    template <typename Parent>
    bool await_suspend(std::coroutine_handle<Parent> parent) noexcept {
      const Handle child = task_.handle_;
      auto& promise = child.promise();
      if (promise.scope == nullptr) promise.scope = parent.promise().scope;
      promise.continuation = parent;
      promise.inline_start = true;
      child.resume();
      promise.inline_start = false;
      return !child.done();
    }
    T await_resume() {
      return task_.handle_ ? task_.handle_.promise().take() : task_.settled_.take();
    }

   private:
    Task& task_;
  };
  Awaiter operator co_await() & noexcept { return Awaiter(*this); }
  Awaiter operator co_await() && noexcept { return Awaiter(*this); }

  /// For TaskGroup and for tests that drive a coroutine by hand; null for a settled task.
  Handle release() noexcept { return std::exchange(handle_, nullptr); }
  Handle handle() const noexcept { return handle_; }

 private:
  Handle handle_;  // null: settled
  [[no_unique_address]] detail::Settled<T> settled_;
};

/// The scope that the current coroutine runs under: `CancelScope* scope = co_await
/// current_scope();`
class CurrentScope {
 public:
  CurrentScope() noexcept = default;
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    scope_ = handle.promise().scope;
    return false;
  }
  CancelScope* await_resume() const noexcept { return scope_; }

 private:
  CancelScope* scope_ = nullptr;
};
inline CurrentScope current_scope() noexcept { return {}; }

}  // namespace revproxyd

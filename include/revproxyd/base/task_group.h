#pragma once
// Children that run beside their owner and never outlive it.

#include <cstddef>

#include "revproxyd/base/cancel.h"
#include "revproxyd/base/task.h"

namespace revproxyd {

/// Runs coroutines concurrently under one CancelScope. The owner must join() before the group is
/// destroyed; a group that still has children then is a bug and ends the process, because the
/// children would use freed memory.
class TaskGroup {
 public:
  explicit TaskGroup(CancelScope* parent = nullptr) noexcept : scope_(parent) {}
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// Starts `task` at once; it runs until its first suspension inside this call.
  void spawn(Task<void> task) noexcept;
  /// Asks every child to end. Waiting for it is join()'s part.
  void cancel(Code reason) noexcept { scope_.cancel(reason); }
  CancelScope& scope() noexcept { return scope_; }
  std::size_t size() const noexcept { return children_; }

  /// Waits until no child is left. Not cut short by cancellation: the owner's memory is theirs. One
  /// joiner at a time.
  class Join : public Waiter {
   public:
    explicit Join(TaskGroup& group) noexcept : group_(group) {}
    bool await_ready() const noexcept { return group_.children_ == 0; }
    void await_suspend(std::coroutine_handle<> handle) noexcept {
      begin(handle, nullptr);
      group_.joiner_ = this;
    }
    void await_resume() const noexcept { group_.joiner_ = nullptr; }

   private:
    TaskGroup& group_;
  };
  Join join() noexcept { return Join(*this); }

 private:
  friend void detail::child_done(TaskGroup& group) noexcept;
  CancelScope scope_;
  std::size_t children_ = 0;
  Join* joiner_ = nullptr;
};

}  // namespace revproxyd

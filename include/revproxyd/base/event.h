#pragma once
// A thing that happens once, or again, and the coroutines that wait for it on the same thread.

#include <coroutine>

#include "revproxyd/base/cancel.h"

namespace revproxyd {

/// A latch: wait() returns at once while it is set. Any number of waiters; they are woken in the
/// order they came.
class Event {
 public:
  Event() noexcept = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void set() noexcept;
  void clear() noexcept { set_ = false; }
  bool is_set() const noexcept { return set_; }

  /// Resumes with Code::none, or with the reason when the scope was cancelled.
  class Wait : public Waiter {
   public:
    explicit Wait(Event& event) noexcept : event_(event) {}
    ~Wait() { unlink(); }
    bool await_ready() const noexcept { return event_.set_; }
    template <typename Promise>
    bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      if (!begin(handle, handle.promise().scope)) return false;
      link();
      return true;
    }
    Code await_resume() noexcept {
      unlink();
      return reason();
    }

   private:
    friend class Event;
    void link() noexcept;
    void unlink() noexcept;
    Event& event_;
    Wait* previous_ = nullptr;
    Wait* next_ = nullptr;
    bool linked_ = false;
  };
  Wait wait() noexcept { return Wait(*this); }

 private:
  Wait* head_ = nullptr;
  Wait* tail_ = nullptr;
  bool set_ = false;
};

}  // namespace revproxyd

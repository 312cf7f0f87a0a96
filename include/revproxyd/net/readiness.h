#pragma once
// What is known of a byte stream's state between system calls, and who waits for it to change.
//
// Sockets are registered once, edge-triggered, for input, output and the peer's half-close. The
// flags say what a call would meet: they are set by events and cleared by a call that came back
// short or empty. `hangup` is sticky: an edge that carries input and the end of the stream at once
// must not be lost by clearing `readable` after a short read.

#include <cassert>
#include <cstdint>

#include "revproxyd/base/cancel.h"
#include "revproxyd/base/deadline.h"
#include "revproxyd/base/ready_queue.h"

namespace revproxyd::net {

enum class Want : std::uint8_t { read, write };

/// Told of input or of the end of the stream while no coroutine waits for input.
class Watcher {
 public:
  /// Runs on the loop between coroutines: it may read, cancel and wake, not destroy the stream.
  virtual void on_input() noexcept = 0;
  /// There is room for output again, and no coroutine waits for it.
  virtual void on_output() noexcept {}
  /// The read deadline has passed, and no coroutine waits for input.
  virtual void on_expired() noexcept {}

 protected:
  ~Watcher() = default;
};

class Readiness {
 public:
  Readiness() noexcept : read_timer_(*this), write_timer_(*this) {}
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  bool readable = false;
  bool writable = true;
  bool hangup = false;  // the peer has closed its side, or the connection is gone

  /// Events arrived: sets the flags and wakes.
  void notify(bool input, bool output, bool ended) noexcept;

  /// A read of `asked` bytes returned `got`: nothing more is there, unless the end is still to be
  /// read.
  void after_read(std::size_t asked, std::size_t got) noexcept {
    if (got < asked && !hangup) readable = false;
  }

  /// Limits on waiting, not on use: a wait that is on, or begins, after the time ends with the
  /// code. Zero or less disarms.
  void read_deadline(Duration after, Code code) noexcept { read_timer_.set(after, code); }
  void write_deadline(Duration after, Code code) noexcept { write_timer_.set(after, code); }

  /// The code of a read deadline that has passed.
  Code read_expired() const noexcept { return read_timer_.expired; }

  /// At most one, and only while no coroutine reads. Null to end. Told of new edges: look first
  /// whether `readable` or `hangup` is set already.
  void watch(Watcher* watcher) noexcept { watcher_ = watcher; }

  /// Resumes with Code::none when `want` may succeed, with the code of the deadline of `purpose`,
  /// or with the reason of the scope. One reader and one writer, whatever either wants.
  class Wait final : public Waiter {
   public:
    Wait(Readiness& readiness, Want purpose, Want want, CancelScope* scope) noexcept
        : readiness_(readiness), scope_(scope), purpose_(purpose), want_(want) {}
    bool await_ready() const noexcept {
      return readiness_.is(want_) && readiness_.expired(purpose_) == Code::none &&
             ReadyQueue::current().spend();
    }
    template <typename Promise>
    bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      if (!begin(handle, scope_ != nullptr ? scope_ : handle.promise().scope)) return false;
      assert(readiness_.slot(purpose_) == nullptr);
      readiness_.slot(purpose_) = this;
      if (const Code code = readiness_.expired(purpose_); code != Code::none) {
        wake(code);
      } else if (readiness_.is(want_)) {
        wake();
      }
      return true;
    }
    Code await_resume() const noexcept {
      if (readiness_.slot(purpose_) == this) readiness_.slot(purpose_) = nullptr;
      return reason();
    }

   private:
    friend class Readiness;
    Readiness& readiness_;
    CancelScope* scope_;  // null: the awaiting coroutine's
    Want purpose_;
    Want want_;
  };
  Wait wait(Want want) noexcept { return Wait(*this, want, want, nullptr); }
  /// Ended by `scope` instead of the awaiting coroutine's own.
  Wait wait(Want want, CancelScope& scope) noexcept { return Wait(*this, want, want, &scope); }
  /// For a read, or a write, that wants `want`: under TLS each may want the other first.
  Wait wait_to_read(Want want) noexcept { return Wait(*this, Want::read, want, nullptr); }
  Wait wait_to_write(Want want) noexcept { return Wait(*this, Want::write, want, nullptr); }

 private:
  // Set several times a request, and nearly never due: a time that moves out leaves the wheel
  // alone, and firing too early arms for the rest.
  class IoTimer final : public Timer {
   public:
    explicit IoTimer(Readiness& owner) noexcept : owner_(owner) {}
    void set(Duration after, Code code) noexcept;
    Code expired = Code::none;

   private:
    void fire() noexcept override;
    Readiness& owner_;
    TimePoint due_ = TimePoint::max();    // when the limit is reached; max: none is set
    TimePoint wakes_ = TimePoint::max();  // what the wheel is armed for, if it is
    Code code_ = Code::none;
  };

  // A peer that has only half-closed may still be slow to read: the end counts as input, not as
  // room for output.
  bool is(Want want) const noexcept { return want == Want::read ? readable || hangup : writable; }
  Code expired(Want purpose) const noexcept {
    return purpose == Want::read ? read_timer_.expired : write_timer_.expired;
  }
  Wait*& slot(Want purpose) noexcept { return purpose == Want::read ? reader_ : writer_; }
  bool wake_for(Want want) noexcept;

  Wait* reader_ = nullptr;
  Wait* writer_ = nullptr;
  Watcher* watcher_ = nullptr;
  IoTimer read_timer_;
  IoTimer write_timer_;
};

}  // namespace revproxyd::net

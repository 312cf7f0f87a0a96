#pragma once
// The coroutines of a thread that may go on, in the order they were woken, and the budget that
// keeps them fair.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "revproxyd/base/cancel.h"
#include "revproxyd/base/limits.h"

namespace revproxyd {

/// Work that waits for the end of the thread's turn, so that what many coroutines have added to is
/// done once: the bytes of all streams of a connection go out in one write. Of work that is `late`
/// each turn does only a few (limits::kTurnLate), in the order of asking: what somebody has sent in
/// excess waits behind everybody else, however many do so. The last two are for Costly, below.
class TurnEnd {
 public:
  enum class Kind : std::uint8_t { prompt, late, costly_first, costly };
  TurnEnd(const TurnEnd&) = delete;
  TurnEnd& operator=(const TurnEnd&) = delete;

 protected:
  explicit TurnEnd(Kind kind = Kind::prompt) noexcept : kind_(kind) {}
  virtual ~TurnEnd() { forget(); }

  /// Asks for one call of on_turn_end(); asking again before it comes changes nothing.
  void at_turn_end() noexcept;
  /// Takes the request back.
  void forget() noexcept;
  /// Runs on the loop between coroutines: it may wake, cancel, and destroy this as its last act. A
  /// request that is made in it is for the next turn.
  virtual void on_turn_end() noexcept = 0;

 private:
  friend class ReadyQueue;
  TurnEnd* previous_ = nullptr;
  TurnEnd* next_ = nullptr;
  Kind kind_;
  bool asked_ = false;
};

/// Late work of an object: calls a member function at the end of a turn.
template <typename Owner>
class LateWork final : public TurnEnd {
 public:
  LateWork(Owner& owner, void (Owner::*work)() noexcept) noexcept
      : TurnEnd(Kind::late), owner_(owner), work_(work) {}
  using TurnEnd::at_turn_end;
  using TurnEnd::forget;

 private:
  void on_turn_end() noexcept override { (owner_.*work_)(); }
  Owner& owner_;
  void (Owner::*work_)() noexcept;
};

/// One per thread. Every wake-up passes through it, which bounds the stack and lets no coroutine
/// overtake another.
class ReadyQueue {
 public:
  static ReadyQueue& current() noexcept { return instance_; }

  /// Appends a waiter that wake() has marked.
  void push(Waiter& waiter) noexcept;
  /// Resumes until the queue is empty or `limit` coroutines have run, then ends the turn: at once
  /// when the queue is empty, after a few runs when it never is. True when something is left to do.
  bool run(std::size_t limit) noexcept;
  /// No coroutine waits to be resumed.
  bool idle() const noexcept { return head_ == nullptr; }
  bool empty() const noexcept {
    return idle() && std::ranges::all_of(asked_, [](const Asked& list) { return list.size == 0; });
  }

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
  /// Asked for by Costly. False: the turn has done enough of it.
  bool spend_costly() noexcept {
    if (costly_left_ == 0) return false;
    --costly_left_;
    return true;
  }

 private:
  friend class TurnEnd;
  static constinit thread_local ReadyQueue instance_;

  struct Asked {
    TurnEnd* head = nullptr;
    TurnEnd* tail = nullptr;
    std::size_t size = 0;
  };

  void end_turn() noexcept;
  static void work(Asked& list, std::size_t most) noexcept;
  Asked& list_of(TurnEnd::Kind kind) noexcept { return asked_[static_cast<std::size_t>(kind)]; }

  Waiter* head_ = nullptr;
  Waiter* tail_ = nullptr;
  std::size_t completions_ = limits::kTurnCompletions;
  std::size_t bytes_ = limits::kTurnBytes;
  std::array<Asked, 4> asked_;                     // by kind
  std::size_t costly_left_ = limits::kTurnCostly;  // 0 while somebody waits
  std::uint32_t runs_ = 0;                         // since the last end of a turn
};

/// What NextTurn and Costly have in common: woken when their work of that kind is due at the end of
/// a turn.
class TurnWaiter : public Waiter, private TurnEnd {
 public:
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    if (!begin(handle, handle.promise().scope)) return false;
    at_turn_end();
    return true;
  }
  Code await_resume() noexcept {
    forget();
    return reason();
  }

 protected:
  using TurnEnd::Kind;
  explicit TurnWaiter(Kind kind) noexcept : TurnEnd(kind) {}

 private:
  void on_turn_end() noexcept override { wake(); }
};

/// Goes on in the thread's next turn, when everybody whose bytes have come was served: `co_await
/// NextTurn{};` Resumes with Code::none, or with the reason when the scope was cancelled.
class NextTurn final : public TurnWaiter {
 public:
  NextTurn() noexcept : TurnWaiter(Kind::prompt) {}
  bool await_ready() const noexcept { return false; }
};

/// Waits for a share of a turn before what takes the processor for a good part of a millisecond,
/// such as the asymmetric cryptography of a handshake: `co_await Costly{};`. Goes on at once while
/// the turn has done little of the kind (limits::kTurnCostly), else in a later turn, in the order
/// of asking: however many begin at once, everybody else is served between them. Those of
/// Rank::first go before the others, to which they leave one a turn. Resumes with Code::none, or
/// with the reason when the scope was cancelled.
class Costly final : public TurnWaiter {
 public:
  enum class Rank : std::uint8_t { first, usual };
  explicit Costly(Rank rank = Rank::usual) noexcept
      : TurnWaiter(rank == Rank::first ? Kind::costly_first : Kind::costly) {}
  bool await_ready() const noexcept { return ReadyQueue::current().spend_costly(); }
};

/// Goes on behind those that are ready now, out of the call that it is in: `co_await Behind{};` for
/// coroutines that are spawned where nothing may be destroyed.
class Behind final : public Waiter {
 public:
  Behind() noexcept = default;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    begin(handle, nullptr);
    wake();
  }
  void await_resume() const noexcept {}
};

/// Lets the others come as far first: `co_await InStep{};` between steps that many coroutines do
/// alike. Goes on behind those that are ready now, and at once where nobody is. Like steps of a
/// batch are so done together, all receiving, then all parsing, then all sending, and the
/// processor's caches hold the code of one at a time, the kernel's too (docs/decisions/0015).
/// Cannot be cancelled: whatever is awaited next tells.
class InStep final : public Waiter {
 public:
  InStep() noexcept = default;
  bool await_ready() const noexcept {
    auto& queue = ReadyQueue::current();
    return queue.idle() && queue.spend();
  }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    begin(handle, nullptr);
    wake();
  }
  void await_resume() const noexcept {}
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

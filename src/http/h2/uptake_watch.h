#pragma once
// How the peer takes what waits for room in the kernel. A connection that is blocked is judged for
// each message that waits, by the message's own limits, and as a whole by the longest time of all.

#include <cstddef>
#include <cstdint>
#include <optional>

#include "http/uptake.h"
#include "revproxyd/base/units.h"

namespace revproxyd::http::h2 {

/// The bytes are those of the connection: who takes enough of any message is not slow. `sent` is
/// what the kernel has taken in all, `left` what the peer has not acknowledged of it.
class UptakeWatch {
 public:
  /// A message of which something may have to wait.
  class Waiter {
   public:
    virtual ~Waiter() = default;

   protected:
    /// The message begins; the rate counts from here.
    void count_from(std::uint64_t sent) noexcept { mark_ = sent; }

   private:
    friend class UptakeWatch;
    virtual UptakeRules uptake_rules() const noexcept = 0;
    /// The peer takes too little for this one; never Verdict::fine.
    virtual void on_slow(Uptake::Verdict verdict) noexcept = 0;

    Uptake uptake_;
    std::uint64_t mark_ = 0;
    Waiter* previous_ = nullptr;
    Waiter* next_ = nullptr;
  };

  /// As long as it exists, `waiter` waits. Neither it nor the watch ends before.
  class Wait {
   public:
    Wait(UptakeWatch& watch, Waiter& waiter) noexcept;
    ~Wait();
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;

   private:
    UptakeWatch& watch_;
    Waiter& waiter_;
  };

  /// It is no fault of the peer that nothing has moved of `waiter`, and so of the connection.
  void excuse(Waiter& waiter) noexcept {
    waiter.uptake_.excuse();
    uptake_.excuse();
  }
  /// Longest time in which nothing is taken on the connection, where no message allows more. Zero
  /// is no limit.
  void set_stall(Duration stall) noexcept;
  /// Bytes of a message that allows so much are produced: it holds until all_taken().
  void carries(Duration stall) noexcept;
  /// The kernel has everything that was produced.
  void all_taken() noexcept { carried_ = stall_; }

  void wait_begins(std::optional<std::size_t> left, std::uint64_t sent) noexcept;
  /// The kernel takes something again.
  void wait_ends() noexcept;
  bool waiting() const noexcept { return waiting_; }
  /// Once a period() while it waits. Tells those for whom the peer is too slow; false when it is so
  /// for all of the connection.
  bool look(std::optional<std::size_t> left) noexcept;
  Duration period() const noexcept { return period_; }

 private:
  void note_stall(Duration stall) noexcept;
  void begin(Waiter& waiter) const noexcept;
  void count(Waiter& waiter) const noexcept;

  Duration stall_{0};
  Duration carried_{0};  // the longest of stall_ and those of what was produced
  Uptake uptake_;
  std::optional<std::size_t> left_;  // as it was last seen
  std::uint64_t sent_ = 0;           // when it was blocked
  Waiter* waiters_ = nullptr;
  Duration period_ = look_period(Duration::zero());  // of the shortest time that any allows
  bool waiting_ = false;
};

}  // namespace revproxyd::http::h2

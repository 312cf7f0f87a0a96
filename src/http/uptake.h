#pragma once
// How a peer takes what lies in the kernel for it: the two bounds on one that is slow.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "http/rate_meter.h"
#include "revproxyd/base/deadline.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/base/units.h"

namespace revproxyd::http {

struct UptakeRules {
  Duration stall{0};           // longest time in which it takes nothing; zero: no limit
  std::uint64_t min_rate = 0;  // bytes a second while waiting, after limits::kRateGrace; zero: none
};

/// How often a wait is looked at. What was under way already is acknowledged by any peer: several
/// times within `stall`, and within the grace of the rate.
constexpr Duration look_period(Duration stall) noexcept {
  constexpr int kLooks = 8;
  constexpr Duration kLongest = limits::kRateGrace / kLooks;
  return stall.count() > 0 ? std::min(kLongest, (stall + Duration(kLooks - 1)) / kLooks) : kLongest;
}

/// The kernel tells of room only when much of its buffer, which may be megabytes, is free again. A
/// reader that is slow but steady is seen by what it has not acknowledged yet, `left`, which is
/// unknown for some transports. Under TLS it has the framing of records, which is no part of what
/// was sent: that of what lies there counts as not taken, once and not for each byte that passes.
class Uptake {
 public:
  enum class Verdict : std::uint8_t { fine, stalled, too_slow };

  Uptake() = default;
  /// After so much waiting.
  explicit Uptake(Duration waited) noexcept { rate_.waited(waited); }

  /// Other bytes: the rate is judged afresh.
  void restart() noexcept {
    rate_.restart();
    before_.reset();
  }
  /// It is waited for from now on; `sent` bytes went into the kernel since restart().
  void wait_begins(std::optional<std::size_t> left, std::uint64_t sent) noexcept {
    looked_ = moved_ = loop_now();
    // What it takes first is of earlier answers, and no less taken.
    if (!before_) before_ = left.value_or(0) - std::min<std::uint64_t>(sent, left.value_or(0));
    taken_ = taken(left, sent);
  }
  /// It is no fault of the peer that nothing has moved.
  void excuse() noexcept { moved_ = loop_now(); }
  /// How the wait goes since it began or was last looked at.
  Verdict look(std::optional<std::size_t> left, std::uint64_t sent,
               const UptakeRules& rules) noexcept {
    // Parts of a millisecond add up when it is looked often.
    const Duration passed = since(looked_);
    looked_ += passed;
    rate_.waited(passed);
    const std::uint64_t now = taken(left, sent);
    if (now > taken_) moved_ = loop_now();
    taken_ = now;
    if (rate_.too_slow(now, rules.min_rate)) return Verdict::too_slow;
    const bool stalled = rules.stall.count() > 0 && since(moved_) >= rules.stall;
    return stalled ? Verdict::stalled : Verdict::fine;
  }

 private:
  std::uint64_t taken(std::optional<std::size_t> left, std::uint64_t sent) const noexcept {
    const std::uint64_t all = before_.value_or(0) + sent;
    return all - std::min<std::uint64_t>(all, left.value_or(0));
  }

  RateMeter rate_;
  TimePoint looked_;
  TimePoint moved_;                      // when it was last known to take something
  std::uint64_t taken_ = 0;              // as it was then looked at
  std::optional<std::uint64_t> before_;  // not taken when it was first waited for, and sent earlier
};

}  // namespace revproxyd::http

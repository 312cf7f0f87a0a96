#include "http/linger.h"

#include <algorithm>
#include <cstddef>

#include "revproxyd/base/deadline.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/net/discard.h"

namespace revproxyd::http {

namespace {

constexpr Code kLook = Code::write_timeout;

/// Whether the client takes what lies in the kernel for it.
class Taking {
 public:
  explicit Taking(const LingerRules& rules) noexcept
      : rules_(rules), rate_(rules.rate), looked_(loop_now()), moved_(looked_) {}

  /// `left` bytes are not acknowledged now.
  bool goes_on(std::size_t left) noexcept {
    rate_.waited(since(looked_));
    looked_ = loop_now();
    if (left < left_) moved_ = looked_;
    left_ = left;
    const std::uint64_t taken = rules_.sent - std::min<std::uint64_t>(rules_.sent, left);
    if (rate_.too_slow(taken, rules_.min_rate)) return false;
    return rules_.stall.count() <= 0 || since(moved_) < rules_.stall;
  }

 private:
  const LingerRules& rules_;
  RateMeter rate_;
  TimePoint looked_;
  TimePoint moved_;  // when it was last known to take something
  std::size_t left_ = 0;
};

// False when the client has closed, or is not waited for any longer. The kernel tells of room, not
// of acknowledgements: these are looked at.
Task<bool> all_arrives(net::Transport& transport, const LingerRules& rules) {
  Taking taking(rules);
  const TimePoint begun = loop_now();
  std::size_t dropped = 0;
  for (;;) {
    const auto left = net::unacknowledged(transport);
    if (!left || *left == 0) co_return true;
    if (!taking.goes_on(*left)) co_return false;
    // Who does not read before all is sent may be done with it by then.
    if (dropped >= limits::kLingerBytes && since(begun) >= limits::kLingerTime) {
      if (net::is_gone(transport)) co_return false;
      auto slept = co_await Sleep(limits::kLingerLook);
      if (slept != Code::none) co_return false;
      continue;
    }
    transport.readiness().read_deadline(limits::kLingerLook, kLook);
    auto got = co_await net::discard_some(transport);
    if (!got && got.error().code() != kLook) co_return false;
    // With all that it sent read, a close resets nothing.
    if (got && *got == 0) co_return false;
    if (got) dropped += *got;
  }
}

}  // namespace

Task<bool> half_close(net::Transport& transport, const LingerRules& rules) {
  Taking taking(rules);
  for (;;) {
    const net::IoResult result = transport.try_shutdown();
    if (result.status == net::IoStatus::failed) co_return false;
    if (result.status == net::IoStatus::done || result.status == net::IoStatus::end) co_return true;
    if (!taking.goes_on(net::unacknowledged(transport).value_or(0))) co_return false;
    auto slept = co_await Sleep(limits::kLingerLook);
    if (slept != Code::none) co_return false;
  }
}

Task<void> linger(net::Transport& transport, const LingerRules& rules) {
  auto arrived = co_await all_arrives(transport, rules);
  if (!arrived) co_return;
  // Its kernel has everything; the client itself may need a moment more.
  transport.readiness().read_deadline(limits::kLingerTime, Code::cancelled);
  co_await net::discard(transport, limits::kLingerBytes);
}

Task<void> part_from_client(net::Transport& transport, const LingerRules& rules) {
  auto closed = co_await half_close(transport, rules);
  if (closed) co_await linger(transport, rules);
}

}  // namespace revproxyd::http

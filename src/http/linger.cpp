#include "http/linger.h"

#include <cstddef>
#include <utility>

#include "revproxyd/base/deadline.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/net/discard.h"

namespace revproxyd::http {

namespace {

constexpr Code kLook = Code::write_timeout;

// The client has room for all of it, and has it before it can send anything that is answered with a
// reset.
bool soon_taken(const net::Transport& transport, const Leftover& leftover) noexcept {
  if (net::unsent(transport).value_or(0) != 0) return false;
  // That so little was sent at all saves asking, for connections of one request.
  if (leftover.alone && leftover.sent <= limits::kSoonTaken) return true;
  return net::unacknowledged(transport).value_or(0) <= limits::kSoonTaken;
}

// False when the client makes no room, or the connection is of no more use.
Task<bool> half_close(net::Transport& transport, Leftover& leftover) {
  auto& readiness = transport.readiness();
  for (bool waits = false;;) {
    const net::IoResult result = transport.try_shutdown();
    if (result.status == net::IoStatus::failed) co_return false;
    if (result.status == net::IoStatus::done || result.status == net::IoStatus::end) co_return true;
    if (!std::exchange(waits, true)) leftover.wait_begins(net::unacknowledged(transport));
    readiness.write_deadline(limits::kLingerLook, kLook);
    auto code = co_await readiness.wait(net::Want::write);
    readiness.write_deadline(Duration::zero(), Code::none);
    if (code != Code::none && code != kLook) co_return false;
    if (!still_takes(transport, leftover, net::unacknowledged(transport))) co_return false;
  }
}

// False when there is nothing to wait for any more. The kernel tells of room, not of
// acknowledgements: these are looked at.
Task<bool> all_arrives(net::Transport& transport, Leftover& leftover) {
  auto left = net::unacknowledged(transport);
  if (!left || *left == 0) co_return true;
  leftover.wait_begins(left);
  const TimePoint begun = loop_now();
  for (std::size_t dropped = 0;;) {
    const bool enough = dropped >= limits::kLingerBytes && since(begun) >= limits::kLingerTime;
    // Who does not read before all is sent may be done with it by then. What comes before its end
    // is no more than the kernel has.
    if (enough && !transport.readiness().hangup) {
      auto slept = co_await Sleep(limits::kLingerLook);
      if (slept != Code::none) co_return false;
    } else {
      transport.readiness().read_deadline(limits::kLingerLook, kLook);
      auto got = co_await net::discard_some(transport);
      if (!got && got.error().code() != kLook) co_return false;
      // With all that it sent read, a close resets nothing.
      if (got && *got == 0) co_return false;
      if (got) dropped += *got;
    }
    left = net::unacknowledged(transport);
    if (!left || *left == 0) co_return true;
    if (!still_takes(transport, leftover, left)) co_return false;
  }
}

Task<void> linger(net::Transport& transport) {
  transport.readiness().read_deadline(limits::kLingerTime, Code::cancelled);
  co_await net::discard(transport);
}

}  // namespace

bool still_takes(net::Transport& transport, Leftover& leftover,
                 std::optional<std::size_t> left) noexcept {
  if (leftover.goes_on(left)) return true;
  transport.abort_on_close();
  return false;
}

Task<void> part_from_client(net::Transport& transport, Leftover& leftover, bool may_send) {
  auto closed = co_await half_close(transport, leftover);
  if (!closed) co_return;
  if (!may_send && soon_taken(transport, leftover)) co_return;
  auto arrived = co_await all_arrives(transport, leftover);
  if (arrived && may_send) co_await linger(transport);
}

}  // namespace revproxyd::http

#include "http/linger.h"

#include <cstddef>

#include "revproxyd/base/deadline.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/net/discard.h"

namespace revproxyd::http {

namespace {

constexpr Code kLook = Code::write_timeout;

// False when the client has closed, or is not waited for any longer. The kernel tells of room, not
// of acknowledgements: these are looked at.
Task<bool> all_arrives(net::Transport& transport, Leftover& leftover) {
  leftover.uptake.wait_begins(net::unacknowledged(transport));
  const TimePoint begun = loop_now();
  std::size_t dropped = 0;
  for (;;) {
    const auto left = net::unacknowledged(transport);
    if (!left || *left == 0) co_return true;
    if (!leftover.goes_on(left)) co_return false;
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

Task<bool> half_close(net::Transport& transport, Leftover& leftover) {
  auto& readiness = transport.readiness();
  for (leftover.uptake.wait_begins(net::unacknowledged(transport));;) {
    const net::IoResult result = transport.try_shutdown();
    if (result.status == net::IoStatus::failed) co_return false;
    if (result.status == net::IoStatus::done || result.status == net::IoStatus::end) co_return true;
    readiness.write_deadline(limits::kLingerLook, kLook);
    auto code = co_await readiness.wait(net::Want::write);
    readiness.write_deadline(Duration::zero(), Code::none);
    if (code != Code::none && code != kLook) co_return false;
    if (!leftover.goes_on(net::unacknowledged(transport))) co_return false;
  }
}

Task<void> linger(net::Transport& transport, Leftover& leftover) {
  auto arrived = co_await all_arrives(transport, leftover);
  if (!arrived) co_return;
  // Its kernel has everything; the client itself may need a moment more.
  transport.readiness().read_deadline(limits::kLingerTime, Code::cancelled);
  co_await net::discard(transport, limits::kLingerBytes);
}

Task<void> part_from_client(net::Transport& transport, Leftover& leftover) {
  auto closed = co_await half_close(transport, leftover);
  if (closed) co_await linger(transport, leftover);
}

}  // namespace revproxyd::http

#pragma once
// The end of a client's connection: our side is closed, and the rest stays open until the client
// has what was sent. A close while it is still sending would reset that away (RFC 9112
// section 9.6).

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "http/uptake.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/base/task.h"
#include "revproxyd/net/transport.h"

namespace revproxyd::http {

/// What a client has yet to take of all that was sent, as slowly as any other part of it.
struct Leftover {
  UptakeRules rules;
  std::uint64_t sent = 0;  // what the rate is about
  Uptake uptake;
  bool alone = false;  // nothing was sent on the connection before `sent`

  void wait_begins(std::optional<std::size_t> left) noexcept { uptake.wait_begins(left, sent); }
  /// It goes on taking it: `left` bytes are not acknowledged now.
  bool goes_on(std::optional<std::size_t> left) noexcept {
    return uptake.look(left, sent, rules) == Uptake::Verdict::fine;
  }
};

/// How long a client may take nothing of the end: the shorter of both limits, limits::kClosingStall
/// in the place of one that is zero, which is none.
constexpr Duration closing_stall(Duration one, Duration other) noexcept {
  const auto limited = [](Duration limit) {
    return limit.count() > 0 ? limit : Duration(limits::kClosingStall);
  };
  return std::min(limited(one), limited(other));
}

/// Leftover::goes_on(). For a client that takes too little the kernel, which may hold megabytes for
/// minutes, is to keep nothing when the transport goes.
bool still_takes(net::Transport& transport, Leftover& leftover,
                 std::optional<std::size_t> left) noexcept;

/// Ends our side; a client that reads slowly may have to make room for close_notify first. Then
/// waits until the client's kernel has everything, as long as it takes some of it; where the client
/// sends no more, not for what is on its way and no more than limits::kSoonTaken. What it sends
/// meanwhile is read and thrown away; it is left in the kernel when more than limits::kLingerBytes
/// have come and limits::kLingerTime is over. One that `may_send` before it reads is read on for
/// another limits::kLingerTime, or until it closes.
Task<void> part_from_client(net::Transport& transport, Leftover& leftover, bool may_send);

}  // namespace revproxyd::http

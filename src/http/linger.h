#pragma once
// The end of a client's connection: our side is closed, and the rest stays open until the client
// has what was sent. A close while it is still sending would reset that away (RFC 9112
// section 9.6).

#include <cstddef>
#include <cstdint>
#include <optional>

#include "http/uptake.h"
#include "revproxyd/base/task.h"
#include "revproxyd/net/transport.h"

namespace revproxyd::http {

/// What a client has yet to take of all that was sent, as slowly as any other part of it.
struct Leftover {
  UptakeRules rules;
  std::uint64_t sent = 0;  // what the rate is about
  Uptake uptake;

  /// It goes on taking it: `left` bytes are not acknowledged now.
  bool goes_on(std::optional<std::size_t> left) noexcept {
    return uptake.look(left, sent, rules) == Uptake::Verdict::fine;
  }
};

/// Ends our side; a client that reads slowly may have to make room for close_notify first. False
/// when it does not, or the connection is of no more use.
Task<bool> half_close(net::Transport& transport, Leftover& leftover);

/// After half_close(): reads and throws away until the client closes. It has time while it takes
/// what it has not acknowledged yet; what it sends meanwhile is left in the kernel when more than
/// limits::kLingerBytes have come and limits::kLingerTime is over. From then on it has that time
/// once more, and as many bytes.
Task<void> linger(net::Transport& transport, Leftover& leftover);

/// Both, for whom there is nothing to do in between.
Task<void> part_from_client(net::Transport& transport, Leftover& leftover);

}  // namespace revproxyd::http

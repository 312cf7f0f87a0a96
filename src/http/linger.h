#pragma once
// The end of a client's connection: our side is closed, and the rest stays open until the client
// has what was sent. A close while it is still sending would reset that away (RFC 9112
// section 9.6).

#include <cstdint>

#include "http/rate_meter.h"
#include "revproxyd/base/task.h"
#include "revproxyd/base/units.h"
#include "revproxyd/net/transport.h"

namespace revproxyd::http {

/// How slowly a client may take the end of what was sent: as any other part of it.
struct LingerRules {
  Duration stall{0};           // longest time without an acknowledgement; zero: no limit
  std::uint64_t min_rate = 0;  // bytes a second, after limits::kRateGrace; zero: none
  std::uint64_t sent = 0;      // what the rate is about, and
  RateMeter rate;              // how long the client has been waited for
};

/// Ends our side; a client that reads slowly may have to make room for close_notify first. False
/// when it does not, or the connection is of no more use.
Task<bool> half_close(net::Transport& transport, const LingerRules& rules);

/// After half_close(): reads and throws away until the client closes. It has time while it takes
/// what it has not acknowledged yet; what it sends meanwhile is left in the kernel when more than
/// limits::kLingerBytes have come and limits::kLingerTime is over. From then on it has that time
/// once more, and as many bytes.
Task<void> linger(net::Transport& transport, const LingerRules& rules);

/// Both, for whom there is nothing to do in between.
Task<void> part_from_client(net::Transport& transport, const LingerRules& rules);

}  // namespace revproxyd::http

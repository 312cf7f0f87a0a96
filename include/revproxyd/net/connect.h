#pragma once
// Connecting to a server that has one or several addresses.

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>

#include "revproxyd/base/result.h"
#include "revproxyd/base/task.h"
#include "revproxyd/base/units.h"
#include "revproxyd/net/address.h"
#include "revproxyd/net/transport.h"

namespace revproxyd::net {

/// When an attempt has not ended by then, the next address is tried beside it (RFC 8305 section 5,
/// "Connection Attempt Delay").
inline constexpr std::chrono::milliseconds kAttemptDelay{250};
/// Addresses tried in one connect(); further ones are left out.
inline constexpr std::size_t kAttempts = 16;
/// Stands in for a limit of zero.
inline constexpr std::chrono::milliseconds kLongestConnect{60000};

/// A plain transport to the first of `addresses` that answers, on the current loop, without Nagle's
/// delay. The addresses are taken by preference, families in turn (RFC 8305 section 4); the next
/// one starts when one fails or is slow, and the losers are closed. `addresses` must stay until the
/// end. `limit` is for everything together. Errors: refused, unreachable (also for an empty list),
/// reset, system (of the machine here: no descriptors but the last sixteenth of the limit, at most
/// 64, which others need; no ports), connect_timeout, and the reason of the scope. Of several
/// failures the most telling: one of these answers before "unreachable". A UNIX socket whose queue
/// is full is tried again until the limit.
Task<Result<std::unique_ptr<Transport>>> connect(std::span<const Address> addresses,
                                                 Duration limit);

}  // namespace revproxyd::net

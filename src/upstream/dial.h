#pragma once
// A connection to a server as its upstream's settings want it: PROXY header, then TLS. The same for
// traffic and for health checks.

#include <memory>

#include "revproxyd/base/task.h"
#include "revproxyd/net/transport.h"
#include "revproxyd/tls/context.h"
#include "revproxyd/upstream/endpoint.h"
#include "revproxyd/upstream/origin.h"
#include "revproxyd/upstream/settings.h"

namespace revproxyd::upstream {

/// A connection with its PROXY header, if the upstream has one, and nothing else.
Task<Result<std::unique_ptr<net::Transport>>> reach(const Endpoint& endpoint,
                                                    const UpstreamSettings& settings,
                                                    const Origin& origin, Duration limit);

/// Speaks TLS over it to a server with an https URL, by `tls`. All of it takes at most `limit`,
/// none when zero, without what the handshake waits behind others, which may be as long. Errors:
/// resolve_failed, refused, unreachable, connect_timeout, tls_failed, certificate_rejected,
/// end_of_stream, reset, and queue_timeout when those others took too long.
Task<Result<std::unique_ptr<net::Transport>>> dial(const Endpoint& endpoint,
                                                   const UpstreamSettings& settings,
                                                   const tls::ClientContext* tls,
                                                   const Origin& origin, Duration limit);

}  // namespace revproxyd::upstream

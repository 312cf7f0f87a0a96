#pragma once
// Who the client is, through proxies that are trusted, and what the origin is told of it.

#include <string_view>

#include "revproxyd/net/address.h"
#include "revproxyd/pipeline/exchange.h"

namespace revproxyd::proxy {

/// Finds the client's address and scheme. From a trusted peer X-Forwarded-For is read right to
/// left, as far as each hop is trusted itself; X-Forwarded-Proto is believed. From others the
/// connection says both. From whomever, Client-Cert and Client-Cert-Chain are those of the
/// connection or gone, before a route or a balancer looks at them.
void trust_client(pipeline::Exchange& exchange, const net::Peers& trusted);

/// Fields by which proxies tell of a client: X-Forwarded-* and X-Real-IP, Forwarded.
bool tells_of_client(std::string_view name) noexcept;

/// What a peer that is not trusted says in them is gone. For routes that look at such a field; the
/// server gets none of it in any case.
void drop_claims(pipeline::Exchange& exchange);

/// Makes the request's fields those that go upstream: hop-by-hop fields and `Proxy` go,
/// X-Forwarded-*, X-Real-IP, Via and X-Request-Id are set, Forwarded is written when `forwarded`.
/// Later filters see and may edit the result.
void set_forwarding_fields(pipeline::Exchange& exchange, bool forwarded);

}  // namespace revproxyd::proxy

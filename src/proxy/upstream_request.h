#pragma once
// How a request goes upstream: its target, its Host, what it is balanced by.

#include "proxy/attempt.h"
#include "revproxyd/pipeline/exchange.h"
#include "revproxyd/proxy/settings.h"
#include "revproxyd/upstream/balancer.h"
#include "revproxyd/upstream/settings.h"

namespace revproxyd::proxy {

/// The request line's target: the client's own bytes unless a filter edited it, in origin form or
/// "*".
std::string_view upstream_target(pipeline::Exchange& exchange);

/// The Host that `endpoint` is sent.
std::string_view upstream_host(pipeline::Exchange& exchange,
                               const upstream::HostHeaderSettings& settings,
                               const upstream::Endpoint& endpoint);

/// What the `hash` method looks at; nothing where the request has none of it, as clients on UNIX
/// sockets have no address.
upstream::PickKey pick_key(pipeline::Exchange& exchange, const upstream::BalanceSettings& balance);

/// The request asks for a tunnel, and the route lets one of its protocols pass.
bool opens_tunnel(const http::Request& request, const RouteSettings& route) noexcept;

/// A request that is nothing without its upgrade got a success that is none.
bool leaves_upgrade_out(pipeline::Exchange& exchange, const http::Response& response) noexcept;

/// Keeps those protocols in the Upgrade of the request that the route lets pass, and makes it an
/// ordinary request where there are none.
void settle_upgrade(pipeline::Exchange& exchange, const RouteSettings& route);

}  // namespace revproxyd::proxy

#pragma once
// The only place that judges a request.

#include "revproxyd/base/result.h"
#include "revproxyd/pipeline/exchange.h"
#include "revproxyd/proxy/serve.h"
#include "revproxyd/proxy/settings.h"

namespace revproxyd::proxy {

/// What holds whatever the route: the head as it came, the method, memory, the name against the
/// certificate.
Result<void> admit(pipeline::Exchange& exchange, const Runtime& worker);

/// What the route adds: escaped slashes and the size of the body. Sets the rules for the body and
/// for writing.
Result<void> admit_to_route(pipeline::Exchange& exchange, const RouteSettings& route,
                            const ListenerSettings& listener);

}  // namespace revproxyd::proxy

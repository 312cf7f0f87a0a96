#pragma once
// What a configuration says of a client whose connection may be older than it is.

#include "revproxyd/proxy/serve.h"

namespace revproxyd::proxy {

/// For an exchange that begins under `plan`, which outlives it. A listener that the plan does not
/// have any more, or has with TLS, keeps its redirect while there is a TLS listener to send clients
/// to; one that is gone keeps its name.
pipeline::Standing standing_under(const PlanSettings& plan, Connection& client);

}  // namespace revproxyd::proxy

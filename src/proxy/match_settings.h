#pragma once
// How `match` is written.

#include "revproxyd/config/type.h"
#include "revproxyd/proxy/settings.h"

namespace revproxyd::proxy {

config::Type<MatchSettings> match_settings();
/// Exact, *.name, or a list of these.
config::Type<std::vector<HostPattern>> host_patterns();
/// /exact, /prefix/**, /a/*/b, ~regex, or a list of these.
config::Type<std::vector<PathPattern>> path_patterns();

}  // namespace revproxyd::proxy

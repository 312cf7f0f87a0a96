#pragma once
// What only the whole configuration can tell: names, references, what is implied, what can never
// match.

#include "revproxyd/app/settings.h"
#include "revproxyd/config/node.h"
#include "revproxyd/config/reader.h"

namespace revproxyd::app {

/// Completes `settings` as read from `root` and reports what does not fit together.
void assemble(config::Reader& reader, const config::Node& root, Settings& settings);

/// Reports routes that no request can reach, because of earlier ones or since no listener leads to
/// them; leaves out those that were refused. `nodes` are the routes' places.
void check_reachable(config::Reader& reader, const std::vector<config::Node>& nodes,
                     const Settings& settings);

}  // namespace revproxyd::app

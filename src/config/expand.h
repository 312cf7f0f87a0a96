#pragma once
// `${env:NAME}`, `${file:/path}` and `${credential:name}` in values.

#include <set>
#include <string>

#include "config/spent.h"
#include "revproxyd/config/load_tree.h"
#include "revproxyd/config/node.h"
#include "revproxyd/config/report.h"

namespace revproxyd::config {

/// Replaces every ${...} under `node` and marks the scalars that held one. Their texts are added to
/// `secrets`, and their bytes to those `spent`.
void expand(Node& node, const ReadLimits& limits, Spent& spent, Report& report,
            std::set<std::string>& secrets);

}  // namespace revproxyd::config

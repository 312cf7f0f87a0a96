#pragma once
// The `tests:` of a configuration: requests, and the routes or statuses that they must meet.

#include <set>
#include <string>
#include <vector>

#include "revproxyd/app/settings.h"
#include "revproxyd/config/report.h"
#include "revproxyd/proxy/plan.h"

namespace revproxyd::app {

/// Reports each test that fails at its place, without the names of routes that are `secrets`; true
/// if none does.
bool run_route_tests(const std::vector<RouteTest>& tests, const proxy::Plan& plan,
                     const std::set<std::string>& secrets, config::Report& report);

}  // namespace revproxyd::app

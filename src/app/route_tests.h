#pragma once
// The `tests:` of a configuration: requests, and the routes or statuses that they must meet.

#include <vector>

#include "revproxyd/app/settings.h"
#include "revproxyd/config/report.h"
#include "revproxyd/proxy/plan.h"

namespace revproxyd::app {

/// Reports each test that fails at its place; true if none does.
bool run_route_tests(const std::vector<RouteTest>& tests, const proxy::Plan& plan,
                     config::Report& report);

}  // namespace revproxyd::app

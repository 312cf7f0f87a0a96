#pragma once
// The `tests:` of a configuration: requests, and the routes or statuses that they must meet.

#include <string>
#include <vector>

#include "revproxyd/app/settings.h"
#include "revproxyd/proxy/plan.h"

namespace revproxyd::app {

/// One line for each test that fails, with its place in the file.
std::vector<std::string> run_route_tests(const std::vector<RouteTest>& tests,
                                         const proxy::Plan& plan);

}  // namespace revproxyd::app

// Routes that can never be told apart, and routes that stand in the shadow of others.

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "app/assemble.h"
#include "revproxyd/proxy/router.h"
#include "revproxyd/proxy/settings_types.h"

namespace revproxyd::app {

namespace {

using proxy::RouteSettings;

/// Each takes a place in the router, and is compared with others.
constexpr std::size_t kMostCombinations = 500'000;

/// How a route is called in a message.
std::string called(const config::Node& node, const RouteSettings& route) {
  const config::Node* name = node.find("name");
  return config::Reader::shown(name == nullptr ? node : *name, route.name);
}

/// Which of them are refused, since another has the same conditions.
std::vector<bool> refuse_equal(config::Reader& reader, const std::vector<config::Node>& nodes,
                               const std::vector<RouteSettings>& routes) {
  std::unordered_map<std::string, std::size_t> seen;
  std::vector<bool> equal(routes.size(), false);
  for (std::size_t i = 0; i < routes.size(); ++i) {
    if (routes[i].refused) continue;
    const std::string key =
        std::to_string(routes[i].priority) + '\n' + proxy::canonical(routes[i].match);
    const auto [first, fresh] = seen.emplace(key, i);
    if (fresh) continue;
    equal[i] = true;
    reader.error(nodes[i],
                 "routes " + called(nodes[first->second], routes[first->second]) + " and " +
                     called(nodes[i], routes[i]) + " can never be told apart",
                 "the other is at " + reader.report().place(nodes[first->second].mark));
  }
  return equal;
}

/// A small file may name thousands of hosts and of paths in one route.
bool few_combinations(config::Reader& reader, const std::vector<config::Node>& nodes,
                      const std::vector<RouteSettings>& routes) {
  std::size_t all = 0;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const auto& match = routes[i].match;
    all +=
        std::max<std::size_t>(match.hosts.size(), 1) * std::max<std::size_t>(match.paths.size(), 1);
    if (all <= kMostCombinations) continue;
    return reader.error(nodes[i],
                        "more than " + std::to_string(kMostCombinations) +
                            " combinations of host and path in the routes up to " +
                            called(nodes[i], routes[i]),
                        "write what all hosts share without 'host'");
  }
  return true;
}

/// Whether requests of a listener can meet the route, as far as listener and scheme decide.
bool leads_to(const proxy::ListenerSettings& listener, const RouteSettings& route,
              bool proxies_trusted) {
  const auto& names = route.match.listeners;
  if (listener.redirect_https) return false;
  if (!names.empty() && std::ranges::find(names, listener.name) == names.end()) return false;
  // A trusted proxy may say another scheme than that of the listener.
  if (!route.match.scheme || proxies_trusted) return true;
  return (*route.match.scheme == net::Scheme::https) == listener.tls.has_value();
}

void warn_of_routes_without_listener(config::Reader& reader, const std::vector<config::Node>& nodes,
                                     const Settings& settings) {
  if (!reader.report().ok()) return;  // a listener that was refused may be the one
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const RouteSettings& route = settings.routes[i];
    const bool met = std::ranges::any_of(settings.listeners, [&](const auto& listener) {
      return leads_to(listener, route, !settings.trusted_proxies.empty());
    });
    if (!met)
      reader.warning(nodes[i].mark, "route " + called(nodes[i], route) +
                                        " can never match: no listener leads to it");
  }
}

}  // namespace

void check_reachable(config::Reader& reader, const std::vector<config::Node>& nodes,
                     const Settings& settings) {
  const std::vector<RouteSettings>& routes = settings.routes;
  const std::vector<bool> equal = refuse_equal(reader, nodes, routes);
  // One that could not be read has no patterns to compare.
  if (std::ranges::any_of(routes, &RouteSettings::refused)) return;
  if (!few_combinations(reader, nodes, routes)) return;
  for (const proxy::ShadowedRoute& one : proxy::shadowed_routes(routes)) {
    if (equal[one.route]) continue;
    reader.warning(nodes[one.route].mark,
                   "route " + called(nodes[one.route], routes[one.route]) + " can never match: " +
                       called(nodes[one.by], routes[one.by]) + " takes its requests",
                   "the other is at " + reader.report().place(nodes[one.by].mark));
  }
  warn_of_routes_without_listener(reader, nodes, settings);
}

}  // namespace revproxyd::app

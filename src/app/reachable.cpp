// Routes that can never be told apart, and routes that stand in the shadow of others.

#include <string>
#include <unordered_map>
#include <vector>

#include "app/assemble.h"
#include "revproxyd/proxy/settings_types.h"

namespace revproxyd::app {

namespace {

using proxy::HostKind;
using proxy::HostPattern;
using proxy::MatchSettings;
using proxy::PathKind;
using proxy::PathPattern;
using proxy::RouteSettings;

/// Routes of one host that are looked at for each route; beyond, shadows are not searched for.
constexpr std::size_t kSearched = 64;

bool host_and_path_only(const MatchSettings& match) {
  return match.methods.empty() && match.headers.empty() && match.query.empty() &&
         match.cookies.empty() && match.sources.empty() && !match.scheme && match.listeners.empty();
}

bool covers(const PathPattern& wide, const PathPattern& narrow) {
  if (wide.kind == PathKind::any || wide == narrow) return true;
  if (wide.kind != PathKind::prefix ||
      (narrow.kind != PathKind::exact && narrow.kind != PathKind::prefix))
    return false;
  return narrow.text.starts_with(wide.text) &&
         (narrow.text.size() == wide.text.size() || narrow.text[wide.text.size()] == '/');
}

bool covers_paths(const MatchSettings& wide, const MatchSettings& narrow) {
  if (wide.paths.empty()) return true;
  const std::vector<PathPattern> any{PathPattern{}};
  for (const PathPattern& path : narrow.paths.empty() ? any : narrow.paths) {
    bool covered = false;
    for (const PathPattern& one : wide.paths) covered = covered || covers(one, path);
    if (!covered) return false;
  }
  return true;
}

/// Routes without further conditions, by each host that they name; "" = any host.
class Open {
 public:
  explicit Open(const std::vector<RouteSettings>& routes) : routes_(routes) {
    for (std::size_t i = 0; i < routes.size(); ++i) {
      if (routes[i].refused || !host_and_path_only(routes[i].match)) continue;
      if (routes[i].match.hosts.empty()) by_host_[""].push_back(i);
      for (const HostPattern& host : routes[i].match.hosts) by_host_[key(host)].push_back(i);
    }
  }

  /// A route that takes all of `index`'s requests first, or `index` itself.
  std::size_t shadow_of(std::size_t index) const {
    const MatchSettings& match = routes_[index].match;
    if (match.hosts.empty()) return search("", index);
    std::size_t found = index;
    for (const HostPattern& host : match.hosts) {
      found = search_host(host, index);
      if (found == index) return index;
    }
    return found;
  }

 private:
  static std::string key(const HostPattern& host) {
    return (host.kind == HostKind::wildcard ? "*." : "") + host.name;
  }

  std::size_t search_host(const HostPattern& host, std::size_t index) const {
    std::size_t found = search(key(host), index);
    const std::size_t dot = host.name.find('.');
    if (found == index && host.kind == HostKind::exact && dot != std::string::npos)
      found = search("*" + host.name.substr(dot), index);
    return found == index ? search("", index) : found;
  }

  std::size_t search(const std::string& host, std::size_t index) const {
    const auto list = by_host_.find(host);
    if (list == by_host_.end()) return index;
    const RouteSettings& route = routes_[index];
    for (std::size_t i = 0; i < list->second.size() && i < kSearched; ++i) {
      const std::size_t other = list->second[i];
      const RouteSettings& wide = routes_[other];
      if (other == index || !covers_paths(wide.match, route.match)) continue;
      if (wide.priority > route.priority ||
          (wide.priority == route.priority && goes_first(host, other, index)))
        return other;
    }
    return index;
  }

  /// At one priority only file order is left, and only where host, paths and number of conditions
  /// are the same.
  bool goes_first(const std::string& host, std::size_t other, std::size_t index) const {
    const MatchSettings& route = routes_[index].match;
    bool named = host.empty() && route.hosts.empty();
    for (const HostPattern& one : route.hosts) named = named || key(one) == host;
    return named && other < index && host_and_path_only(route) &&
           routes_[other].match.paths == route.paths;
  }

  const std::vector<RouteSettings>& routes_;
  std::unordered_map<std::string, std::vector<std::size_t>> by_host_;
};

}  // namespace

void check_reachable(config::Reader& reader, const std::vector<config::Node>& nodes,
                     const std::vector<RouteSettings>& routes) {
  std::unordered_map<std::string, std::size_t> seen;
  const Open open(routes);
  for (std::size_t i = 0; i < routes.size(); ++i) {
    if (routes[i].refused) continue;
    const std::string key =
        std::to_string(routes[i].priority) + '\n' + proxy::canonical(routes[i].match);
    if (const auto [first, fresh] = seen.emplace(key, i); !fresh) {
      reader.error(nodes[i],
                   "routes '" + routes[first->second].name + "' and '" + routes[i].name +
                       "' can never be told apart",
                   "the other is at " + reader.report().place(nodes[first->second].mark));
      continue;
    }
    const std::size_t shadow = open.shadow_of(i);
    if (shadow == i) continue;
    reader.warning(nodes[i].mark,
                   "route '" + routes[i].name + "' can never match: '" + routes[shadow].name +
                       "' takes its requests",
                   "the other is at " + reader.report().place(nodes[shadow].mark));
  }
}

}  // namespace revproxyd::app

// Finds routes that others hide. Everything that could cover a pattern is looked up by its text, so
// the cost grows with the number of alternatives and the depth of their paths, never with pairs of
// routes.

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>

#include "revproxyd/base/ascii.h"
#include "revproxyd/proxy/router.h"

namespace revproxyd::proxy {

namespace {

/// Length first, so that texts put together cannot be mistaken for others.
std::string counted(std::string_view text) {
  return std::to_string(text.size()) + ":" + std::string(text);
}

std::string joined(char tag, std::vector<std::string> entries) {
  std::sort(entries.begin(), entries.end());
  std::string out(entries.empty() ? 0 : 1, tag);
  for (const std::string& entry : entries) out += counted(entry);
  return out;
}

std::string joined(char tag, const std::vector<ValuePattern>& patterns, bool any_case) {
  std::vector<std::string> entries;
  for (const ValuePattern& pattern : patterns) {
    entries.push_back(counted(any_case ? ascii::lower(pattern.name) : pattern.name) +
                      std::to_string(static_cast<int>(pattern.kind)) + pattern.text);
  }
  return joined(tag, std::move(entries));
}

/// The same text for the same conditions besides host and path; empty for none.
std::string condition_key(const MatchSettings& match) {
  std::vector<std::string> sources;
  for (const net::Cidr& source : match.sources) sources.push_back(source.text());
  std::string out = joined('m', match.methods) + joined('h', match.headers, true) +
                    joined('q', match.query, false) + joined('c', match.cookies, false) +
                    joined('s', std::move(sources)) + joined('l', match.listeners);
  if (match.scheme) out += "x" + std::to_string(static_cast<int>(*match.scheme));
  return out;
}

std::string host_key(HostKind kind, std::string_view name) {
  return std::to_string(static_cast<int>(kind)) + counted(name);
}

std::string path_key(PathKind kind, std::string_view text) {
  return std::to_string(static_cast<int>(kind)) + counted(text);
}

/// Keys of all host patterns that take whatever `host` takes.
std::vector<std::string> wider_hosts(const HostPattern& host) {
  std::vector<std::string> keys{host_key(HostKind::any, {})};
  if (host.kind == HostKind::any) return keys;
  keys.push_back(host_key(host.kind, host.name));
  const std::size_t dot = host.name.find('.');
  if (host.kind == HostKind::exact && dot != std::string::npos && dot != 0) {
    keys.push_back(host_key(HostKind::wildcard, std::string_view(host.name).substr(dot + 1)));
  }
  return keys;
}

/// Keys of path patterns that take whatever `path` takes.
std::vector<std::string> wider_paths(const PathPattern& path) {
  std::vector<std::string> keys{path_key(PathKind::any, {})};
  if (path.kind == PathKind::any) return keys;
  keys.push_back(path_key(path.kind, path.text));
  if (path.kind == PathKind::regex) return keys;
  std::string_view prefix = path.text;
  if (path.kind == PathKind::glob) prefix = prefix.substr(0, prefix.find("/*"));
  for (; !prefix.empty(); prefix = prefix.substr(0, prefix.rfind('/'))) {
    keys.push_back(path_key(PathKind::prefix, prefix));
  }
  return keys;
}

/// Alternatives seen so far by their text, the first of each.
class Seen {
 public:
  void add(const Alternative& alternative, const std::string& conditions) {
    first_.emplace(key(host_key(alternative.host.kind, alternative.host.name),
                       path_key(alternative.path.kind, alternative.path.text), conditions),
                   alternative.route);
  }

  /// A route other than its own that hides `alternative`.
  std::optional<std::size_t> hider(const Alternative& alternative,
                                   const std::string& conditions) const {
    const std::vector<std::string> paths = wider_paths(alternative.path);
    for (const std::string& host : wider_hosts(alternative.host)) {
      for (const std::string& path : paths) {
        for (const std::string& condition : {std::string(), conditions}) {
          const auto found = first_.find(key(host, path, condition));
          if (found != first_.end() && found->second != alternative.route) return found->second;
        }
      }
    }
    return std::nullopt;
  }

 private:
  static std::string key(const std::string& host, const std::string& path,
                         const std::string& conditions) {
    return host + path + conditions;
  }
  std::unordered_map<std::string, std::size_t> first_;
};

}  // namespace

std::vector<ShadowedRoute> shadowed_routes(const std::vector<RouteSettings>& routes) {
  std::vector<std::string> conditions;
  for (const RouteSettings& route : routes) conditions.push_back(condition_key(route.match));
  Seen seen;
  std::vector<bool> reachable(routes.size(), false);
  std::vector<std::size_t> by(routes.size(), 0);
  for (const Alternative& alternative : precedence(routes)) {
    const std::string& own = conditions[alternative.route];
    if (const auto hider = seen.hider(alternative, own)) {
      by[alternative.route] = *hider;
    } else {
      reachable[alternative.route] = true;
    }
    seen.add(alternative, own);
  }
  std::vector<ShadowedRoute> out;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    if (!reachable[i]) out.push_back({i, by[i]});
  }
  return out;
}

}  // namespace revproxyd::proxy

#pragma once
// Which route a request takes. A Router is compiled once from the settings and then only read, by
// any number of threads.
//
// Precedence: `priority` (higher first), then the host (exact, wildcard, any), then the path
// (exact; then the one with more characters before its first `*`; then regexes; then no path), then
// the number of other conditions, then file order. The first route in this order whose conditions
// all hold wins.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "revproxyd/http/head.h"
#include "revproxyd/net/address.h"
#include "revproxyd/net/settings.h"
#include "revproxyd/proxy/settings.h"

namespace revproxyd::proxy {

/// What the conditions of a route look at.
struct MatchInput {
  const http::RequestHead& head;
  const net::Address& client;  // after trusted proxies
  net::Scheme scheme = net::Scheme::http;
  std::string_view listener;  // its name
};

/// One host and one path of a route. A route that names several is several alternatives, each with
/// a precedence of its own.
struct Alternative {
  std::size_t route = 0;  // index in file order
  HostPattern host;
  PathPattern path;  // canonical, see canonical_path()
  std::int32_t priority = 0;
  std::uint32_t literal = 0;     // characters before the first `*` of a prefix or glob, else 0
  std::uint32_t conditions = 0;  // see condition_count()
};

/// Every alternative of every route, first the one that is tried first. Throws
/// std::invalid_argument, naming the route, for a path that canonical_path() refuses; regexes are
/// taken as they are.
std::vector<Alternative> precedence(const std::vector<RouteSettings>& routes);

/// Conditions besides host and path: one for each header, query parameter and cookie, and one each
/// for the lists `method`, `source`, `listener` (of which any entry may hold) and for `scheme`.
std::uint32_t condition_count(const MatchSettings& match) noexcept;

/// A route that no request can reach, and one that comes before it.
struct ShadowedRoute {
  std::size_t route = 0;
  std::size_t by = 0;
  bool operator==(const ShadowedRoute&) const = default;
};
/// Routes of which each alternative comes after one of another route that takes the same or more
/// hosts and paths and has no further condition, or the very same ones; ascending. Every route that
/// it names is unreachable; not every unreachable one is named, for regexes are compared by their
/// text, and globs but by their text and what leads to their first `*`.
std::vector<ShadowedRoute> shadowed_routes(const std::vector<RouteSettings>& routes);

/// A path pattern in the form that normalised paths are compared with (http/target.h): bytes
/// outside printable ASCII escaped, then normalised; a prefix without its trailing slash, and one
/// of "/" is PathKind::any. On a pattern that cannot be used `problem` says why and `pattern` means
/// nothing: no leading '/', a '?', a bad escape, `*` beside other characters of its segment, `**`
/// anywhere but at the end, a regex that does not compile.
struct CanonicalPath {
  PathPattern pattern;
  std::string problem;  // empty: none
};
CanonicalPath canonical_path(const PathPattern& pattern);

class Router {
 public:
  /// Throws std::invalid_argument, naming the route, for a path or regex that cannot be compiled.
  /// Keeps no reference.
  explicit Router(const std::vector<RouteSettings>& routes);
  ~Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;

  /// The index of the route that takes the request, or nothing. Time does not depend on the number
  /// of hosts and paths, but is linear in the regexes of the hosts concerned and in routes that
  /// differ by other conditions only. A request without host meets only any-host routes. Takes no
  /// lock and does not allocate, except within RE2 and for an escaped query value over 512 bytes
  /// that a regex looks at.
  std::optional<std::size_t> match(const MatchInput& input) const noexcept;

 private:
  class Index;
  std::unique_ptr<const Index> index_;
};

}  // namespace revproxyd::proxy

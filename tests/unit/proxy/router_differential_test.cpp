// The router against a matcher that is too simple to be wrong: try every alternative, keep the
// best.

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "router_fixture.h"

namespace revproxyd::proxy::testing {
namespace {

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == at) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

bool naive_host(const HostPattern& pattern, const std::string& host) {
  if (pattern.kind == HostKind::any) return true;
  if (pattern.kind == HostKind::exact) return pattern.name == host;
  const std::vector<std::string> want = split(pattern.name, '.');
  std::vector<std::string> have = split(host, '.');
  if (have.size() != want.size() + 1 || have.front().empty()) return false;
  have.erase(have.begin());
  return have == want;
}

bool naive_path(const PathPattern& pattern, const std::string& path) {
  switch (pattern.kind) {
    case PathKind::any: return true;
    case PathKind::exact: return pattern.text == path;
    case PathKind::prefix:
      return path == pattern.text ||
             path.compare(0, pattern.text.size() + 1, pattern.text + "/") == 0;
    case PathKind::regex:  // the test writes only plain letters
      return path.find(pattern.text) != std::string::npos;
    case PathKind::glob: break;
  }
  const std::vector<std::string> want = split(pattern.text, '/');
  const std::vector<std::string> have = split(path, '/');
  const bool open = want.back() == "**";
  const std::size_t fixed = want.size() - (open ? 1 : 0);
  if (open ? have.size() < fixed : have.size() != fixed) return false;
  for (std::size_t i = 0; i < fixed; ++i) {
    if (want[i] == "*" ? have[i].empty() : want[i] != have[i]) return false;
  }
  return true;
}

bool naive_conditions(const MatchSettings& match, const Request& request) {
  bool method = match.methods.empty();
  for (const std::string& token : match.methods)
    method = method || token == request.head().method_text;
  bool rest = true;
  for (const ValuePattern& header : match.headers) {
    rest = rest && (request.head().fields.find(header.name) != nullptr) ==
                       (header.kind == ValueKind::present);
  }
  return method && rest;
}

/// Bigger is better, place by place.
std::vector<long> naive_strength(const RouteSettings& route, const HostPattern& host,
                                 const PathPattern& path) {
  const long host_rank = host.kind == HostKind::exact ? 2 : host.kind == HostKind::wildcard ? 1 : 0;
  long kind = 0;
  long literal = 0;
  if (path.kind == PathKind::exact) kind = 3;
  if (path.kind == PathKind::regex) kind = 1;
  if (path.kind == PathKind::prefix || path.kind == PathKind::glob) {
    kind = 2;
    const std::string written = path.kind == PathKind::prefix ? path.text + "/**" : path.text;
    literal = static_cast<long>(written.find('*'));
  }
  const long conditions =
      (route.match.methods.empty() ? 0 : 1) + static_cast<long>(route.match.headers.size());
  return {route.priority, host_rank, kind, literal, conditions};
}

std::string naive_match(const std::vector<RouteSettings>& routes, const Request& request) {
  std::string winner = "none";
  std::vector<long> best;
  for (const RouteSettings& route : routes) {
    if (!naive_conditions(route.match, request)) continue;
    std::vector<HostPattern> hosts = route.match.hosts;
    std::vector<PathPattern> paths = route.match.paths;
    if (hosts.empty()) hosts.emplace_back();
    if (paths.empty()) paths.emplace_back();
    for (const HostPattern& host : hosts) {
      for (const PathPattern& path : paths) {
        if (!naive_host(host, std::string(request.head().host))) continue;
        if (!naive_path(path, std::string(request.head().path))) continue;
        const std::vector<long> strength = naive_strength(route, host, path);
        if (winner != "none" && strength <= best) continue;
        winner = route.name;
        best = strength;
      }
    }
  }
  return winner;
}

class Dice {
 public:
  explicit Dice(unsigned seed) : engine_(seed) {}
  int below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(engine_); }
  bool one_in(int n) { return below(n) == 0; }
  std::string pick(const std::vector<std::string>& from) {
    return from[static_cast<std::size_t>(below(static_cast<int>(from.size())))];
  }

  std::string segments(bool stars) {
    std::string out;
    const int count = 1 + below(4);
    for (int i = 0; i < count; ++i)
      out += "/" + (stars && one_in(3) ? "*" : pick({"a", "b", "ab"}));
    return out;
  }

  std::string path_pattern() {
    switch (below(6)) {
      case 0: return "/**";
      case 1: return "~" + pick({"a", "b/a", "ab/"});
      case 2: return segments(false) + "/**";
      case 3: return segments(true) + (one_in(2) ? "/**" : "");
      case 4: return segments(false) + (one_in(3) ? "/" : "");
      default: return segments(true);
    }
  }

  RouteSettings make_route(int number) {
    RouteSettings out = route("r" + std::to_string(number), {}, {});
    for (int i = below(3); i > 0; --i) {
      out.match.hosts.push_back(host(pick({"*", "x.t", "y.t", "*.t", "z.x.t", "*.x.t"})));
    }
    for (int i = below(4); i > 0; --i) out.match.paths.push_back(path(path_pattern()));
    if (one_in(3)) out.match.methods.push_back(pick({"GET", "POST", "PURGE"}));
    if (one_in(4))
      out.match.headers.push_back({"X-A", one_in(2) ? ValueKind::present : ValueKind::absent, ""});
    if (one_in(4))
      out.match.headers.push_back(
          {"Accept", one_in(2) ? ValueKind::present : ValueKind::absent, ""});
    if (one_in(8)) out.priority = below(3) - 1;
    return out;
  }

 private:
  std::mt19937 engine_;
};

std::vector<RouteSettings> random_routes(Dice& dice) {
  std::vector<RouteSettings> routes;
  for (int i = dice.below(25); i >= 0; --i) routes.push_back(dice.make_route(i));
  return routes;
}

std::string random_host(Dice& dice) {
  return dice.pick({"", "t", "x.t", "y.t", "w.t", "z.x.t", "w.x.t", "q.z.x.t"});
}

std::string random_path(Dice& dice) {
  return dice.one_in(15) ? "/" : dice.segments(false) + (dice.one_in(4) ? "/" : "");
}

TEST(RouterDifferential, AgreesWithTryingEverythingInTurn) {
  std::size_t matched = 0;
  std::size_t asked = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    Dice dice(seed);
    const std::vector<RouteSettings> routes = random_routes(dice);
    const Router router(routes);
    for (int i = 0; i < 100; ++i) {
      const std::string name = random_host(dice);
      const std::string target = random_path(dice);
      const std::string token = dice.pick({"GET", "POST", "PURGE", "BREW"});
      Request request(name, target);
      request.method(token);
      if (dice.one_in(2)) request.field("x-a", "1");
      if (dice.one_in(2)) request.field("accept", "1");
      const auto index = router.match(request.input());
      const std::string got = index ? routes[*index].name : "none";
      ASSERT_EQ(got, naive_match(routes, request))
          << "seed " << seed << ", " << token << " '" << name << "' " << target;
      ++asked;
      if (index) ++matched;
    }
  }
  // Both outcomes must have been met often, or the comparison says little.
  EXPECT_GT(matched, asked / 4);
  EXPECT_LT(matched, asked - asked / 50);
}

TEST(RouterDifferential, ShadowedRoutesNeverWin) {
  std::size_t shadowed = 0;
  for (unsigned seed = 1000; seed < 1300; ++seed) {
    Dice dice(seed);
    const std::vector<RouteSettings> routes = random_routes(dice);
    const Router router(routes);
    std::vector<bool> hidden(routes.size(), false);
    for (const ShadowedRoute& entry : shadowed_routes(routes)) hidden[entry.route] = true;
    shadowed += static_cast<std::size_t>(std::count(hidden.begin(), hidden.end(), true));
    for (int i = 0; i < 100; ++i) {
      const std::string name = random_host(dice);
      const std::string target = random_path(dice);
      const std::string token = dice.pick({"GET", "POST", "PURGE"});
      Request request(name, target);
      request.method(token);
      if (dice.one_in(2)) request.field("x-a", "1");
      if (dice.one_in(2)) request.field("accept", "1");
      const auto index = router.match(request.input());
      if (index) {
        ASSERT_FALSE(hidden[*index]) << "seed " << seed << ", " << routes[*index].name;
      }
    }
  }
  EXPECT_GT(shadowed, 100u);
}

}  // namespace
}  // namespace revproxyd::proxy::testing

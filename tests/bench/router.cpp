// What a match costs with ten and with ten thousand routes. Prints one line a shape and ends with 1
// when ten thousand cost more than twice as much as ten.
//
// The requests of both sizes are equally many and lie equally far apart in memory, so that only the
// router makes a difference.

#include "revproxyd/proxy/router.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "revproxyd/base/arena.h"

namespace {

using namespace revproxyd;

constexpr std::size_t kRequests = 10000;
constexpr int kRounds = 200;
constexpr double kAllowedRatio = 2.0;

struct Shape {
  const char* name;
  proxy::RouteSettings (*route)(std::size_t number);
  std::string (*host)(std::size_t number);
  std::string (*path)(std::size_t number);
};

std::string label(std::size_t number) { return "n" + std::to_string(100000 + number); }

proxy::RouteSettings on_host(proxy::HostKind kind, std::string name) {
  proxy::RouteSettings route;
  route.match.hosts.push_back({kind, std::move(name)});
  return route;
}

proxy::RouteSettings on_path(proxy::PathKind kind, std::string text) {
  proxy::RouteSettings route = on_host(proxy::HostKind::exact, "www.example.com");
  route.match.paths.push_back({kind, std::move(text)});
  return route;
}

std::string one_host(std::size_t) { return "www.example.com"; }
std::string index_page(std::size_t) { return "/static/index.html"; }

const Shape kShapes[] = {
    {"hosts",
     [](std::size_t n) { return on_host(proxy::HostKind::exact, label(n) + ".example.com"); },
     [](std::size_t n) { return label(n) + ".example.com"; }, index_page},
    {"wildcard hosts",
     [](std::size_t n) { return on_host(proxy::HostKind::wildcard, label(n) + ".example.com"); },
     [](std::size_t n) { return "www." + label(n) + ".example.com"; }, index_page},
    {"exact paths",
     [](std::size_t n) { return on_path(proxy::PathKind::exact, "/api/" + label(n) + "/list"); },
     one_host, [](std::size_t n) { return "/api/" + label(n) + "/list"; }},
    {"prefixes", [](std::size_t n) { return on_path(proxy::PathKind::prefix, "/" + label(n)); },
     one_host, [](std::size_t n) { return "/" + label(n) + "/a/b.html"; }},
    {"globs", [](std::size_t n) { return on_path(proxy::PathKind::glob, "/api/*/" + label(n)); },
     one_host, [](std::size_t n) { return "/api/v1/" + label(n); }},
    {"globs, star last",
     [](std::size_t n) { return on_path(proxy::PathKind::glob, "/" + label(n) + "/*/edit"); },
     one_host, [](std::size_t n) { return "/" + label(n) + "/17/edit"; }},
};

/// Nanoseconds a match; the best of the rounds, which is the one that nothing disturbed.
double measure(const Shape& shape, std::size_t routes_count) {
  std::vector<proxy::RouteSettings> routes;
  for (std::size_t i = 0; i < routes_count; ++i) routes.push_back(shape.route(i));
  const proxy::Router router(routes);

  std::vector<std::size_t> asked(kRequests);
  for (std::size_t i = 0; i < kRequests; ++i) asked[i] = i % routes_count;
  std::shuffle(asked.begin(), asked.end(), std::mt19937(1));
  std::vector<std::string> hosts;
  std::vector<std::string> paths;
  for (const std::size_t number : asked) {
    hosts.push_back(shape.host(number));
    paths.push_back(shape.path(number));
  }

  Arena arena;
  http::RequestHead head(arena);
  const net::Address client;
  const proxy::MatchInput input{head, client, net::Scheme::http, "main"};
  double best = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    std::size_t wrong = 0;
    const auto begin = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < kRequests; ++i) {
      head.host = hosts[i];
      head.path = paths[i];
      if (router.match(input) != asked[i]) ++wrong;
    }
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    if (wrong != 0) {
      std::printf("%s: %zu wrong answers\n", shape.name, wrong);
      return 1e9;
    }
    best = std::min(best, took.count() / static_cast<double>(kRequests));
  }
  return best;
}

}  // namespace

int main() {
  bool good = true;
  std::printf("%-18s %10s %10s %7s\n", "shape", "10: ns", "10000: ns", "ratio");
  for (const Shape& shape : kShapes) {
    const double few = measure(shape, 10);
    const double many = measure(shape, 10000);
    std::printf("%-18s %10.1f %10.1f %7.2f\n", shape.name, few, many, many / few);
    good = good && many <= kAllowedRatio * few;
  }
  return good ? 0 : 1;
}

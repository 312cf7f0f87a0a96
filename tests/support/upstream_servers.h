#pragma once
// Servers for the tests of balancing, and the statistics to judge them by.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "revproxyd/upstream/balancer.h"

namespace revproxyd::upstream::test {

inline constexpr TimePoint kNow{std::chrono::hours(1)};

inline ServerSettings server(const std::string& url, std::uint32_t weight = 1,
                             bool backup = false) {
  ServerSettings settings;
  settings.url.text = url;
  settings.weight = weight;
  settings.backup = backup;
  return settings;
}

using Servers = std::vector<std::shared_ptr<Endpoint>>;

/// Primaries http://s0, http://s1, ... of these weights.
inline Servers servers(const std::vector<std::uint32_t>& weights) {
  Servers all;
  for (const std::uint32_t weight : weights) {
    all.push_back(std::make_shared<Endpoint>(
        "test", server("http://s" + std::to_string(all.size()), weight)));
  }
  return all;
}

inline std::shared_ptr<Endpoint> backup_server(const std::string& url) {
  return std::make_shared<Endpoint>("test", server(url, 1, true));
}

inline std::unique_ptr<Balancer> balancer(BalanceMethod method, const Servers& all,
                                          std::uint64_t seed = 1) {
  auto made = make_balancer(method, seed);
  made->rebuild(all);
  return made;
}

/// The picked index, or kNone.
inline constexpr std::size_t kNone = ~std::size_t{0};
inline std::size_t pick(Balancer& from, const PickQuery& query = {.now = kNow}) {
  const Pick picked = from.pick(query);
  return picked.status == PickStatus::picked ? picked.index : kNone;
}

inline std::size_t pick_key(Balancer& from, std::uint64_t number) {
  return pick(from, {.key = {hash_bytes("key " + std::to_string(number)), true}, .now = kNow});
}

/// How often each of `count` servers is picked in `picks` picks.
inline std::vector<std::size_t> tally(Balancer& from, std::size_t count, std::size_t picks) {
  std::vector<std::size_t> seen(count);
  for (std::size_t i = 0; i < picks; ++i) ++seen.at(pick(from));
  return seen;
}

/// Pearson's statistic of counts against shares in proportion to `weights`.
inline double chi_square(const std::vector<std::size_t>& seen,
                         const std::vector<std::uint32_t>& weights) {
  double picks = 0;
  double total = 0;
  for (const std::size_t count : seen) picks += static_cast<double>(count);
  for (const std::uint32_t weight : weights) total += weight;
  double sum = 0;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const double expected = picks * weights[i] / total;
    const double off = static_cast<double>(seen[i]) - expected;
    sum += off * off / expected;
  }
  return sum;
}

/// Values that chi-square exceeds once in a thousand fair runs, by degrees of freedom.
inline constexpr double kChiSquare2 = 13.82;
inline constexpr double kChiSquare3 = 16.27;
inline constexpr double kChiSquare9 = 27.88;
inline constexpr double kChiSquare63 = 103.44;

}  // namespace revproxyd::upstream::test

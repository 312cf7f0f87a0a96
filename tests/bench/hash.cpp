// What `balance: hash` costs and how well it spreads, for three to a thousand servers. Prints one
// line a number of servers. Times are CPU time, so that a busy machine disturbs them less.

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "tests/support/upstream_servers.h"

namespace {

using namespace revproxyd;
using namespace revproxyd::upstream;

constexpr std::size_t kKeys = 1000000;

std::vector<std::uint64_t> make_keys() {
  std::vector<std::uint64_t> keys;
  for (std::size_t i = 0; i < kKeys; ++i) keys.push_back(hash_bytes("key " + std::to_string(i)));
  return keys;
}

double ms_since(std::clock_t begun) {
  return 1e3 * static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
}

using Owners = std::vector<const Endpoint*>;

Owners owners(Balancer& from, const test::Servers& all, const std::vector<std::uint64_t>& keys) {
  Owners owners;
  for (const std::uint64_t key : keys)
    owners.push_back(all.at(test::pick(from, {.key = {key, true}, .now = test::kNow})).get());
  return owners;
}

double ns_per_pick(Balancer& from, const std::vector<std::uint64_t>& keys, std::size_t picks) {
  std::size_t sum = 0;
  const std::clock_t begun = std::clock();
  for (std::size_t i = 0; i < picks; ++i)
    sum += test::pick(from, {.key = {keys[i % keys.size()], true}, .now = test::kNow});
  const double ns = ms_since(begun) * 1e6 / static_cast<double>(picks);
  return sum == test::kNone ? 0 : ns;
}

// Of all keys in per cent, those of `gone` left out.
double moved(const Owners& before, const Owners& after, const Endpoint* gone) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < before.size(); ++i)
    if (before[i] != gone && before[i] != after[i]) ++count;
  return 100.0 * static_cast<double>(count) / static_cast<double>(before.size());
}

double fullest(const Owners& owners, const test::Servers& all) {
  std::vector<std::size_t> counts(all.size());
  for (std::size_t i = 0; i < all.size(); ++i)
    counts[i] = static_cast<std::size_t>(std::count(owners.begin(), owners.end(), all[i].get()));
  return static_cast<double>(*std::max_element(counts.begin(), counts.end())) *
         static_cast<double>(all.size()) / static_cast<double>(owners.size());
}

void measure(std::size_t count, const std::vector<std::uint64_t>& keys) {
  const test::Servers all = test::servers(std::vector<std::uint32_t>(count, 1));
  const std::clock_t begun = std::clock();
  const auto balancer = test::balancer(BalanceMethod::hash, all);
  const double build_ms = ms_since(begun);
  const double ns = ns_per_pick(*balancer, keys, count > 100 ? 100000 : 1000000);
  const Owners before = owners(*balancer, all, keys);
  const std::size_t which = count / 2;
  all[which]->mark_down();
  const double down = moved(before, owners(*balancer, all, keys), all[which].get());
  const double down_ns = ns_per_pick(*balancer, keys, count > 100 ? 100000 : 1000000);
  all[which]->mark_up();
  test::Servers fewer = all;
  fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(which));
  const auto smaller = test::balancer(BalanceMethod::hash, fewer);
  const double left = moved(before, owners(*smaller, fewer, keys), all[which].get());
  std::printf(
      "%4zu servers: build %6.2f ms, pick %7.1f ns (one down %7.1f), fullest %.3f x mean, "
      "keys of others moved: one down %.3f %%, one removed %.3f %%\n",
      count, build_ms, ns, down_ns, fullest(before, all), down, left);
}

}  // namespace

int main() {
  const auto keys = make_keys();
  for (const std::size_t count : {3U, 10U, 100U, 1000U}) measure(count, keys);
}

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/support/upstream_servers.h"

namespace revproxyd::upstream {
namespace {

using test::pick_key;
using test::servers;

constexpr std::uint64_t kKeys = 5000;

std::unique_ptr<Balancer> hash(const test::Servers& all, std::uint64_t seed = 3) {
  return test::balancer(BalanceMethod::hash, all, seed);
}

// The server of every key, by URL, so that sets of servers can be compared.
std::vector<std::string> owners(Balancer& from, const test::Servers& all) {
  std::vector<std::string> urls;
  for (std::uint64_t key = 0; key < kKeys; ++key)
    urls.push_back(all.at(pick_key(from, key))->url().text);
  return urls;
}

std::vector<std::string> owners(const test::Servers& all) { return owners(*hash(all), all); }

TEST(Hash, KeepsAKeyOnItsServer) {
  const auto set = servers({1, 1, 1});
  auto all = hash(set);
  EXPECT_EQ(owners(*all, set), owners(*all, set));
}

TEST(Hash, AgreesBetweenWorkersWhateverTheirSeed) {
  const auto set = servers({1, 3, 2});
  EXPECT_EQ(owners(*hash(set, 1), set), owners(*hash(set, 999), set));
}

TEST(Hash, AgreesWhateverTheOrderOfTheServers) {
  const auto set = servers({1, 3, 2});
  const test::Servers reversed(set.rbegin(), set.rend());
  EXPECT_EQ(owners(set), owners(reversed));
}

TEST(Hash, SpreadsKeysByWeight) {
  const std::vector<std::uint32_t> weights{1, 2, 3, 4};
  auto all = hash(servers(weights));
  std::vector<std::size_t> seen(4);
  for (std::uint64_t key = 0; key < 20000; ++key) ++seen[pick_key(*all, key)];
  EXPECT_LT(test::chi_square(seen, weights), test::kChiSquare3);
}

TEST(Hash, SpreadsKeysEvenlyOverSixtyFourServers) {
  const std::vector<std::uint32_t> weights(64, 1);
  auto all = hash(servers(weights));
  std::vector<std::size_t> seen(64);
  for (std::uint64_t key = 0; key < 32000; ++key) ++seen[pick_key(*all, key)];
  EXPECT_LT(test::chi_square(seen, weights), test::kChiSquare63);
}

TEST(Hash, MovesOnlyTheKeysOfAServerThatLeaves) {
  const auto set = servers({1, 2, 1, 3, 1});
  const auto before = owners(set);
  test::Servers fewer = set;
  fewer.erase(fewer.begin() + 1);
  const auto after = owners(fewer);
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    if (before[key] == "http://s1") continue;
    EXPECT_EQ(after[key], before[key]) << "key " << key;
  }
}

TEST(Hash, SpreadsTheKeysOfALeavingServerOverAllOthersByWeight) {
  const auto set = servers({1, 2, 4, 1});
  const auto before = owners(set);
  set[1]->mark_down();
  const auto after = owners(set);
  std::vector<std::size_t> heirs(3);
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    if (before[key] != "http://s1") continue;
    const std::string& heir = after[key];
    ++heirs[heir == "http://s0" ? 0 : heir == "http://s2" ? 1 : 2];
  }
  EXPECT_LT(test::chi_square(heirs, {1, 4, 1}), test::kChiSquare2);
}

TEST(Hash, ANewServerTakesKeysButMovesNoneBetweenTheOthers) {
  const auto more = servers({1, 1, 1, 1});
  const test::Servers set(more.begin(), more.end() - 1);
  const auto before = owners(set);
  const auto after = owners(more);
  std::size_t moved = 0;
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    if (after[key] == before[key]) continue;
    EXPECT_EQ(after[key], "http://s3") << "key " << key;
    ++moved;
  }
  EXPECT_NEAR(static_cast<double>(moved), kKeys / 4.0, 150);
}

TEST(Hash, AHigherWeightOnlyDrawsKeysToItsServer) {
  const auto set = servers({1, 1, 1});
  const auto before = owners(set);
  set[2]->update(test::server("http://s2", 3));
  const auto after = owners(set);
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    if (after[key] == before[key]) continue;
    EXPECT_EQ(after[key], "http://s2") << "key " << key;
  }
  EXPECT_GT(std::count(after.begin(), after.end(), "http://s2"),
            std::count(before.begin(), before.end(), "http://s2"));
}

TEST(Hash, FallsBackToTheSameServerWhetherTheFirstIsDownTakenOutOrTried) {
  const auto set = servers({1, 1, 1, 1});
  auto all = hash(set);
  for (std::uint64_t number = 0; number < 500; ++number) {
    const PickQuery query{.key = {hash_bytes(std::to_string(number)), true}, .now = test::kNow};
    const std::size_t owner = test::pick(*all, query);
    const Endpoint* const tried[] = {set[owner].get()};
    PickQuery retry = query;
    retry.tried = tried;
    const std::size_t heir = test::pick(*all, retry);
    ASSERT_NE(heir, owner);
    set[owner]->take_out(test::kNow);
    EXPECT_EQ(test::pick(*all, query), heir);
    set[owner]->mark_down();
    EXPECT_EQ(test::pick(*all, query), heir);
    set[owner]->mark_up();
    EXPECT_EQ(test::pick(*all, query), owner);
  }
}

TEST(Hash, DrawsByWeightWithoutAKey) {
  const std::vector<std::uint32_t> weights{1, 2, 5};
  auto all = hash(servers(weights));
  EXPECT_LT(test::chi_square(test::tally(*all, 3, 8000), weights), test::kChiSquare2);
}

TEST(Hash, TakesExtremeKeysAndTheLargestWeight) {
  auto all = hash(servers({65535, 1}));
  for (const std::uint64_t key :
       {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{0x243f6a8885a308d3U}}) {
    EXPECT_NE(test::pick(*all, {.key = {key, true}, .now = test::kNow}), test::kNone);
  }
}

}  // namespace
}  // namespace revproxyd::upstream

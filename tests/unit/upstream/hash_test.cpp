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

TEST(Hash, MovesOnlyTheKeysOfAServerThatFails) {
  const auto set = servers({1, 2, 1, 3, 1});
  auto all = hash(set);
  const auto before = owners(*all, set);
  set[1]->mark_down();
  const auto after = owners(*all, set);
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    EXPECT_NE(after[key], "http://s1");
    if (before[key] == "http://s1") continue;
    EXPECT_EQ(after[key], before[key]) << "key " << key;
  }
  set[1]->mark_up();
  EXPECT_EQ(owners(*all, set), before);
}

TEST(Hash, MovesOnlyTheKeysOfServersThatFailWhenMostOfThemDo) {
  const auto set = servers(std::vector<std::uint32_t>(40, 1));
  auto all = hash(set);
  const auto before = owners(*all, set);
  for (std::size_t i = 0; i < 38; ++i) set[i]->mark_down();
  const auto two_left = owners(*all, set);
  EXPECT_EQ(owners(*all, set), two_left) << "a key keeps its stand-in";
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    if (before[key] != "http://s38" && before[key] != "http://s39") continue;
    EXPECT_EQ(two_left[key], before[key]) << "key " << key;
  }
  const auto share = std::count(two_left.begin(), two_left.end(), "http://s38");
  EXPECT_NEAR(static_cast<double>(share), kKeys / 2.0, 150);
}

TEST(Hash, MovesFewKeysBetweenTheOthersWhenAServerIsRemoved) {
  const auto set = servers({1, 2, 1, 3, 1});
  const auto before = owners(set);
  test::Servers fewer = set;
  fewer.erase(fewer.begin() + 1);
  const auto after = owners(fewer);
  std::size_t moved = 0;
  for (std::uint64_t key = 0; key < kKeys; ++key)
    if (before[key] != "http://s1" && after[key] != before[key]) ++moved;
  EXPECT_LT(moved, kKeys / 50);
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

TEST(Hash, ANewServerTakesKeysAndMovesFewBetweenTheOthers) {
  const auto more = servers({1, 1, 1, 1});
  const test::Servers set(more.begin(), more.end() - 1);
  const auto before = owners(set);
  const auto after = owners(more);
  std::size_t taken = 0;
  std::size_t moved = 0;
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    if (after[key] == before[key]) continue;
    ++(after[key] == "http://s3" ? taken : moved);
  }
  EXPECT_NEAR(static_cast<double>(taken), kKeys / 4.0, 150);
  EXPECT_LT(moved, kKeys / 50);
}

TEST(Hash, AHigherWeightDrawsKeysToItsServer) {
  const auto set = servers({1, 1, 1});
  const auto before = owners(set);
  set[2]->update(test::server("http://s2", 3));
  const auto after = owners(set);
  std::size_t moved = 0;
  for (std::uint64_t key = 0; key < kKeys; ++key)
    if (after[key] != before[key] && after[key] != "http://s2") ++moved;
  EXPECT_LT(moved, kKeys / 50);
  const auto share = std::count(after.begin(), after.end(), "http://s2");
  EXPECT_NEAR(static_cast<double>(share), kKeys * 3 / 5.0, 150);
}

TEST(Hash, LooksUpInASharedTableWhateverTheServersSay) {
  const auto set = servers({1, 1});
  const MaglevTable::Server swapped[] = {{set[1]->url_hash(), 1}, {set[0]->url_hash(), 1}};
  const MaglevTable table(swapped);
  auto all = make_balancer(BalanceMethod::hash, 1);
  all->rebuild(set, &table);
  auto own = hash(set);
  for (std::uint64_t key = 0; key < 100; ++key)
    EXPECT_EQ(pick_key(*all, key), 1 - pick_key(*own, key));
}

TEST(Hash, GoesToABackupOnlyWhenNoPrimaryIsUp) {
  auto set = servers({1, 1});
  set.push_back(test::backup_server("http://b0"));
  set.push_back(test::backup_server("http://b1"));
  auto all = hash(set);
  for (std::uint64_t key = 0; key < 200; ++key) EXPECT_LT(pick_key(*all, key), 2U);
  set[0]->mark_down();
  set[1]->mark_down();
  const auto before = owners(*all, set);
  EXPECT_EQ(owners(*all, set), before);
  EXPECT_NEAR(static_cast<double>(std::count(before.begin(), before.end(), "http://b0")),
              kKeys / 2.0, 150);
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

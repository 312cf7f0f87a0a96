// The rules that hold for every method: each test runs all of them.

#include "revproxyd/upstream/balancer.h"

#include <array>
#include <bit>
#include <set>

#include <gtest/gtest.h>

#include "tests/support/upstream_servers.h"

namespace revproxyd::upstream {
namespace {

using test::kNone;
using test::kNow;
using test::pick;
using test::Servers;

constexpr int kManyPicks = 200;

class EveryBalancer : public testing::TestWithParam<BalanceMethod> {
 protected:
  std::unique_ptr<Balancer> make(const Servers& all) { return test::balancer(GetParam(), all, 42); }

  // All that is ever picked; the key changes from pick to pick, so that hash gets around as well.
  static std::set<std::size_t> picked(Balancer& from, PickQuery query) {
    std::set<std::size_t> seen;
    for (int i = 0; i < kManyPicks; ++i) {
      query.key = {hash_bytes(std::to_string(i)), true};
      seen.insert(pick(from, query));
    }
    return seen;
  }
  static std::set<std::size_t> picked(Balancer& from) { return picked(from, {.now = kNow}); }
};

using Indexes = std::set<std::size_t>;

TEST_P(EveryBalancer, PicksNothingWithoutServers) {
  auto all = make({});
  EXPECT_EQ(all->pick({.now = kNow}).status, PickStatus::none_usable);
  const auto never_built = make_balancer(GetParam(), 1);
  EXPECT_EQ(never_built->pick({.now = kNow}).status, PickStatus::none_usable);
}

TEST_P(EveryBalancer, PicksTheOnlyServer) {
  const auto servers = test::servers({5});
  auto all = make(servers);
  EXPECT_EQ(picked(*all), Indexes{0});
}

TEST_P(EveryBalancer, NeverPicksAServerThatIsDown) {
  const auto servers = test::servers({1, 1, 1});
  auto all = make(servers);
  servers[0]->mark_down();
  EXPECT_FALSE(picked(*all).contains(0));
  servers[1]->mark_down();
  EXPECT_EQ(picked(*all), Indexes{2});
}

TEST_P(EveryBalancer, SaysNoneUsableWhenAllAreDown) {
  const auto servers = test::servers({1, 1});
  auto all = make(servers);
  for (const auto& server : servers) server->mark_down();
  EXPECT_EQ(all->pick({.now = kNow}).status, PickStatus::none_usable);
}

TEST_P(EveryBalancer, PicksAServerAgainWhenItComesUp) {
  const auto servers = test::servers({1, 1});
  auto all = make(servers);
  for (const auto& server : servers) server->mark_down();
  ASSERT_EQ(picked(*all), Indexes{kNone});
  servers[1]->mark_up();
  EXPECT_EQ(picked(*all), Indexes{1});
}

TEST_P(EveryBalancer, LeavesATakenOutServerAloneForItsSecond) {
  const auto servers = test::servers({1, 1});
  auto all = make(servers);
  servers[0]->take_out(kNow);
  EXPECT_EQ(picked(*all), Indexes{1});
  EXPECT_TRUE(picked(*all, {.now = kNow + kTakeOut}).contains(0));
}

TEST_P(EveryBalancer, NeverTakesOutTheLastServer) {
  const auto servers = test::servers({1});
  auto all = make(servers);
  servers[0]->take_out(kNow);
  EXPECT_EQ(pick(*all), 0U);
}

TEST_P(EveryBalancer, UsesTakenOutServersWhenTheOthersAreDown) {
  const auto servers = test::servers({1, 1});
  auto all = make(servers);
  servers[0]->take_out(kNow);
  servers[1]->mark_down();
  EXPECT_EQ(picked(*all), Indexes{0});
}

TEST_P(EveryBalancer, LeavesBackupsAloneWhileAPrimaryIsUsable) {
  Servers servers{test::backup_server("http://b")};
  servers.push_back(test::servers({1})[0]);
  auto all = make(servers);
  EXPECT_EQ(picked(*all), Indexes{1});
}

TEST_P(EveryBalancer, UsesBackupsWhenEveryPrimaryIsDown) {
  Servers servers = test::servers({1, 1});
  servers.push_back(test::backup_server("http://b"));
  auto all = make(servers);
  servers[0]->mark_down();
  EXPECT_EQ(picked(*all), Indexes{1});
  servers[1]->mark_down();
  EXPECT_EQ(picked(*all), Indexes{2});
  servers[0]->mark_up();
  EXPECT_EQ(picked(*all), Indexes{0});
}

TEST_P(EveryBalancer, UsesABackupWhileEveryPrimaryIsTakenOut) {
  Servers servers = test::servers({1});
  servers.push_back(test::backup_server("http://b"));
  auto all = make(servers);
  servers[0]->take_out(kNow);
  EXPECT_EQ(picked(*all), Indexes{1});
  EXPECT_EQ(picked(*all, {.now = kNow + kTakeOut}), Indexes{0});
}

TEST_P(EveryBalancer, PrefersTakenOutPrimariesToTakenOutBackups) {
  Servers servers{test::backup_server("http://b")};
  servers.push_back(test::servers({1})[0]);
  auto all = make(servers);
  for (const auto& server : servers) server->take_out(kNow);
  EXPECT_EQ(picked(*all), Indexes{1});
}

TEST_P(EveryBalancer, UsesATakenOutBackupWhenEveryPrimaryIsDown) {
  Servers servers = test::servers({1});
  servers.push_back(test::backup_server("http://b"));
  auto all = make(servers);
  servers[0]->mark_down();
  servers[1]->take_out(kNow);
  EXPECT_EQ(picked(*all), Indexes{1});
}

TEST_P(EveryBalancer, RetriesOnAServerThatWasNotTried) {
  const auto servers = test::servers({1, 1, 1});
  auto all = make(servers);
  const std::array<const Endpoint*, 2> tried{servers[0].get(), servers[2].get()};
  EXPECT_EQ(picked(*all, {.now = kNow, .tried = tried}), Indexes{1});
  EXPECT_EQ(picked(*all, {.now = kNow, .tried = tried, .allow_tried = true}), Indexes{1});
}

TEST_P(EveryBalancer, PicksATriedServerOnlyWhenToldAndAllWereTried) {
  const auto servers = test::servers({1, 1});
  auto all = make(servers);
  const std::array<const Endpoint*, 2> tried{servers[0].get(), servers[1].get()};
  EXPECT_EQ(all->pick({.now = kNow, .tried = tried}).status, PickStatus::none_usable);
  EXPECT_NE(pick(*all, {.now = kNow, .tried = tried, .allow_tried = true}), kNone);
}

TEST_P(EveryBalancer, DoesNotTurnToABackupBecauseThePrimaryWasTried) {
  Servers servers = test::servers({1});
  servers.push_back(test::backup_server("http://b"));
  auto all = make(servers);
  const std::array<const Endpoint*, 1> tried{servers[0].get()};
  EXPECT_EQ(all->pick({.now = kNow, .tried = tried}).status, PickStatus::none_usable);
}

class Busy : public EveryBalancer {
 protected:
  static std::shared_ptr<Endpoint> full_server(const std::string& url) {
    ServerSettings settings = test::server(url);
    settings.max_connections = 1;
    auto made = std::make_shared<Endpoint>("test", settings);
    EXPECT_TRUE(made->try_acquire_connection());
    return made;
  }
};

class SpareAt final : public SpareConnections {
 public:
  explicit SpareAt(const Endpoint* endpoint) : endpoint_(endpoint) {}
  bool has_spare(const Endpoint& endpoint) const noexcept override {
    return &endpoint == endpoint_;
  }

 private:
  const Endpoint* endpoint_;
};

TEST_P(Busy, SkipsAServerAtItsConnectionLimit) {
  const Servers servers{full_server("http://a"), test::servers({1})[0]};
  auto all = make(servers);
  EXPECT_EQ(picked(*all), Indexes{1});
}

TEST_P(Busy, TellsAllBusyFromNoneUsable) {
  const Servers servers{full_server("http://a"), full_server("http://b")};
  auto all = make(servers);
  EXPECT_EQ(all->pick({.now = kNow}).status, PickStatus::all_busy);
  servers[0]->mark_down();
  EXPECT_EQ(all->pick({.now = kNow}).status, PickStatus::all_busy);
  servers[1]->mark_down();
  EXPECT_EQ(all->pick({.now = kNow}).status, PickStatus::none_usable);
}

TEST_P(Busy, IsPickedAgainAfterARelease) {
  const Servers servers{full_server("http://a")};
  auto all = make(servers);
  ASSERT_EQ(all->pick({.now = kNow}).status, PickStatus::all_busy);
  servers[0]->release_connection();
  EXPECT_EQ(pick(*all), 0U);
}

TEST_P(Busy, PicksAFullServerThatHasASpareConnectionHere) {
  const Servers servers{full_server("http://a"), full_server("http://b")};
  auto all = make(servers);
  const SpareAt spare(servers[1].get());
  EXPECT_EQ(picked(*all, {.now = kNow, .spare = &spare}), Indexes{1});
}

TEST_P(Busy, DoesNotActivateABackup) {
  const Servers servers{full_server("http://a"), test::backup_server("http://b")};
  auto all = make(servers);
  EXPECT_EQ(all->pick({.now = kNow}).status, PickStatus::all_busy);
}

TEST_P(Busy, WaitsForAnUntriedServerRatherThanPickATriedOne) {
  const Servers servers{full_server("http://a"), test::servers({1})[0]};
  auto all = make(servers);
  const std::array<const Endpoint*, 1> tried{servers[1].get()};
  EXPECT_EQ(all->pick({.now = kNow, .tried = tried, .allow_tried = true}).status,
            PickStatus::all_busy);
}

TEST_P(EveryBalancer, RebuildReplacesTheServers) {
  auto all = make(test::servers({1, 1, 1}));
  const auto two = test::servers({1, 1});
  two[0]->mark_down();
  all->rebuild(two);
  EXPECT_EQ(picked(*all), Indexes{1});
  all->rebuild({});
  EXPECT_EQ(all->pick({.now = kNow}).status, PickStatus::none_usable);
}

TEST_P(EveryBalancer, WorksWithMoreThanSixtyFourServers) {
  const auto servers = test::servers(std::vector<std::uint32_t>(100, 1));
  auto all = make(servers);
  for (std::size_t i = 0; i < 99; ++i) servers[i]->mark_down();
  EXPECT_EQ(picked(*all), Indexes{99});
}

std::string method_name(const testing::TestParamInfo<BalanceMethod>& info) {
  return std::string(name(info.param));
}

constexpr std::array kAllMethods{BalanceMethod::round_robin, BalanceMethod::least_request,
                                 BalanceMethod::random, BalanceMethod::hash, BalanceMethod::first};
INSTANTIATE_TEST_SUITE_P(All, EveryBalancer, testing::ValuesIn(kAllMethods), method_name);
INSTANTIATE_TEST_SUITE_P(All, Busy, testing::ValuesIn(kAllMethods), method_name);

TEST(BalancerRegistry, FindsEachMethodByItsName) {
  EXPECT_EQ(find_balance_method("round_robin"), BalanceMethod::round_robin);
  EXPECT_EQ(find_balance_method("least_request"), BalanceMethod::least_request);
  EXPECT_EQ(find_balance_method("random"), BalanceMethod::random);
  EXPECT_EQ(find_balance_method("hash"), BalanceMethod::hash);
  EXPECT_EQ(find_balance_method("first"), BalanceMethod::first);
}

TEST(BalancerRegistry, FindsNothingByANameThatIsNoMethod) {
  for (const char* wrong : {"", "Hash", "firs", "firstly", "round-robin", "zzz"}) {
    EXPECT_EQ(find_balance_method(wrong), std::nullopt) << wrong;
  }
}

TEST(BalancerRegistry, NamesEveryMethodOnce) {
  std::set<std::string_view> names;
  for (const BalanceMethod method : kAllMethods) names.insert(name(method));
  EXPECT_EQ(names.size(), kAllMethods.size());
  EXPECT_EQ(balancers().size(), kAllMethods.size());
}

TEST(HashBytes, FlipsHalfOfTheBitsForEachBitOfTheInput) {
  constexpr int kInputs = 500;
  for (std::size_t bit = 0; bit < 20 * 8; ++bit) {
    double flipped = 0;
    for (int i = 0; i < kInputs; ++i) {
      std::string text = "some client's key " + std::to_string(100 + i);
      const std::uint64_t before = hash_bytes(text);
      text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
      flipped += std::popcount(before ^ hash_bytes(text));
    }
    // 32 of 64 bits on average with a standard error of 4 / sqrt(500) = 0.18.
    EXPECT_NEAR(flipped / kInputs, 32.0, 1.0) << "bit " << bit;
  }
}

TEST(HashBytes, TellsZeroBytesOfEveryLengthApart) {
  std::set<std::uint64_t> seen;
  for (std::size_t size = 0; size <= 64; ++size) seen.insert(hash_bytes(std::string(size, '\0')));
  EXPECT_EQ(seen.size(), 65U);
}

TEST(HashBytes, SpreadsNeighbouringAddressesEvenly) {
  std::vector<std::size_t> buckets(64);
  for (unsigned i = 0; i < 64000; ++i) {
    std::string address(16, '\0');
    address[10] = address[11] = '\xff';
    address[12] = 10;
    address[14] = static_cast<char>(i >> 8);
    address[15] = static_cast<char>(i & 0xff);
    ++buckets[hash_bytes(address) % 64];
  }
  EXPECT_LT(test::chi_square(buckets, std::vector<std::uint32_t>(64, 1)), test::kChiSquare63);
}

}  // namespace
}  // namespace revproxyd::upstream

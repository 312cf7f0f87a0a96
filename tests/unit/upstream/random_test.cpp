#include <algorithm>

#include <gtest/gtest.h>

#include "tests/support/upstream_servers.h"

namespace revproxyd::upstream {
namespace {

using test::pick;
using test::servers;
using test::tally;

std::unique_ptr<Balancer> random(const test::Servers& all, std::uint64_t seed = 11) {
  return test::balancer(BalanceMethod::random, all, seed);
}

TEST(Random, DrawsIdleServersByWeight) {
  const std::vector<std::uint32_t> weights{1, 2, 3, 10};
  auto all = random(servers(weights));
  EXPECT_LT(test::chi_square(tally(*all, 4, 16000), weights), test::kChiSquare3);
}

TEST(Random, DrawsEqualServersEvenly) {
  const std::vector<std::uint32_t> weights(10, 1);
  auto all = random(servers(weights));
  EXPECT_LT(test::chi_square(tally(*all, 10, 20000), weights), test::kChiSquare9);
}

TEST(Random, NeverPicksTheBusiestOfAll) {
  const auto set = servers({1, 1, 1});
  auto all = random(set);
  set[1]->begin_request();
  // Two different servers are compared, and the busiest loses to any other.
  EXPECT_EQ(tally(*all, 3, 1000)[1], 0U);
}

TEST(Random, GivesTheMiddleServerItsShareOfTheDraws) {
  const auto set = servers({1, 1, 1});
  auto all = random(set);
  set[1]->begin_request();
  set[2]->begin_request();
  set[2]->begin_request();
  // Of three pairs the idlest server wins two and the middle one wins one.
  const auto seen = tally(*all, 3, 9000);
  EXPECT_EQ(seen[2], 0U);
  EXPECT_NEAR(static_cast<double>(seen[0]), 6000, 150);
}

TEST(Random, ComparesRequestsByWeight) {
  const auto set = servers({3, 1});
  auto all = random(set);
  for (int i = 0; i < 5; ++i) set[0]->begin_request();
  for (int i = 0; i < 2; ++i) set[1]->begin_request();
  EXPECT_EQ(tally(*all, 2, 100)[0], 100U);  // 5/3 < 2/1
  for (int i = 0; i < 2; ++i) set[0]->begin_request();
  EXPECT_EQ(tally(*all, 2, 100)[1], 100U);  // 7/3 > 2/1
}

TEST(Random, KeepsLoadsCloserTogetherThanOneDrawWould) {
  const auto set = servers(std::vector<std::uint32_t>(32, 1));
  auto all = random(set);
  for (int i = 0; i < 32 * 100; ++i) set[pick(*all)]->begin_request();
  const auto busiest = *std::max_element(set.begin(), set.end(), [](const auto& a, const auto& b) {
    return a->active_requests() < b->active_requests();
  });
  // One draw each would leave the busiest about 2 standard deviations (20) above the mean of 100;
  // two leave a few.
  EXPECT_LE(busiest->active_requests(), 106U);
}

}  // namespace
}  // namespace revproxyd::upstream

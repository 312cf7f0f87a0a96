#include <gtest/gtest.h>

#include "tests/support/upstream_servers.h"

namespace revproxyd::upstream {
namespace {

using test::pick;
using test::servers;
using test::tally;

std::unique_ptr<Balancer> least_request(const test::Servers& all, std::uint64_t seed = 7) {
  return test::balancer(BalanceMethod::least_request, all, seed);
}

void begin(Endpoint& endpoint, int requests) {
  for (int i = 0; i < requests; ++i) endpoint.begin_request();
}

TEST(LeastRequest, PicksTheServerWithTheFewestRequests) {
  const auto set = servers({1, 1, 1});
  auto all = least_request(set);
  begin(*set[0], 2);
  begin(*set[1], 1);
  begin(*set[2], 3);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(pick(*all), 1U);
}

TEST(LeastRequest, MeasuresRequestsByWeight) {
  const auto set = servers({4, 1});
  auto all = least_request(set);
  begin(*set[0], 7);
  begin(*set[1], 2);
  EXPECT_EQ(pick(*all), 0U);  // 7/4 < 2/1
  begin(*set[0], 2);
  EXPECT_EQ(pick(*all), 1U);  // 9/4 > 2/1
}

TEST(LeastRequest, FillsServersInProportionToTheirWeights) {
  const auto set = servers({1, 2, 5});
  auto all = least_request(set);
  for (int i = 0; i < 800; ++i) set[pick(*all)]->begin_request();
  EXPECT_EQ(set[0]->active_requests(), 100U);
  EXPECT_EQ(set[1]->active_requests(), 200U);
  EXPECT_EQ(set[2]->active_requests(), 500U);
}

TEST(LeastRequest, DrawsAmongIdleServersByWeight) {
  const std::vector<std::uint32_t> weights{1, 2, 1, 4};
  auto all = least_request(servers(weights));
  EXPECT_LT(test::chi_square(tally(*all, 4, 16000), weights), test::kChiSquare3);
}

TEST(LeastRequest, DrawsFairlyAmongEqualsThatAreNotTheFirst) {
  const auto set = servers({1, 1, 1, 1});
  auto all = least_request(set);
  begin(*set[0], 1);
  const auto seen = tally(*all, 4, 9000);
  EXPECT_EQ(seen[0], 0U);
  EXPECT_LT(test::chi_square({seen[1], seen[2], seen[3]}, {1, 1, 1}), test::kChiSquare2);
}

TEST(LeastRequest, ComesBackToAServerWhoseRequestsHaveEnded) {
  const auto set = servers({1, 1});
  auto all = least_request(set);
  begin(*set[0], 1);
  ASSERT_EQ(pick(*all), 1U);
  begin(*set[1], 2);
  set[0]->end_request();
  EXPECT_EQ(pick(*all), 0U);
}

}  // namespace
}  // namespace revproxyd::upstream

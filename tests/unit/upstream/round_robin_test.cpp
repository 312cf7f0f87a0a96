#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "tests/support/upstream_servers.h"

namespace revproxyd::upstream {
namespace {

using test::kNow;
using test::pick;
using test::servers;
using test::tally;

std::unique_ptr<Balancer> round_robin(const test::Servers& all, std::uint64_t seed = 1) {
  return test::balancer(BalanceMethod::round_robin, all, seed);
}

std::size_t longest_run(const std::vector<std::size_t>& sequence) {
  std::size_t longest = 0;
  std::size_t run = 0;
  for (std::size_t i = 0; i < sequence.size(); ++i) {
    run = i > 0 && sequence[i] == sequence[i - 1] ? run + 1 : 1;
    longest = std::max(longest, run);
  }
  return longest;
}

std::vector<std::size_t> picks(Balancer& from, std::size_t count) {
  std::vector<std::size_t> sequence;
  for (std::size_t i = 0; i < count; ++i) sequence.push_back(pick(from));
  return sequence;
}

TEST(RoundRobin, TakesServersOfEqualWeightInTurn) {
  auto all = round_robin(servers({1, 1, 1, 1}));
  const auto sequence = picks(*all, 40);
  for (std::size_t i = 1; i < sequence.size(); ++i)
    EXPECT_EQ(sequence[i], (sequence[i - 1] + 1) % 4);
}

TEST(RoundRobin, GivesEachServerItsWeightInEveryRound) {
  const std::vector<std::uint32_t> weights{5, 1, 3, 2};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    auto all = round_robin(servers(weights), seed);
    for (int round = 0; round < 10; ++round) {
      EXPECT_EQ(tally(*all, 4, 11), (std::vector<std::size_t>{5, 1, 3, 2})) << "seed " << seed;
    }
  }
}

TEST(RoundRobin, InterleavesHeavyServers) {
  const std::vector<std::pair<std::vector<std::uint32_t>, std::size_t>> cases{
      {{4, 4}, 1}, {{50, 50, 1}, 2}, {{5, 1, 1}, 4}, {{3, 1}, 3}, {{10, 10, 10}, 1}};
  for (const auto& [weights, longest] : cases) {
    auto all = round_robin(servers(weights));
    EXPECT_LE(longest_run(picks(*all, 1000)), longest) << testing::PrintToString(weights);
  }
}

TEST(RoundRobin, StaysWithinTwoPicksOfTheIdealAtAnyMoment) {
  const std::vector<std::uint32_t> weights{7, 3, 3, 1};
  auto all = round_robin(servers(weights));
  std::vector<double> seen(weights.size());
  for (int count = 1; count <= 1400; ++count) {
    ++seen[pick(*all)];
    for (std::size_t i = 0; i < weights.size(); ++i) {
      ASSERT_LT(std::abs(seen[i] - static_cast<double>(weights[i]) * count / 14.0), 2.0)
          << "pick " << count << " server " << i;
    }
  }
}

TEST(RoundRobin, BeginsAtDifferentServersForDifferentWorkers) {
  const auto all = servers({1, 1, 1, 1});
  std::vector<std::size_t> begins(4);
  for (std::uint64_t seed = 0; seed < 400; ++seed) ++begins[pick(*round_robin(all, seed))];
  EXPECT_LT(test::chi_square(begins, {1, 1, 1, 1}), test::kChiSquare3);
}

TEST(RoundRobin, SharesTheLoadOfADownServerByWeight) {
  const auto set = servers({2, 1, 3});
  auto all = round_robin(set);
  tally(*all, 3, 5);
  set[2]->mark_down();
  const auto seen = tally(*all, 3, 300);
  EXPECT_EQ(seen[2], 0U);
  EXPECT_NEAR(static_cast<double>(seen[0]), 200, 2);
}

TEST(RoundRobin, DoesNotFloodAServerThatReturns) {
  const auto set = servers({1, 1, 1, 1});
  auto all = round_robin(set);
  set[1]->mark_down();
  tally(*all, 4, 10007);
  set[1]->mark_up();
  const auto seen = tally(*all, 4, 8);
  EXPECT_GE(seen[1], 1U);
  EXPECT_LE(seen[1], 3U);
}

TEST(RoundRobin, StaysFairWhileServersComeAndGo) {
  const auto set = servers({1, 1, 1});
  auto all = round_robin(set);
  std::vector<std::size_t> seen(3);
  for (int i = 0; i < 3000; ++i) {
    // Each server is away for a third of the time, so all deserve the same.
    const std::size_t away = static_cast<std::size_t>(i / 7 % 3);
    set[away]->mark_down();
    ++seen[pick(*all)];
    set[away]->mark_up();
  }
  for (const std::size_t count : seen) EXPECT_NEAR(static_cast<double>(count), 1000, 10);
}

TEST(RoundRobin, FollowsAWeightThatChanges) {
  const auto set = servers({1, 1});
  auto all = round_robin(set);
  tally(*all, 2, 11);
  set[0]->update(test::server("http://s0", 4));
  const auto seen = tally(*all, 2, 500);
  EXPECT_NEAR(static_cast<double>(seen[0]), 400, 2);
}

TEST(RoundRobin, HoldsTheLargestWeights) {
  auto all = round_robin(servers({65535, 65535, 1}));
  const auto seen = tally(*all, 3, 131071);
  EXPECT_EQ(seen, (std::vector<std::size_t>{65535, 65535, 1}));
}

TEST(RoundRobin, RetriesCostTheTriedServerNoTurn) {
  const auto set = servers({1, 1});
  auto all = round_robin(set);
  std::vector<std::size_t> seen(2);
  for (int i = 0; i < 100; ++i) {
    const std::size_t first = pick(*all);
    const std::array<const Endpoint*, 1> tried{set[first].get()};
    ++seen[first];
    ++seen[pick(*all, {.now = kNow, .tried = tried})];
  }
  EXPECT_EQ(seen, (std::vector<std::size_t>{100, 100}));
}

}  // namespace
}  // namespace revproxyd::upstream

#include "revproxyd/upstream/retry_budget.h"

#include <gtest/gtest.h>

namespace revproxyd::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kStart{std::chrono::hours(5)};

void record(RetryBudget& budget, int requests, TimePoint now) {
  for (int i = 0; i < requests; ++i) budget.record_request(now);
}

// How many retries are granted until the first refusal.
int spend_all(RetryBudget& budget, TimePoint now) {
  int granted = 0;
  while (budget.try_spend(now)) ++granted;
  return granted;
}

TEST(RetryBudget, GrantsThreeRetriesASecondWithoutTraffic) {
  RetryBudget budget(20);
  EXPECT_EQ(spend_all(budget, kStart), 3);
  EXPECT_EQ(spend_all(budget, kStart + milliseconds(999)), 0);
}

TEST(RetryBudget, GrantsThreeAgainInEverySecond) {
  RetryBudget budget(20);
  for (int second = 0; second < 25; ++second)
    EXPECT_EQ(spend_all(budget, kStart + seconds(second)), 3);
}

TEST(RetryBudget, GrantsItsShareOfTheRequests) {
  RetryBudget budget(20);
  record(budget, 1000, kStart);
  EXPECT_EQ(spend_all(budget, kStart), 200);
}

TEST(RetryBudget, TheMinimumIsNotAddedToTheShare) {
  RetryBudget budget(50);
  record(budget, 8, kStart);
  EXPECT_EQ(spend_all(budget, kStart), 4);
}

TEST(RetryBudget, GrantsTheMinimumWhenTheShareIsSpent) {
  RetryBudget budget(20);
  record(budget, 1000, kStart);
  ASSERT_EQ(spend_all(budget, kStart), 200);
  EXPECT_EQ(spend_all(budget, kStart + seconds(1)), 3);
}

TEST(RetryBudget, GrowsWithNewRequests) {
  RetryBudget budget(10);
  record(budget, 100, kStart);
  ASSERT_EQ(spend_all(budget, kStart), 10);
  record(budget, 50, kStart);
  EXPECT_EQ(spend_all(budget, kStart), 5);
}

TEST(RetryBudget, CountsRequestsForTenSeconds) {
  RetryBudget budget(20);
  record(budget, 1000, kStart);
  EXPECT_EQ(spend_all(budget, kStart + milliseconds(9999)), 200);
}

TEST(RetryBudget, ForgetsRequestsAfterTenSeconds) {
  RetryBudget budget(20);
  record(budget, 1000, kStart);
  EXPECT_EQ(spend_all(budget, kStart + seconds(10)), 3);
}

TEST(RetryBudget, ForgetsRequestsAfterAPauseOfAnyLength) {
  for (int pause = 10; pause <= 40; ++pause) {
    RetryBudget budget(20);
    record(budget, 1000, kStart);
    EXPECT_EQ(spend_all(budget, kStart + seconds(pause)), 3) << "after " << pause << " s";
  }
}

TEST(RetryBudget, ForgetsRetriesTogetherWithTheRequestsOfTheirSecond) {
  RetryBudget budget(20);
  record(budget, 1000, kStart);
  ASSERT_EQ(spend_all(budget, kStart), 200);
  record(budget, 500, kStart + seconds(5));
  ASSERT_EQ(spend_all(budget, kStart + seconds(5)), 100);
  record(budget, 50, kStart + seconds(12));
  // 550 requests and 100 retries are left in the window.
  EXPECT_EQ(spend_all(budget, kStart + seconds(12)), 10);
}

TEST(RetryBudget, BeginsAfreshAfterALongPause) {
  RetryBudget budget(20);
  record(budget, 1000, kStart);
  spend_all(budget, kStart);
  record(budget, 100, kStart + std::chrono::hours(24));
  EXPECT_EQ(spend_all(budget, kStart + std::chrono::hours(24)), 20);
}

TEST(RetryBudget, CountsATimeThatGoesBackAsTheNewestSecond) {
  RetryBudget budget(20);
  ASSERT_EQ(spend_all(budget, kStart), 3);
  EXPECT_EQ(spend_all(budget, kStart - seconds(3)), 0);
  EXPECT_EQ(spend_all(budget, kStart + seconds(1)), 3);
}

TEST(RetryBudget, GrantsOnlyTheMinimumAtZeroPercent) {
  RetryBudget budget(0);
  record(budget, 1000, kStart);
  EXPECT_EQ(spend_all(budget, kStart), 3);
}

TEST(RetryBudget, WorksFromTheFirstSecondOfTheClock) {
  RetryBudget budget(20);
  record(budget, 100, TimePoint{});
  EXPECT_EQ(spend_all(budget, TimePoint{}), 20);
  EXPECT_EQ(spend_all(budget, TimePoint{} + seconds(10)), 3);
}

}  // namespace
}  // namespace revproxyd::upstream

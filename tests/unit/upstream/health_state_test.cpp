#include <gtest/gtest.h>

#include "upstream/health.h"

namespace revproxyd::upstream {
namespace {

using Change = std::optional<bool>;
constexpr Change kNoChange = std::nullopt;
constexpr Change kUp = true;
constexpr Change kDown = false;

// Rise 2 and fall 3, after a first probe that succeeded.
HealthState proven() {
  HealthState state(2, 3);
  EXPECT_EQ(state.record(true), kNoChange);
  return state;
}

TEST(HealthState, IsUpBeforeTheFirstProbe) { EXPECT_TRUE(HealthState(2, 3).up()); }

TEST(HealthState, GoesDownAtOnceWhenTheFirstProbeFails) {
  HealthState state(2, 3);
  EXPECT_EQ(state.record(false, "refused"), kDown);
  EXPECT_FALSE(state.up());
}

TEST(HealthState, NeedsRiseSuccessesAfterAFailedFirstProbe) {
  HealthState state(2, 3);
  ASSERT_EQ(state.record(false), kDown);
  EXPECT_EQ(state.record(true), kNoChange);
  EXPECT_EQ(state.record(true), kUp);
}

TEST(HealthState, OneThatWasJudgedBeforeHasNoFirstProbe) {
  HealthState up(2, 3, true, true);
  EXPECT_EQ(up.record(false), kNoChange);
  EXPECT_EQ(up.record(false), kNoChange);
  EXPECT_EQ(up.record(false), kDown);
  HealthState down(2, 3, false, true);
  EXPECT_EQ(down.record(true), kNoChange);
  EXPECT_EQ(down.record(true), kUp);
}

TEST(HealthState, GoesDownAfterFallFailuresInARow) {
  HealthState state = proven();
  EXPECT_EQ(state.record(false), kNoChange);
  EXPECT_EQ(state.record(false), kNoChange);
  EXPECT_TRUE(state.up());
  EXPECT_EQ(state.record(false), kDown);
  EXPECT_FALSE(state.up());
}

TEST(HealthState, ASuccessEndsARowOfFailures) {
  HealthState state = proven();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(state.record(false), kNoChange);
    EXPECT_EQ(state.record(false), kNoChange);
    EXPECT_EQ(state.record(true), kNoChange);
  }
  EXPECT_TRUE(state.up());
}

TEST(HealthState, AFailureEndsARowOfSuccesses) {
  HealthState state(2, 1);
  ASSERT_EQ(state.record(false), kDown);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(state.record(true), kNoChange);
    EXPECT_EQ(state.record(false), kNoChange);
  }
  EXPECT_FALSE(state.up());
}

TEST(HealthState, TellsEachTransitionOnce) {
  HealthState state = proven();
  for (int i = 0; i < 2; ++i) ASSERT_EQ(state.record(false), kNoChange);
  ASSERT_EQ(state.record(false), kDown);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(state.record(false), kNoChange);
  EXPECT_EQ(state.record(true), kNoChange);
  EXPECT_EQ(state.record(true), kUp);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(state.record(true), kNoChange);
}

TEST(HealthState, TakesOverAServerThatIsDownAndBringsItUpWithOneSuccess) {
  HealthState state(2, 3, false);
  EXPECT_FALSE(state.up());
  EXPECT_EQ(state.record(true), kUp);
}

TEST(HealthState, TakesOverAServerThatIsDownAndLeavesItDownAfterAFailure) {
  HealthState state(2, 3, false);
  EXPECT_EQ(state.record(false), kNoChange);
  EXPECT_EQ(state.record(true), kNoChange);
  EXPECT_EQ(state.record(true), kUp);
}

TEST(HealthState, CountsARiseOrFallOfZeroAsOne) {
  HealthState state(0, 0);
  ASSERT_EQ(state.record(true), kNoChange);
  EXPECT_EQ(state.record(false), kDown);
  EXPECT_EQ(state.record(true), kUp);
}

TEST(HealthState, KeepsTheReasonOfTheLatestFailure) {
  HealthState state = proven();
  EXPECT_EQ(state.last_failure(), "");
  state.record(false, "status 500");
  state.record(false, "no answer within 2s");
  EXPECT_EQ(state.last_failure(), "no answer within 2s");
  state.record(true);
  EXPECT_EQ(state.last_failure(), "no answer within 2s");
}

TEST(HealthState, CutsAReasonThatIsTooLong) {
  HealthState state = proven();
  state.record(false, std::string(kMaxHealthReasonBytes + 50, 'x'));
  EXPECT_EQ(state.last_failure(), std::string(kMaxHealthReasonBytes, 'x'));
}

}  // namespace
}  // namespace revproxyd::upstream

#include "http/h2/conduct.h"

#include <gtest/gtest.h>

#include "tests/support/hand_runner.h"

namespace revproxyd::http::h2 {
namespace {

using std::chrono::seconds;

constexpr Rate kThree{3, seconds(10)};
// What any connection may send before it has carried something, and what a large frame adds.
constexpr int kAtFirst = 64;
constexpr int kForLarge = 8;
constexpr int kForSmall = 3;
constexpr std::size_t kLarge = 512;
constexpr int kMostSaved = 10000;

Verdict offend(Conduct& conduct, int times, Code what = Code::reset_flood) {
  Verdict last = Verdict::fine;
  for (int i = 0; i < times; ++i) last = conduct.offence(what);
  return last;
}

/// Idle frames until the first one that is an offence, which is not counted. The limit must be 1.
int idle_allowed(Conduct& conduct) {
  int frames = 0;
  while (conduct.idle_frame(Idle::ping) == Verdict::fine && frames < 100'000) ++frames;
  return frames - 1;  // one offence is fine
}

class H2Conduct : public ::testing::Test {
 protected:
  test::HandRunner runner_;
};

TEST_F(H2Conduct, TakesOffencesUpToTheLimit) {
  Conduct conduct(kThree);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(conduct.offence(Code::reset_flood), Verdict::fine);
  EXPECT_EQ(conduct.worst(), Code::none);
}

TEST_F(H2Conduct, WarnsOnceBeyondTheLimit) {
  Conduct conduct(kThree);
  offend(conduct, 3);
  EXPECT_EQ(conduct.offence(Code::reset_flood), Verdict::warn);
  EXPECT_EQ(conduct.offence(Code::reset_flood), Verdict::fine);
  EXPECT_EQ(conduct.offence(Code::reset_flood), Verdict::fine);
}

TEST_F(H2Conduct, CutsBeyondTwiceTheLimit) {
  Conduct conduct(kThree);
  EXPECT_NE(offend(conduct, 6), Verdict::cut);
  EXPECT_EQ(conduct.offence(Code::reset_flood), Verdict::cut);
}

TEST_F(H2Conduct, ForgivesAfterThePeriod) {
  Conduct conduct(kThree);
  offend(conduct, 3);
  runner_.pass(seconds(10));
  EXPECT_EQ(offend(conduct, 3), Verdict::fine);
  EXPECT_EQ(conduct.worst(), Code::none);
}

TEST_F(H2Conduct, ForgivesNothingWithinThePeriod) {
  Conduct conduct(kThree);
  offend(conduct, 3);
  runner_.pass(seconds(9));
  EXPECT_EQ(conduct.offence(Code::reset_flood), Verdict::warn);
}

TEST_F(H2Conduct, ThePeriodBeginsWithAnOffence) {
  Conduct conduct(kThree);
  runner_.pass(seconds(9));
  offend(conduct, 3);
  runner_.pass(seconds(2));
  EXPECT_EQ(conduct.offence(Code::reset_flood), Verdict::warn);
}

TEST_F(H2Conduct, CutsInALaterPeriodWithoutAnotherWarning) {
  Conduct conduct(kThree);
  offend(conduct, 4);
  runner_.pass(seconds(10));
  for (int i = 0; i < 6; ++i) EXPECT_EQ(conduct.offence(Code::reset_flood), Verdict::fine) << i;
  EXPECT_EQ(conduct.offence(Code::reset_flood), Verdict::cut);
}

TEST_F(H2Conduct, AddsDifferentOffencesUp) {
  Conduct conduct(kThree);
  conduct.offence(Code::reset_flood);
  conduct.offence(Code::provoked_reset_flood);
  conduct.offence(Code::reset_flood);
  EXPECT_EQ(conduct.offence(Code::provoked_reset_flood), Verdict::warn);
}

TEST_F(H2Conduct, NamesWhatWentOverTheLimitFirst) {
  Conduct conduct(kThree);
  offend(conduct, 3, Code::reset_flood);
  conduct.offence(Code::provoked_reset_flood);
  offend(conduct, 3, Code::reset_flood);
  EXPECT_EQ(conduct.worst(), Code::provoked_reset_flood);
}

TEST_F(H2Conduct, CountsNothingWithoutALimit) {
  Conduct conduct(Rate{0, seconds(10)});
  EXPECT_EQ(offend(conduct, 10'000), Verdict::fine);
  for (int i = 0; i < 10'000; ++i) ASSERT_EQ(conduct.idle_frame(Idle::settings), Verdict::fine);
}

TEST_F(H2Conduct, TakesSomeIdleFramesAtFirst) {
  Conduct conduct(Rate{1, seconds(10)});
  EXPECT_EQ(idle_allowed(conduct), kAtFirst);
}

TEST_F(H2Conduct, ExpectsIdleFramesBesideLargeOnes) {
  Conduct conduct(Rate{1, seconds(10)});
  conduct.useful_frame(kLarge);
  EXPECT_EQ(idle_allowed(conduct), kAtFirst + kForLarge);
}

TEST_F(H2Conduct, ExpectsFewerBesideSmallOnes) {
  Conduct conduct(Rate{1, seconds(10)});
  conduct.useful_frame(kLarge - 1);
  EXPECT_EQ(idle_allowed(conduct), kAtFirst + kForSmall);
}

TEST_F(H2Conduct, SavesIdleFramesUpToABound) {
  Conduct conduct(Rate{1, seconds(10)});
  for (int i = 0; i < 100'000; ++i) conduct.useful_frame(kLarge);
  EXPECT_EQ(idle_allowed(conduct), kMostSaved);
}

TEST_F(H2Conduct, UsefulFramesDoNotForgiveOffences) {
  Conduct conduct(kThree);
  offend(conduct, 3);
  for (int i = 0; i < 1000; ++i) conduct.useful_frame(kLarge);
  EXPECT_EQ(conduct.offence(Code::reset_flood), Verdict::warn);
}

TEST_F(H2Conduct, NamesEachKindOfIdleFrame) {
  const std::pair<Idle, Code> kinds[] = {{Idle::settings, Code::settings_flood},
                                         {Idle::ping, Code::ping_flood},
                                         {Idle::priority, Code::priority_flood},
                                         {Idle::window_update, Code::window_update_flood},
                                         {Idle::empty_frame, Code::empty_frame_flood}};
  for (const auto& [kind, code] : kinds) {
    Conduct conduct(Rate{1, seconds(10)});
    while (conduct.idle_frame(kind) != Verdict::warn) {
    }
    EXPECT_EQ(conduct.worst(), code);
  }
}

}  // namespace
}  // namespace revproxyd::http::h2

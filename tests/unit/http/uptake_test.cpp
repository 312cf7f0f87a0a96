#include "http/uptake.h"

#include <gtest/gtest.h>

#include "tests/support/hand_runner.h"

namespace revproxyd::http {
namespace {

using namespace std::chrono_literals;
using Verdict = Uptake::Verdict;

class UptakeTest : public testing::Test {
 protected:
  /// `left` after so much time.
  Verdict look_after(Clock::duration time, std::size_t left) {
    TimerWheel::current().advance(TimerWheel::current().now() + time);
    return uptake_.look(left, sent_, rules_);
  }

  test::HandRunner runner_;  // its hand moves the clock
  UptakeRules rules_;
  Uptake uptake_;
  std::uint64_t sent_ = 0;
};

TEST_F(UptakeTest, IsStalledWhenNothingIsTakenForSoLong) {
  rules_.stall = 5s;
  sent_ = 1000;
  uptake_.wait_begins(900, sent_);
  EXPECT_EQ(look_after(4s, 900), Verdict::fine);
  EXPECT_EQ(look_after(2s, 900), Verdict::stalled);
}

TEST_F(UptakeTest, IsNotWhileSomeIsTaken) {
  rules_.stall = 5s;
  sent_ = 1000;
  uptake_.wait_begins(900, sent_);
  for (std::size_t left = 899; left > 890; --left) EXPECT_EQ(look_after(4s, left), Verdict::fine);
}

TEST_F(UptakeTest, WhatFollowsIntoTheKernelHidesNothingThatIsTaken) {
  rules_.stall = 5s;
  sent_ = 1000;
  uptake_.wait_begins(900, sent_);
  for (int i = 0; i < 5; ++i) {
    sent_ += 100;
    EXPECT_EQ(look_after(4s, 900), Verdict::fine);
  }
}

TEST_F(UptakeTest, IsTooSlowBelowTheRate) {
  rules_.min_rate = 100;
  sent_ = 10'000;
  uptake_.wait_begins(10'000, sent_);
  EXPECT_EQ(look_after(10s, 9'500), Verdict::fine) << "in the time of grace";
  EXPECT_EQ(look_after(1s, 9'400), Verdict::too_slow);
}

TEST_F(UptakeTest, CountsWhatIsTakenOfEarlierBytes) {
  rules_.min_rate = 100;
  sent_ = 10;
  uptake_.wait_begins(10'000, sent_);
  EXPECT_EQ(look_after(11s, 8'800), Verdict::fine);
  uptake_.restart();
  uptake_.wait_begins(8'800, sent_);
  EXPECT_EQ(look_after(11s, 8'800), Verdict::too_slow) << "of these bytes nothing was taken";
}

TEST_F(UptakeTest, LookingOftenIsNoWayRoundTheRate) {
  rules_.min_rate = 100;
  sent_ = 10'000;
  uptake_.wait_begins(10'000, sent_);
  Verdict last = Verdict::fine;
  for (int i = 0; i < 30'000 && last == Verdict::fine; ++i) last = look_after(400us, 10'000);
  EXPECT_EQ(last, Verdict::too_slow);
}

TEST_F(UptakeTest, WithoutLimitsNothingIsTooLong) {
  uptake_.wait_begins(900, 1000);
  EXPECT_EQ(look_after(10h, 900), Verdict::fine);
}

}  // namespace
}  // namespace revproxyd::http

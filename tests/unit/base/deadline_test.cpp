#include "revproxyd/base/deadline.h"

#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace revproxyd {
namespace {

using std::chrono::milliseconds;

class Recorder final : public Timer {
 public:
  void fire() noexcept override { fired_at.push_back(loop_now()); }
  std::vector<TimePoint> fired_at;
};

void move_to(TimePoint when) { TimerWheel::current().advance(when); }

TEST(TimerWheel, FiresNotEarlyAndAtMostTwoTicksLate) {
  std::mt19937 random(7);
  const TimePoint start = loop_now();
  std::vector<std::unique_ptr<Recorder>> timers;
  std::vector<milliseconds> times;
  for (int i = 0; i < 2000; ++i) {
    times.emplace_back(
        std::uniform_int_distribution<int>(0, i % 2 == 0 ? 5000 : 4'000'000)(random));
    timers.push_back(std::make_unique<Recorder>());
    timers.back()->arm(times.back());
  }
  for (int ms = 0; ms <= 4'000'100; ms += 7) move_to(start + milliseconds(ms));
  for (std::size_t i = 0; i < timers.size(); ++i) {
    ASSERT_EQ(timers[i]->fired_at.size(), 1u) << times[i].count();
    EXPECT_GE(timers[i]->fired_at[0], start + times[i]);
    EXPECT_LE(timers[i]->fired_at[0], start + times[i] + milliseconds(27));
  }
}

TEST(TimerWheel, ALongJumpFiresEverythingDue) {
  const TimePoint start = loop_now();
  Recorder near;
  Recorder far;
  Recorder beyond;
  near.arm(milliseconds(20));
  far.arm(std::chrono::hours(20));
  beyond.arm(std::chrono::hours(24 * 30));
  move_to(start + std::chrono::hours(21));
  EXPECT_EQ(near.fired_at.size(), 1u);
  EXPECT_EQ(far.fired_at.size(), 1u);
  EXPECT_TRUE(beyond.fired_at.empty());
  move_to(start + std::chrono::hours(24 * 31));
  EXPECT_EQ(beyond.fired_at.size(), 1u);
}

TEST(TimerWheel, NextIsNeverAfterTheEarliestTimer) {
  EXPECT_FALSE(TimerWheel::current().next().has_value());
  const TimePoint start = loop_now();
  for (int ms : {1, 50, 640, 700, 41000, 3000000}) {
    Recorder timer;
    timer.arm(milliseconds(ms));
    auto next = TimerWheel::current().next();
    ASSERT_TRUE(next.has_value());
    EXPECT_LE(*next, start + milliseconds(ms + 20));
  }
  EXPECT_FALSE(TimerWheel::current().next().has_value());
}

TEST(TimerWheel, AdvancingAlongNextReachesEveryTimerInFewSteps) {
  const TimePoint start = loop_now();
  Recorder timer;
  timer.arm(std::chrono::hours(3));
  int steps = 0;
  while (timer.fired_at.empty()) {
    auto next = TimerWheel::current().next();
    ASSERT_TRUE(next.has_value());
    move_to(*next);
    ASSERT_LT(++steps, 10);
  }
  EXPECT_GE(timer.fired_at[0], start + std::chrono::hours(3));
}

TEST(TimerWheel, TimeThatIsExcusedCountsForNoTimer) {
  const TimePoint start = loop_now();
  const TimePoint back = start + milliseconds(2345);
  Recorder before;
  before.arm(milliseconds(500));
  TimerWheel::current().excuse_until(back);
  EXPECT_EQ(loop_now(), back);
  Recorder after;
  after.arm(milliseconds(500));
  EXPECT_GE(*TimerWheel::current().next(), back);
  move_to(back + milliseconds(499));
  EXPECT_TRUE(before.fired_at.empty());
  EXPECT_TRUE(after.fired_at.empty());
  move_to(back + milliseconds(530));
  EXPECT_EQ(before.fired_at.size(), 1u);
  EXPECT_EQ(after.fired_at.size(), 1u);
}

TEST(TimerWheel, TimeThatIsExcusedWhileATimerFiresEndsNoOther) {
  class HeldUp final : public Timer {
   public:
    void fire() noexcept override {
      TimerWheel::current().excuse_until(loop_now() + std::chrono::seconds(3));
    }
  };
  const TimePoint start = loop_now();
  HeldUp first;
  Recorder second;
  first.arm(milliseconds(100));
  second.arm(milliseconds(900));
  move_to(start + milliseconds(200));
  move_to(start + milliseconds(3800));
  EXPECT_TRUE(second.fired_at.empty());
  move_to(start + milliseconds(3930));
  EXPECT_EQ(second.fired_at.size(), 1u);
}

class Disarms final : public Timer {
 public:
  explicit Disarms(Timer& other) : other_(other) {}
  void fire() noexcept override { other_.disarm(); }

 private:
  Timer& other_;
};

TEST(TimerWheel, ATimerMayDisarmAnotherOfTheSameTick) {
  const TimePoint start = loop_now();
  Recorder victim;
  Disarms one(victim);
  Disarms two(victim);
  one.arm(milliseconds(30));
  victim.arm(milliseconds(30));
  two.arm(milliseconds(30));
  move_to(start + milliseconds(100));
  EXPECT_TRUE(victim.fired_at.empty());
}

TEST(TimerWheel, RearmingReplacesTheOldTime) {
  const TimePoint start = loop_now();
  Recorder timer;
  timer.arm(milliseconds(30));
  timer.arm(milliseconds(300));
  move_to(start + milliseconds(200));
  EXPECT_TRUE(timer.fired_at.empty());
  move_to(start + milliseconds(400));
  EXPECT_EQ(timer.fired_at.size(), 1u);
}

TEST(Deadline, CancelsItsScopeWithTheReason) {
  CancelScope scope;
  Deadline deadline(scope);
  deadline.set(milliseconds(50), Code::queue_timeout);
  move_to(loop_now() + milliseconds(100));
  EXPECT_EQ(scope.reason(), Code::queue_timeout);
}

TEST(Deadline, ZeroMeansNone) {
  CancelScope scope;
  Deadline deadline(scope);
  deadline.set(milliseconds(50), Code::queue_timeout);
  deadline.set(milliseconds(0), Code::queue_timeout);
  move_to(loop_now() + milliseconds(100));
  EXPECT_FALSE(scope.cancelled());
}

}  // namespace
}  // namespace revproxyd

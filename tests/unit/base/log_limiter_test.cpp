#include "base/log_limiter.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace revproxyd::log {
namespace {

using namespace std::chrono_literals;

class LimiterTest : public testing::Test {
 protected:
  bool admit(std::string_view text, std::string_view key = {}, Level level = Level::warn) {
    return limiter_.admit(level, text, key, now_, report_);
  }

  Limiter limiter_;
  TimePoint now_{100s};
  std::vector<std::string> reports_;
  Limiter::Report report_ = [this](Level, std::uint64_t count, std::string_view sample) {
    reports_.push_back(std::to_string(count) + " " + std::string(sample));
  };
};

TEST_F(LimiterTest, LetsTenEqualLinesPassInASecond) {
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(admit("line"));
  EXPECT_FALSE(admit("line"));
  now_ += 999ms;
  EXPECT_FALSE(admit("line"));
}

TEST_F(LimiterTest, ReportsWhatItHeldBackWhenTheSecondIsOver) {
  for (int i = 0; i < 17; ++i) admit("line");
  EXPECT_TRUE(reports_.empty());
  now_ += 1s;
  EXPECT_TRUE(admit("line"));
  EXPECT_EQ(reports_, std::vector<std::string>{"7 line"});
}

TEST_F(LimiterTest, ReportsWithTheNextLineOfAnyKey) {
  for (int i = 0; i < 12; ++i) admit("line");
  now_ += 1s;
  EXPECT_TRUE(admit("other"));
  EXPECT_EQ(reports_, std::vector<std::string>{"2 line"});
  now_ += 1s;
  admit("other");
  EXPECT_EQ(reports_.size(), 1U);
}

TEST_F(LimiterTest, CountsDifferentLinesOfOneKeyTogether) {
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(admit("line " + std::to_string(i), "key"));
  EXPECT_FALSE(admit("line 10", "key"));
  EXPECT_TRUE(admit("line 10", "another key"));
  limiter_.finish(report_);
  EXPECT_EQ(reports_, std::vector<std::string>{"1 line 10"});
}

TEST_F(LimiterTest, BoundsAllLinesTogether) {
  int passed = 0;
  for (int i = 0; i < 5000; ++i) passed += admit("line " + std::to_string(i)) ? 1 : 0;
  EXPECT_EQ(passed, 1000);
  limiter_.finish(report_);
  EXPECT_EQ(reports_, std::vector<std::string>{"4000 line 4999"});
}

TEST_F(LimiterTest, NeverHoldsBackDebugLines) {
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(admit("line", {}, Level::debug));
}

}  // namespace
}  // namespace revproxyd::log

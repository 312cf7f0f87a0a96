#include "revproxyd/base/result.h"

#include <memory>
#include <set>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace revproxyd {
namespace {

TEST(Result, HoldsAValue) {
  Result<std::string> result = std::string("text");
  ASSERT_TRUE(result.has_value());
  EXPECT_TRUE(static_cast<bool>(result));
  EXPECT_EQ(*result, "text");
  EXPECT_EQ(result->size(), 4U);
  EXPECT_EQ(result.value(), "text");
}

TEST(Result, HoldsAnError) {
  const Result<int> result = Error(Code::reset, Side::upstream, "gone", 104);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code(), Code::reset);
  EXPECT_EQ(result.error().side(), Side::upstream);
  EXPECT_EQ(result.error().text(), "gone");
  EXPECT_EQ(result.error().sys(), 104);
}

TEST(Result, HoldsAValueThatIsFalse) {
  EXPECT_TRUE(Result<bool>(false).has_value());
  EXPECT_TRUE(Result<int*>(nullptr).has_value());
}

TEST(Result, MovesItsValueOut) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  const std::unique_ptr<int> taken = *std::move(result);
  EXPECT_EQ(*taken, 7);
}

TEST(Result, OfNothingIsDoneOrAnError) {
  EXPECT_TRUE(Result<void>().has_value());
  const Result<void> failed = Error(Code::cancelled);
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code(), Code::cancelled);
}

TEST(Error, IsLaidAtAnotherDoor) {
  const Error error = Error(Code::system, "read", 5).at(Side::downstream);
  EXPECT_EQ(error.side(), Side::downstream);
  EXPECT_EQ(error.code(), Code::system);
  EXPECT_EQ(error.text(), "read");
  EXPECT_EQ(error.sys(), 5);
}

TEST(Error, HasAWordOfItsOwnForEveryCode) {
  std::set<std::string_view> words;
  for (std::size_t i = 0; i < kCodeCount; ++i) words.insert(name(static_cast<Code>(i)));
  EXPECT_EQ(words.size(), kCodeCount);
}

}  // namespace
}  // namespace revproxyd

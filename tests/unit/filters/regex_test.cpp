#include "revproxyd/filters/regex.h"

#include <chrono>

#include <gtest/gtest.h>

namespace revproxyd::filters {
namespace {

using std::chrono::steady_clock;

TEST(Regex, TakesLinearTimeWhereBacktrackingWouldTakeForEver) {
  // Backtracking tries 2^n ways to split n letters before it gives up at the last character.
  const auto regex = compile_regex("^(a+)+$");
  ASSERT_TRUE(regex->ok());
  const std::string text = std::string(20000, 'a') + "!";
  const auto begun = steady_clock::now();
  EXPECT_FALSE(re2::RE2::PartialMatch(text, *regex));
  EXPECT_LT(steady_clock::now() - begun, std::chrono::seconds(5));
}

TEST(Regex, RefusesAPatternThatNeedsTooMuchMemory) {
  EXPECT_FALSE(compile_regex("((((a{1,99}){1,9}b){1,99}c){1,99})")->ok());
  EXPECT_FALSE(compile_regex("(\\pL{1,500}){1,2}\\pL{1,1000}")->ok());
  EXPECT_TRUE(compile_regex("^[a-z]{1,40}$")->ok());
}

TEST(Regex, RefusesBackReferencesAndLookAround) {
  EXPECT_FALSE(compile_regex("(a)\\1")->ok());
  EXPECT_FALSE(compile_regex("a(?=b)")->ok());
  EXPECT_TRUE(compile_regex("(a)b")->ok());
}

}  // namespace
}  // namespace revproxyd::filters

#include "app/spread.h"

#include <gtest/gtest.h>

namespace revproxyd::app {
namespace {

/// How many of a hundred connections are passed on.
int passed(const Share& mine, const Share& theirs) {
  Spread spread;
  int count = 0;
  for (int i = 0; i < 100; ++i) count += spread.passes(mine, theirs) ? 1 : 0;
  return count;
}

TEST(Spread, FewConnectionsAreEvenedOutToOne) {
  EXPECT_EQ(passed({0, 0}, {0, 0}), 0);
  EXPECT_EQ(passed({1, 0}, {0, 0}), 100);
  EXPECT_EQ(passed({7, 0}, {7, 0}), 0);
  EXPECT_EQ(passed({8, 0}, {7, 0}), 100);
}

TEST(Spread, OfManyADifferenceOfASixteenthIsLeft) {
  EXPECT_EQ(passed({1062, 0}, {1000, 0}), 0);
  EXPECT_EQ(passed({1063, 0}, {1000, 0}), 100);
}

TEST(Spread, ABusyWorkerGetsNoneThoughItHasFewer) {
  EXPECT_EQ(passed({100, 100}, {1, 350}), 0);
  EXPECT_EQ(passed({100, 101}, {1, 350}), 100);
}

TEST(Spread, ABusyWorkerPassesOnAsManyAsItIsBusierThoughItHasFewer) {
  EXPECT_EQ(passed({1, 1000}, {100, 750}), 25);
  EXPECT_EQ(passed({1, 800}, {100, 400}), 50);
  EXPECT_EQ(passed({1, 1000}, {100, 0}), 100);
}

TEST(Spread, OfTwoOthersTheLessBusyOneHasLessAndThenTheOneWithFewer) {
  EXPECT_TRUE(Spread::has_less({9, 100}, {1, 350}));
  EXPECT_FALSE(Spread::has_less({1, 350}, {9, 100}));
  EXPECT_TRUE(Spread::has_less({1, 349}, {9, 100}));
  EXPECT_FALSE(Spread::has_less({9, 100}, {1, 349}));
  EXPECT_FALSE(Spread::has_less({9, 100}, {9, 100}));
}

}  // namespace
}  // namespace revproxyd::app

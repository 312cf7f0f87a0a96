// Lines in messages of limited size.

#include "app/packed_lines.h"

#include <gtest/gtest.h>

namespace revproxyd::app {

using Texts = std::vector<std::string>;
using Lines = std::vector<std::string_view>;

TEST(PackedLines, FillATextToItsLimit) {
  EXPECT_EQ(pack_lines({"abc", "de", "f"}, 7), (Texts{"abc\nde\n", "f\n"}));
  EXPECT_EQ(pack_lines({"abc", "de", "f"}, 6), (Texts{"abc\n", "de\nf\n"}));
}

TEST(PackedLines, OneThatIsLongerThanATextIsLeftOut) {
  EXPECT_EQ(pack_lines({"abcd", "abc"}, 4), Texts{"abc\n"});
}

TEST(PackedLines, AreReadAgain) {
  EXPECT_EQ(lines_of("abc\nde\n"), (Lines{"abc", "de"}));
  EXPECT_EQ(lines_of("abc\nde"), (Lines{"abc", "de"}));
  EXPECT_EQ(lines_of(""), Lines{});
}

}  // namespace revproxyd::app

#include "revproxyd/base/ascii.h"

#include <string>

#include <gtest/gtest.h>

namespace revproxyd::ascii {
namespace {

TEST(Ascii, KnowsTheTokenCharactersOfRfc9110) {
  const std::string marks = "!#$%&'*+-.^_`|~";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const bool expected =
        is_digit(c) || is_alpha(c) || (byte != 0 && marks.find(c) != std::string::npos);
    EXPECT_EQ(is_token_char(c), expected) << byte;
  }
}

TEST(Ascii, TakesOnlyNonEmptyTokens) {
  EXPECT_TRUE(is_token("GET"));
  EXPECT_FALSE(is_token(""));
  EXPECT_FALSE(is_token("G T"));
  EXPECT_FALSE(is_token("GET\n"));
}

TEST(Ascii, ReadsHexadecimalDigits) {
  for (int value = 0; value < 16; ++value) {
    EXPECT_EQ(hex_value("0123456789abcdef"[value]), value);
    EXPECT_EQ(hex_value("0123456789ABCDEF"[value]), value);
  }
  for (char c : std::string("gG/:@`x \x80")) EXPECT_EQ(hex_value(c), -1) << c;
}

TEST(Ascii, FoldsLettersAndNothingElse) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    EXPECT_EQ(to_lower(c), byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte + 32) : c) << byte;
  }
  EXPECT_EQ(lower("AbC-1\xC4"), "abc-1\xC4");
}

TEST(Ascii, ComparesWithoutCase) {
  EXPECT_TRUE(iequals("Close", "cLOSE"));
  EXPECT_TRUE(iequals("", ""));
  EXPECT_FALSE(iequals("close", "closed"));
  EXPECT_FALSE(iequals("[", "{"));
}

TEST(Ascii, TrimsSpacesAndTabsOnly) {
  EXPECT_EQ(trim(" \t a b\t "), "a b");
  EXPECT_EQ(trim("\ta\n"), "a\n");
  EXPECT_EQ(trim(" \t "), "");
  EXPECT_EQ(trim(""), "");
}

}  // namespace
}  // namespace revproxyd::ascii

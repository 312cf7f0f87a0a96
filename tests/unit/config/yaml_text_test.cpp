#include "config/yaml_text.h"

#include <gtest/gtest.h>
#include <yaml-cpp/exceptions.h>

namespace revproxyd::config {
namespace {

struct DashCase {
  const char* text;
  std::size_t column;
  std::optional<std::size_t> dash;
};

TEST(DashOfEmptyItem, IsTheLastOneInItsColumn) {
  for (const DashCase& c :
       {DashCase{"-\n", 0, 0}, DashCase{"- \n", 0, 0}, DashCase{"-\t# a\n", 0, 0},
        DashCase{"-\r\n", 0, 0}, DashCase{"a:\n-\n-\n", 0, 5}, DashCase{"  -\n    # a\n\n", 2, 2}})
    EXPECT_EQ(dash_of_empty_item(c.text, std::string_view(c.text).size(), c.column), c.dash)
        << c.text;
}

TEST(DashOfEmptyItem, IsNoneOfTheDashesInAComment) {
  for (const DashCase& c : {DashCase{"  -\n#--\n", 2, 2}, DashCase{"  -\n#--x\n", 2, 2},
                            DashCase{"  -\n#-- x\n", 2, 2}})
    EXPECT_EQ(dash_of_empty_item(c.text, std::string_view(c.text).size(), c.column), c.dash)
        << c.text;
}

TEST(DashOfEmptyItem, IsMissingWhereNoItemBegins) {
  for (const char* text : {"", "\n", "a\n", "\na: -b\n", "-b\n"})
    EXPECT_FALSE(dash_of_empty_item(text, std::string_view(text).size(), 0)) << text;
}

TEST(UnclosedQuote, IsFoundBehindAnchorAndTag) {
  EXPECT_EQ(unclosed_quote("'a", 0), 0U);
  EXPECT_EQ(unclosed_quote("! 'a", 0), 2U);
  EXPECT_EQ(unclosed_quote("&x\n\"a", 0), 3U);
  EXPECT_EQ(unclosed_quote("&x\r\n'a", 0), 4U);
  EXPECT_EQ(unclosed_quote("&x\t! 'a", 0), 5U);
}

TEST(UnclosedQuote, MayBeTheLastByte) {
  EXPECT_EQ(unclosed_quote("'", 0), 0U);
  EXPECT_EQ(unclosed_quote("'''", 0), 0U);
  EXPECT_EQ(unclosed_quote("\"a\\", 0), 0U);
}

TEST(UnclosedQuote, IsMissingWhereNothingIsQuotedOrItIsClosed) {
  for (const char* text : {"", "a", "&x", "&x ", "''", "'a'", "&x 'a'", "\"\\\"\"", "'it''s'"})
    EXPECT_FALSE(unclosed_quote(text, 0)) << text;
}

TEST(ExplainRefusal, KeepsTheReasonsOfTheLibraryThatItHasNoWordsFor) {
  EXPECT_EQ(explain_refusal("a reason of another version", "a", 0), "a reason of another version");
  // There is no character to name.
  EXPECT_EQ(explain_refusal(YAML::ErrorMsg::UNKNOWN_TOKEN, "a", 1), YAML::ErrorMsg::UNKNOWN_TOKEN);
}

}  // namespace
}  // namespace revproxyd::config

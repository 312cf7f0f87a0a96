#include "revproxyd/config/value.h"

#include <string>

#include <gtest/gtest.h>

#include "revproxyd/config/load_tree.h"

// What is printed of texts is in scalars_test.cpp; here are lists, maps and secrets.

namespace revproxyd::config {
namespace {

Value text(std::string_view of) { return Value::of_text(of); }

Node reread(const Value& value) {
  Report report;
  Tree tree = parse_tree(to_yaml(value), "printed", report);
  EXPECT_TRUE(report.ok()) << report.text();
  return std::move(tree.root);
}

TEST(Yaml, QuotesWordsThatMeanNothingOrTruth) {
  for (const char* word : {"null", "Null", "NULL", "true", "false", "1+1", "1:2", "a:"}) {
    Value map = Value::map();
    map.set("a", text(word));
    EXPECT_EQ(to_yaml(map), "a: \"" + std::string(word) + "\"\n");
  }
}

TEST(Yaml, PrintsListsOfListsAndMaps) {
  const Value inner = Value::list({Value::list({text("b"), text("c")}), Value::list()});
  const Value map = Value::map({{"d", text("e")}});
  const Node root = reread(Value::map({{"a", Value::list({inner, map, text("f")})}}));
  const Node& list = *root.find("a");
  ASSERT_EQ(list.items.size(), 3U);
  ASSERT_EQ(list.items[0].items.size(), 2U);
  EXPECT_EQ(list.items[0].items[0].items.at(1).text, "c");
  EXPECT_TRUE(list.items[0].items[1].is_list());
  EXPECT_EQ(list.items[1].find("d")->text, "e");
  EXPECT_EQ(list.items[2].text, "f");
}

// As reading may have changed it: in lower case, without the last '/' or '.'.
TEST(Yaml, HidesASecretInEveryFormThatReadingGivesIt) {
  const Value map = Value::map({{"a", text("shop.example")}});
  for (const char* secret : {"shop.example", "Shop.Example", "shop.example.", "shop.example/"})
    EXPECT_EQ(to_yaml(map, {secret}), "a: <redacted>\n") << secret;
}

TEST(Yaml, HidesASecretThatIsANameAndNoKeyOfOurs) {
  const Value::Members members{{"hunter2", text("a")}};
  EXPECT_EQ(to_yaml(Value::map_of_names(members), {"hunter2"}), "<redacted>: a\n");
  EXPECT_EQ(to_yaml(Value::map(members), {"hunter2"}), "hunter2: a\n");
}

TEST(Yaml, WordsAreNoSecretsButQuotedAsTexts) {
  const Value map = Value::map({{"a", Value::of_word("auto")}, {"b", Value::of_word("1.2")}});
  EXPECT_EQ(to_yaml(map, {"auto", "1.2"}), "a: auto\nb: \"1.2\"\n");
  EXPECT_EQ(to_json(Value::of_word("1.2")), "\"1.2\"\n");
}

TEST(Json, WritesNumbersAndTruthBareAndNothingElse) {
  for (const char* bare : {"0", "-1", "18446744073709551615", "1.2", "-1.2", "true", "false"})
    EXPECT_EQ(to_json(Value::of_plain(bare)), std::string(bare) + "\n");
  for (const char* quoted : {"", "-", "5s", "1.", ".2", "1.2.3", "--1"})
    EXPECT_EQ(to_json(Value::of_plain(quoted)), "\"" + std::string(quoted) + "\"\n");
}

}  // namespace
}  // namespace revproxyd::config

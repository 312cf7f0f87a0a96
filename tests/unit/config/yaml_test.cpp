// What hostile and odd texts cost the reader, and what it makes of them.

#include "config/yaml.h"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/config/trees.h"

namespace revproxyd::config {
namespace {

using namespace test;

TEST(Yaml, RefusesAliasesThatCopyTooManyBytes) {
  const std::string text = "a: [ &x " + repeat("1", 200000) + repeat(", *x", 40000) + " ]\n";
  EXPECT_TRUE(holds(refusal(text), "error: all files together are larger than 32MiB, aliases and"));
  // The anchor keeps a copy of `k` and `x`, and the alias makes another.
  const std::string small = "a: &n { k: x }\nb: [ 1, *n ]\n";
  ReadLimits limits;
  limits.total_bytes = small.size() + 3;
  EXPECT_TRUE(
      holds(refusal(small, limits), "proxy.yaml:2:9: error: all files together are larger"));
  limits.total_bytes = small.size() + 1;
  EXPECT_TRUE(
      holds(refusal(small, limits), "proxy.yaml:1:4: error: all files together are larger"));
  limits.total_bytes = small.size() + 4;
  Report report;
  parse_tree(small, "x", report, limits);
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Yaml, RefusesAliasesOfLargeKeysToo) {
  const std::string text =
      "a: [ &x { " + repeat("k", 1000) + ": }" + repeat(", *x", 40000) + " ]\n";
  EXPECT_TRUE(holds(refusal(text), "all files together are larger than 32MiB"));
}

TEST(Yaml, ManyItemsWithoutAValueAreFoundInTheTimeOfTheirText) {
  Report report;
  const auto begin = std::chrono::steady_clock::now();
  const Tree tree = parse_tree("b: 1\na:\n" + repeat(" - # -\n - c\n", 100000), "x", report);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  ASSERT_TRUE(report.ok()) << report.text();
  const auto& items = tree.root.find("a")->items;
  ASSERT_EQ(items.size(), 200000U);
  for (std::size_t i = 0; i < items.size(); ++i) ASSERT_EQ(items[i].mark.line, i + 3);
  EXPECT_EQ(report.place(items[199998].mark), "x:200001:2");
}

TEST(Tree, ManyKeysAtTheTopAreMergedInTheTimeOfTheirText) {
  std::string text;
  for (int i = 0; i < 150000; ++i) text += "key-" + std::to_string(i) + ":\n";
  Report report;
  const auto begin = std::chrono::steady_clock::now();
  const Tree tree = parse_tree(text, "x", report);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  ASSERT_TRUE(report.ok()) << report.text();
  ASSERT_EQ(tree.root.entries.size(), 150000U);
  EXPECT_EQ(tree.root.entries.back().key, "key-149999");
}

// The library writes them as bytes of Latin-1.
TEST(Yaml, EscapesOfALineEndAndASpaceAreCharacters) {
  Report report;
  const Tree tree = parse_tree("\"k\\_\": \"\xC3\xA4\\N\\_\\u00A0\\xA0\\L\"\n", "x", report);
  ASSERT_TRUE(report.ok()) << report.text();
  const Node* value = tree.root.find("k\xC2\xA0");
  ASSERT_NE(value, nullptr);
  EXPECT_EQ(value->text, "\xC3\xA4\xC2\x85\xC2\xA0\xC2\xA0\xC2\xA0\xE2\x80\xA8");
}

}  // namespace
}  // namespace revproxyd::config

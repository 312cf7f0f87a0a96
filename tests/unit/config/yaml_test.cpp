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

}  // namespace
}  // namespace revproxyd::config

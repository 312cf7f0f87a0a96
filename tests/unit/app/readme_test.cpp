// The configurations that pages show are ones that load.

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "revproxyd/app/load.h"

namespace revproxyd::app {
namespace {

std::string read_page(const std::string& path) {
  std::ifstream file(std::string(REVPROXYD_SOURCE_DIR) + "/" + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The fenced blocks of YAML in a page.
std::vector<std::string> yaml_blocks(const std::string& page) {
  const std::string begin = "\n```yaml\n";
  const std::string end = "\n```\n";
  std::vector<std::string> blocks;
  for (std::size_t at = page.find(begin); at != std::string::npos; at = page.find(begin, at)) {
    at += begin.size();
    const std::size_t stop = page.find(end, at);
    if (stop == std::string::npos) break;
    blocks.push_back(page.substr(at, stop + 1 - at));
    at = stop;
  }
  return blocks;
}

/// Pages show parts of a file; what every file needs is put in front where it is missing.
std::string completed(const std::string& block) {
  const bool listens =
      block.starts_with("listeners:") || block.find("\nlisteners:") != std::string::npos;
  return listens ? block : "listeners: [ { name: web, address: \":8080\" } ]\n" + block;
}

}  // namespace

TEST(Readme, ShowsAConfigurationThatLoadsWithoutAWarning) {
  const std::vector<std::string> blocks = yaml_blocks(read_page("README.md"));
  ASSERT_EQ(blocks.size(), 1U);
  const LoadResult result = load_text(blocks.front(), "README.md");
  EXPECT_TRUE(result.ok()) << result.report.text();
  EXPECT_EQ(result.report.warnings(), 0U) << result.report.text();
  EXPECT_EQ(result.settings.listeners.size(), 2U);
}

class ShownBy : public ::testing::TestWithParam<const char*> {};

TEST_P(ShownBy, ConfigurationsThatLoad) {
  const std::vector<std::string> blocks = yaml_blocks(read_page(GetParam()));
  ASSERT_FALSE(blocks.empty());
  for (const std::string& block : blocks) {
    const LoadResult result = load_text(completed(block), GetParam());
    EXPECT_TRUE(result.ok()) << block << result.report.text();
  }
}

INSTANTIATE_TEST_SUITE_P(Pages, ShownBy,
                         ::testing::Values("docs/filters/headers.md", "docs/filters/rewrite.md",
                                           "docs/balancers/first.md", "docs/balancers/hash.md",
                                           "docs/balancers/least_request.md",
                                           "docs/balancers/random.md",
                                           "docs/balancers/round_robin.md"));

}  // namespace revproxyd::app

// Documents: links lead somewhere, decisions are numbered and found, examples are mentioned.

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <optional>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "tests/tidy/source.h"

namespace revproxyd::tidy {

namespace {

constexpr std::size_t kReadmeLines = 150;

struct Link {
  std::string file;    // as written; empty = this one
  std::string anchor;  // without '#'
  std::size_t line = 0;
};
std::vector<Link> links_of(const std::string& markdown) {
  static const std::regex kLink(R"(\]\(([^)#\s]*)#?([^)\s]*)\))");
  std::vector<Link> links;
  // What stands in a fence is no text of ours to follow.
  // not occur in prose.
  bool fenced = false;
  const std::vector<std::string> lines = lines_of(markdown);
  for (std::size_t at = 0; at < lines.size(); ++at) {
    const bool fence = lines[at].find("```") != std::string::npos;
    if (fence) fenced = !fenced;
    if (fence || fenced) continue;
    for (std::sregex_iterator found(lines[at].begin(), lines[at].end(), kLink);
         found != std::sregex_iterator(); ++found) {
      links.push_back({(*found)[1], (*found)[2], at + 1});
    }
  }
  return links;
}

// The anchor that a heading gets: lower case, spaces become '-', other punctuation goes.
std::set<std::string> anchors_of(const std::string& markdown) {
  std::set<std::string> anchors;
  bool fenced = false;
  for (const std::string& line : lines_of(markdown)) {
    if (line.find("```") != std::string::npos) fenced = !fenced;
    if (fenced || !line.starts_with('#')) continue;
    std::string anchor;
    for (const char c : line.substr(std::min(line.find_first_not_of("# "), line.size()))) {
      const auto byte = static_cast<unsigned char>(c);
      if (std::isalnum(byte) != 0 || c == '-' || c == '_')
        anchor += static_cast<char>(std::tolower(byte));
      if (c == ' ') anchor += '-';
    }
    anchors.insert(anchor);
  }
  return anchors;
}

// `read` gives the text of a path of the tree, or nothing when there is none.
using Read = std::optional<std::string> (*)(const std::string& path);
std::optional<std::string> from_tree(const std::string& path) {
  if (!exists_in_tree(path)) return std::nullopt;
  return path.ends_with(".md") ? read_in_tree(path) : std::string();
}

Findings dead_links(const Source& page, Read read) {
  Findings findings;
  for (const Link& link : links_of(page.text)) {
    if (link.file.find(':') != std::string::npos) continue;  // https:, mailto:
    const std::filesystem::path directory = std::filesystem::path(page.path).parent_path();
    const std::string path =
        link.file.empty() ? page.path : (directory / link.file).lexically_normal().generic_string();
    const std::optional<std::string> target = link.file.empty() ? page.text : read(path);
    if (!target) {
      findings.push_back({page.path, link.line, "links to nothing: " + link.file});
    } else if (path.ends_with(".md") && !link.anchor.empty() &&
               !anchors_of(*target).contains(link.anchor)) {
      findings.push_back(
          {page.path, link.line, "links to no heading: " + link.file + "#" + link.anchor});
    }
  }
  return findings;
}

Findings decision_numbers(const std::vector<Source>& decisions, const std::string& architecture) {
  static const std::regex kName(R"(^([0-9]{4})-[a-z0-9-]+\.md$)");
  Findings findings;
  std::set<std::string> numbers;
  for (const Source& decision : decisions) {
    const std::string name = std::filesystem::path(decision.path).filename().string();
    std::smatch match;
    if (!std::regex_match(name, match, kName)) {
      findings.push_back({decision.path, 0, "is not named NNNN-title.md"});
    } else if (!numbers.insert(match[1]).second) {
      findings.push_back({decision.path, 0, "has a number that is taken"});
    }
    if (architecture.find("(decisions/" + name + ")") == std::string::npos) {
      findings.push_back({decision.path, 0, "is not linked from docs/architecture.md"});
    }
  }
  return findings;
}

Findings unmentioned(const std::vector<Source>& examples, const std::vector<Source>& pages) {
  Findings findings;
  for (const Source& example : examples) {
    const std::string name = std::filesystem::path(example.path).filename().string();
    const auto mentions = [&](const Source& page) {
      return page.text.find(name) != std::string::npos;
    };
    if (std::ranges::none_of(pages, mentions))
      findings.push_back({example.path, 0, "no page mentions it"});
  }
  return findings;
}

// Rows of the tables under "What is defended" whose last cell names no test that exists.
Findings untested_threats(const Source& page, Read read) {
  static const std::regex kTest(R"re(`(tests/[^`]+)`)re");
  Findings findings;
  bool within = false;
  const std::vector<std::string> lines = lines_of(page.text);
  for (std::size_t at = 0; at < lines.size(); ++at) {
    const std::string& line = lines[at];
    if (line.starts_with("## ")) within = line == "## What is defended";
    if (!within || !line.starts_with("| ") || line.starts_with("| threat |")) continue;
    std::size_t tests = 0;
    for (std::sregex_iterator test(line.begin(), line.end(), kTest); test != std::sregex_iterator();
         ++test) {
      ++tests;
      if (!read((*test)[1]))
        findings.push_back({page.path, at + 1, "no such test: " + (*test)[1].str()});
    }
    if (tests == 0) findings.push_back({page.path, at + 1, "a threat without its test"});
  }
  return findings;
}

std::vector<Source> pages() {
  std::vector<Source> all = tree("docs", {".md"});
  all.push_back({"README.md", read_in_tree("README.md")});
  return all;
}

}  // namespace

TEST(TidyDocuments, RelativeLinksLeadToFilesAndHeadings) {
  Findings findings;
  for (const Source& page : pages()) append(findings, dead_links(page, from_tree));
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyDocuments, RuleSeesDeadLinks) {
  const Read read = [](const std::string& path) -> std::optional<std::string> {
    if (path == "docs/b.md") return "# Head line: one\n";
    return std::nullopt;
  };
  EXPECT_TRUE(
      dead_links({"docs/a.md", "[b](b.md) [c](b.md#head-line-one) [d](https://example.com/x)\n"},
                 read)
          .empty());
  EXPECT_EQ(dead_links({"docs/a.md", "\n[b](c.md)\n"}, read).at(0).line, 2U);
  EXPECT_EQ(dead_links({"docs/a.md", "[b](b.md#other)\n"}, read).size(), 1U);
  EXPECT_EQ(dead_links({"docs/a.md", "[b](#nowhere)\n"}, read).size(), 1U);
  EXPECT_EQ(dead_links({"README.md", "[b](b.md)\n"}, read).size(), 1U);
}

TEST(TidyDocuments, DecisionsAreNumberedAndLinked) {
  const std::vector<Source> decisions = tree("docs/decisions", {""});
  EXPECT_FALSE(decisions.empty());
  const Findings findings = decision_numbers(decisions, read_in_tree("docs/architecture.md"));
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyDocuments, RuleSeesDecisionsWithoutNumberOrLink) {
  const std::string page = "[a](decisions/0001-a.md) [b](decisions/0001-b.md) [c](decisions/c.md)";
  EXPECT_TRUE(decision_numbers({{"docs/decisions/0001-a.md", ""}}, page).empty());
  EXPECT_EQ(
      decision_numbers({{"docs/decisions/0001-a.md", ""}, {"docs/decisions/0001-b.md", ""}}, page)
          .size(),
      1U);
  EXPECT_EQ(decision_numbers({{"docs/decisions/c.md", ""}}, page).size(), 1U);
  EXPECT_EQ(decision_numbers({{"docs/decisions/0002-d.md", ""}}, page).size(), 1U);
}

TEST(TidyDocuments, ThreatsNameTheirTests) {
  const Findings findings =
      untested_threats({"docs/threat-model.md", read_in_tree("docs/threat-model.md")}, from_tree);
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyDocuments, RuleSeesThreatsWithoutTest) {
  const Read read = [](const std::string& path) -> std::optional<std::string> {
    if (path == "tests/a_test.cpp") return "";
    return std::nullopt;
  };
  const std::string head = "## What is defended\n| threat | answer | test |\n|---|---|---|\n";
  EXPECT_TRUE(untested_threats(
                  {"t.md", head + "| a | b | `tests/a_test.cpp` |\n## Other\n| c | d |\n"}, read)
                  .empty());
  EXPECT_EQ(untested_threats({"t.md", head + "| a | b | `tests/b_test.cpp` |\n"}, read).size(), 1U);
  EXPECT_EQ(untested_threats({"t.md", head + "| a | b | |\n"}, read).size(), 1U);
}

TEST(TidyDocuments, ReadmeIsShort) {
  const std::size_t lines = lines_of(read_in_tree("README.md")).size();
  EXPECT_GT(lines, 0U);
  EXPECT_LE(lines, kReadmeLines);
}

TEST(TidyDocuments, ExamplesAreMentioned) {
  const Findings findings = unmentioned(tree("config", {".yaml"}), pages());
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyDocuments, RuleSeesUnmentionedExamples) {
  const std::vector<Source> text{{"docs/a.md", "see `config/examples/one.yaml`\n"}};
  EXPECT_TRUE(unmentioned({{"config/examples/one.yaml", ""}}, text).empty());
  EXPECT_EQ(unmentioned({{"config/examples/two.yaml", ""}}, text).size(), 1U);
}

}  // namespace revproxyd::tidy

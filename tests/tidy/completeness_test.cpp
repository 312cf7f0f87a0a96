// What has to come along: a filter's and a balancer's registry line, test and page; the words that
// have no place in a module.

#include <algorithm>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "tests/tidy/source.h"

namespace revproxyd::tidy {

namespace {

// One kind of thing that is registered by name.
struct Kind {
  const char* base;       // what its classes derive from
  const char* sources;    // where they live; registry.cpp is there, too
  const char* tests;      // somewhere below: <name>_test.cpp
  const char* documents;  // <name>.md
};
constexpr Kind kFilters{"Filter", "src/filters/", "tests/unit/filters/", "docs/filters/"};
constexpr Kind kBalancers{"Balancer", "src/upstream/balancers/", "tests/unit/upstream/",
                          "docs/balancers/"};

// Entries of the table are `{"name", ...}` or `Type{"name", ...}`.
std::set<std::string> registered_names(std::string_view registry) {
  static const std::regex kEntry(R"re(\{\s*"([a-z0-9_]+)"\s*,)re");
  const std::string code = code_of(registry, true);
  std::set<std::string> names;
  for (std::sregex_iterator at(code.begin(), code.end(), kEntry); at != std::sregex_iterator();
       ++at)
    names.insert((*at)[1]);
  return names;
}

std::set<std::string> defined_names(const Kind& kind, const std::vector<Source>& files) {
  const std::regex derives(
      std::string(R"((class|struct)\s+\w+\s*(final\s*)?:\s*public\s+(\w+::)*)") + kind.base +
      R"(\b)");
  std::set<std::string> names;
  for (const Source& file : files) {
    if (!file.path.starts_with(kind.sources)) continue;
    if (std::regex_search(code_of(file.text), derives)) names.insert(stem_of(file.path));
  }
  return names;
}

Findings missing_parts(const Kind& kind, const std::vector<Source>& files) {
  const std::string registry = std::string(kind.sources) + "registry.cpp";
  std::set<std::string> registered;
  std::set<std::string> paths;
  for (const Source& file : files) {
    paths.insert(file.path);
    if (file.path == registry) registered = registered_names(file.text);
  }
  Findings findings;
  for (const std::string& name : defined_names(kind, files)) {
    if (!registered.contains(name)) findings.push_back({registry, 0, "does not list " + name});
  }
  for (const std::string& name : registered) {
    const auto is_test = [&](const std::string& path) {
      return path.starts_with(kind.tests) && path.ends_with("/" + name + "_test.cpp");
    };
    const std::string source = kind.sources + name + ".cpp";
    const std::string page = kind.documents + name + ".md";
    if (!paths.contains(source))
      findings.push_back({source, 0, "registered, but has no source of its name"});
    if (std::ranges::none_of(paths, is_test))
      findings.push_back({source, 0, "has no test " + name + "_test.cpp"});
    if (!paths.contains(page)) findings.push_back({source, 0, "has no page " + page});
  }
  return findings;
}

std::vector<Source> files_of(const Kind& kind) {
  std::vector<Source> files = tree(kind.sources, {".h", ".cpp"});
  std::ranges::move(tree(kind.tests, {".cpp"}), std::back_inserter(files));
  std::ranges::move(tree(kind.documents, {".md"}), std::back_inserter(files));
  return files;
}

// Above the codecs nothing knows which version of HTTP a request came by. Only what reads the
// configuration knows the words.
Findings protocol_words(const Source& file) {
  static const std::regex kWord(R"((^|[^A-Za-z0-9])([hH]2([^A-Za-z0-9]|$)|http_?2\b))");
  static const std::regex kNaming(
      R"re(^\s*case (\w+::)*http2: return "[^"]*";\s*$)re");  // for the log
  if (stem_of(file.path).starts_with("settings")) return {};
  Findings findings;
  const std::vector<std::string> lines = lines_of(code_of(file.text, true));
  for (std::size_t at = 0; at < lines.size(); ++at) {
    if (std::regex_match(lines[at], kNaming)) continue;
    if (std::regex_search(lines[at], kWord)) findings.push_back({file.path, at + 1, "knows of h2"});
  }
  return findings;
}

Findings open_ends(const Source& file) {
  static const std::regex kWord(std::string(R"(\b(TO)") + R"(DO|FIX)" + R"(ME|XX)" + R"(X|HA)" +
                                R"(CK)\b)");
  static const std::regex kIssue(R"(#[0-9]+)");
  Findings findings;
  const std::vector<std::string> lines = lines_of(file.text);
  for (std::size_t at = 0; at < lines.size(); ++at) {
    if (!std::regex_search(lines[at], kWord) || std::regex_search(lines[at], kIssue)) continue;
    findings.push_back({file.path, at + 1, "left open without an issue number"});
  }
  return findings;
}

std::vector<Source> with(std::vector<Source> files, Source more) {
  files.push_back(std::move(more));
  return files;
}

}  // namespace

TEST(TidyCompleteness, EveryFilterIsRegisteredTestedAndDocumented) {
  const Findings findings = missing_parts(kFilters, files_of(kFilters));
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyCompleteness, EveryBalancerIsRegisteredTestedAndDocumented) {
  const std::vector<Source> files = files_of(kBalancers);
  EXPECT_FALSE(defined_names(kBalancers, files).empty())
      << "the rule no longer finds the balancers";
  const Findings findings = missing_parts(kBalancers, files);
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyCompleteness, RuleSeesWhatIsMissing) {
  const Source filter{"src/filters/foo.cpp", "class Foo final : public pipeline::Filter {};\n"};
  const Source registry{"src/filters/registry.cpp",
                        "constexpr std::array kFilters{Entry{\"foo\", &make_foo}};\n"};
  const Source test{"tests/unit/filters/foo_test.cpp", ""};
  const Source page{"docs/filters/foo.md", ""};
  EXPECT_TRUE(missing_parts(kFilters, {filter, registry, test, page}).empty());
  EXPECT_EQ(missing_parts(kFilters, {filter, test, page}).size(), 1U);
  EXPECT_EQ(missing_parts(kFilters, {filter, registry, page}).size(), 1U);
  EXPECT_EQ(missing_parts(kFilters, {filter, registry, test}).size(), 1U);
  EXPECT_EQ(missing_parts(kFilters, {registry, test, page}).size(), 1U);
  const Source unlisted{"src/filters/bar.cpp", "class Bar : public Filter {};\n"};
  EXPECT_EQ(missing_parts(kFilters, with({filter, registry, test, page}, unlisted)).size(), 1U);
}

TEST(TidyCompleteness, ProxyAndFiltersDoNotKnowTheProtocolVersion) {
  Findings findings;
  for (const char* directory : {"src/proxy", "src/filters"}) {
    for (const Source& file : tree(directory, {".h", ".cpp"}))
      append(findings, protocol_words(file));
  }
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyCompleteness, RuleSeesTheProtocolVersion) {
  EXPECT_EQ(protocol_words({"src/proxy/a.cpp", "if (h2) go();\n"}).size(), 1U);
  EXPECT_EQ(protocol_words({"src/proxy/a.cpp", "\nif (is_h2_stream) go();\n"}).at(0).line, 2U);
  EXPECT_EQ(protocol_words({"src/proxy/a.cpp", "if (alpn == \"h2\") go();\n"}).size(), 1U);
  EXPECT_EQ(protocol_words({"src/proxy/a.cpp", "if (http2) go();\n"}).size(), 1U);
  EXPECT_TRUE(protocol_words({"src/proxy/a.cpp", "hash2(0xh2f);  // h2 is below\n"}).empty());
  EXPECT_TRUE(
      protocol_words({"src/proxy/a.cpp", "  case http::Version::http2: return \"HTTP/2\";\n"})
          .empty());
  EXPECT_TRUE(protocol_words({"src/proxy/settings.cpp", "if (text == \"h2\") go();\n"}).empty());
}

TEST(TidyCompleteness, NothingIsLeftOpenWithoutAnIssue) {
  Findings findings;
  for (const Source& file : all_code()) append(findings, open_ends(file));
  for (const char* directory : {"packaging", "config", "tests"}) {
    for (const Source& file : tree(directory, {".sh", ".py", ".yaml", ".txt"}))
      append(findings, open_ends(file));
  }
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyCompleteness, RuleSeesWhatIsLeftOpen) {
  const std::string word = std::string("TO") + "DO";
  EXPECT_EQ(open_ends({"a.cpp", "// " + word + ": later\n"}).size(), 1U);
  EXPECT_TRUE(open_ends({"a.cpp", "// " + word + "(#12): later\n"}).empty());
  EXPECT_TRUE(open_ends({"a.cpp", "mas" + word + "n\n"}).empty());
}

}  // namespace revproxyd::tidy

#include "filters/path_rewrite.h"

#include <random>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

#include "revproxyd/http/target.h"

namespace revproxyd::filters {
namespace {

RewriteSettings strip(std::string prefix) { return {.strip_prefix = std::move(prefix)}; }
RewriteSettings add(std::string prefix) { return {.add_prefix = std::move(prefix)}; }
RewriteSettings regex(std::string pattern, std::string to) {
  return {.regex = std::move(pattern), .to = std::move(to)};
}

struct Case {
  RewriteSettings settings;
  const char* path;
  const char* query;   // null: none
  const char* target;  // null: not edited
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.settings.strip_prefix << "|" << c.settings.add_prefix << "|" << c.settings.regex << "|"
       << c.settings.to << " on " << c.path;
}

class PathRewriteTable : public ::testing::TestWithParam<Case> {};

TEST_P(PathRewriteTable, GivesTheTarget) {
  const Case& c = GetParam();
  Arena arena;
  const PathRewrite rewrite(c.settings);
  const std::string_view query = c.query != nullptr ? c.query : "";
  const auto result = rewrite.apply(c.path, query, c.query != nullptr, arena);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->edited, c.target != nullptr);
  if (c.target == nullptr) {
    EXPECT_EQ(result->path, c.path);
    EXPECT_EQ(result->query, query);
    EXPECT_EQ(result->has_query, c.query != nullptr);
    return;
  }
  EXPECT_EQ(result->target, c.target);
  EXPECT_EQ(std::string(result->path) + (result->has_query ? "?" + std::string(result->query) : ""),
            c.target);
}

INSTANTIATE_TEST_SUITE_P(
    Strip, PathRewriteTable,
    ::testing::Values(
        Case{strip("/a"), "/a/b", nullptr, "/b"}, Case{strip("/a"), "/a", nullptr, "/"},
        Case{strip("/a"), "/a/", nullptr, "/"}, Case{strip("/a"), "/ab", nullptr, nullptr},
        Case{strip("/a"), "/b/a", nullptr, nullptr}, Case{strip("/a"), "/", nullptr, nullptr},
        Case{strip("/a/"), "/a/b", "x=1", "/b?x=1"}, Case{strip("/a/b"), "/a/b/c/", "", "/c/?"},
        Case{strip("/a/b"), "/a", "x", nullptr}, Case{strip("/%7ea"), "/~a/b", nullptr, "/b"},
        Case{strip("/"), "/a", nullptr, nullptr}, Case{strip("/a"), "/a%2Fb", nullptr, nullptr},
        Case{strip("/a"), "/a/%2Fb", nullptr, "/%2Fb"}, Case{strip("/a"), "*", nullptr, nullptr}));

INSTANTIATE_TEST_SUITE_P(Add, PathRewriteTable,
                         ::testing::Values(Case{add("/b"), "/x", nullptr, "/b/x"},
                                           Case{add("/b"), "/", "q=1", "/b/?q=1"},
                                           Case{add("/b/"), "/x", nullptr, "/b/x"},
                                           Case{add("/b c"), "/x", nullptr, "/b%20c/x"},
                                           Case{add("//b"), "/x", nullptr, "/b/x"},
                                           Case{add("/"), "/x", nullptr, nullptr},
                                           Case{add("/b"), "*", nullptr, nullptr}));

INSTANTIATE_TEST_SUITE_P(
    Rewrite, PathRewriteTable,
    ::testing::Values(Case{regex("^/u/([^/]+)/(.*)$", "/users/\\1/at/\\2"), "/u/joe/x/y", "q",
                           "/users/joe/at/x/y?q"},
                      Case{regex("^/u/", "/users"), "/v/joe", "q", nullptr},
                      Case{regex("b", "/new"), "/abc", nullptr, "/new"},
                      Case{regex("^/p/(.*)$", "/x?id=\\1"), "/p/7", "a=b", "/x?id=7"},
                      Case{regex("^/p/(.*)$", "/x?"), "/p/7", "a=b", "/x"},
                      Case{regex("^/p/(.*)$", "/x?a?b"), "/p/7", "q", "/x?a?b"},
                      Case{regex("^(.*)$", "\\1/end"), "/p", nullptr, "/p/end"},
                      Case{regex("^/(a)?(b)$", "/\\1x\\2"), "/b", nullptr, "/xb"},
                      Case{regex("^/(.)(.)(.)(.)(.)(.)(.)(.)(.)$", "/\\9\\1"), "/123456789",
                           nullptr, "/91"},
                      Case{regex("^/p$", "/a\\\\b"), "/p", nullptr, "/a%5Cb"},
                      Case{regex("^/p$", "/a b\xc3\xa9"), "/p", nullptr, "/a%20b%C3%A9"},
                      Case{regex("^/p$", "/x?q=a b"), "/p", nullptr, "/x?q=a%20b"},
                      Case{regex("^/p$", "/%7ejoe%2f"), "/p", nullptr, "/~joe%2F"}));

INSTANTIATE_TEST_SUITE_P(
    Steps, PathRewriteTable,
    ::testing::Values(Case{{"/a", "/b", "", ""}, "/a/x", nullptr, "/b/x"},
                      Case{{"/a", "/b", "", ""}, "/x", nullptr, "/b/x"},
                      Case{{"/a", "/b", "^/b/(.*)$", "/c/\\1"}, "/a/x", "q", "/c/x?q"},
                      Case{{"/a", "", "^/b$", "/c"}, "/a/x", nullptr, "/x"},
                      Case{{"", "", "", ""}, "/a/x", "q", nullptr}));

// A request must not be able to make the target mean something else than the configuration said.
INSTANTIATE_TEST_SUITE_P(
    Hostile, PathRewriteTable,
    ::testing::Values(Case{regex("^/go(.*)$", "\\1"), "/go", nullptr, "/"},
                      Case{regex("^/go(.*)$", "\\1"), "/go.evil.test", nullptr, "/.evil.test"},
                      Case{regex("^/go/(.*)$", "/\\1"), "/go/x", nullptr, "/x"},
                      Case{regex("^/go(.*)$", "/\\1"), "/go/evil.test", nullptr, "/evil.test"},
                      Case{regex("^/go(.*)$", "/\\1\\1"), "/go/", nullptr, "/"},
                      Case{regex("^/a/(.*)b(.*)$", "/x/\\1\\2"), "/a/.b./etc", nullptr, "/etc"},
                      Case{regex("^/p/(.*)$", "/x?id=\\1"), "/p/7&admin=1;b+c", nullptr,
                           "/x?id=7%26admin%3D1%3Bb%2Bc"},
                      Case{regex("^/p/(.*)$", "/x?id=\\1"), "/p/a%26b%3Fc", nullptr,
                           "/x?id=a%26b%3Fc"},
                      Case{regex("^/p/(.*)$", "/\\1"), "/p/a%3Fb%23c", nullptr, "/a%3Fb%23c"},
                      Case{regex("^/p/(.*)$", "/\\1"), "/p/x%2Fy", nullptr, "/x%2Fy"},
                      Case{regex("^/p/(.*)$", "/a%2f\\1"), "/p/b", nullptr, "/a%2Fb"},
                      Case{regex("^/p/(.*)$", "/\\1%5C"), "/p/b", nullptr, "/b%5C"}));

TEST(PathRewriteRefused, PathThatClimbsOverTheRoot) {
  Arena arena;
  const PathRewrite rewrite(regex("^/a/(.*)b(.*)$", "/\\1\\2"));
  const auto result = rewrite.apply("/a/.b./etc", "", false, arena);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::malformed_request);
}

TEST(PathRewriteRefused, EscapeThatIsCutInTwo) {
  Arena arena;
  const PathRewrite rewrite(regex("^/a(..).*$", "/\\1x"));
  const auto result = rewrite.apply("/a%20", "", false, arena);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::malformed_request);
}

TEST(PathRewriteRefused, SlashThatGetsEncodedByJoiningGroups) {
  Arena arena;
  const PathRewrite rewrite(regex("^/a/(.*)25(.*)$", "/\\1\\2"));
  const auto result = rewrite.apply("/a/x%252Fy", "", false, arena);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::encoded_slash);
}

// Whatever the path, the target is one that our own parser takes, is normal, and is no network-path
// reference.
TEST(PathRewriteProperty, TargetIsAlwaysWellFormed) {
  const RewriteSettings all[] = {regex("^/(.*)(.)/(.*)$", "\\1\\3"),
                                 regex("(.)(.*)(.)", "\\3\\2\\1?q=\\2"),
                                 regex("^(.*)/([^/]*)$", "/\\2/\\1"),
                                 {"/a", "/b", "a(.*)$", "\\1?\\1"}};
  constexpr std::string_view kPieces[] = {"/",   "/", "a", ".", "..", "%25", "%2E", "%3F",
                                          "%C3", "&", "b", "=", "2F", "+",   ";"};
  std::mt19937 random(7);
  Arena scratch;
  std::size_t edited = 0;
  for (int round = 0; round < 20000; ++round) {
    Arena arena;
    std::string raw = "/";
    for (unsigned i = random() % 8; i > 0; --i) raw += kPieces[random() % std::size(kPieces)];
    const auto normal = http::normalise_path(raw, arena);
    if (!normal) continue;
    const PathRewrite rewrite(all[static_cast<std::size_t>(round) % std::size(all)]);
    const auto result = rewrite.apply(normal->text, "x=1", true, arena);
    if (!result || !result->edited) continue;
    ++edited;
    ASSERT_TRUE(http::parse_target(result->target, false, false)) << raw << " " << result->target;
    ASSERT_TRUE(result->target.starts_with('/') && !result->target.starts_with("//")) << raw;
    const auto again = http::normalise_path(result->path, arena);
    ASSERT_TRUE(again) << result->path;
    ASSERT_EQ(again->text, result->path) << raw;
  }
  EXPECT_GT(edited, 1000u);
}

class BadRewrite : public ::testing::TestWithParam<RewriteSettings> {};

TEST_P(BadRewrite, HasAProblemAndThrows) {
  EXPECT_FALSE(rewrite_problem(GetParam()).empty());
  EXPECT_THROW(PathRewrite{GetParam()}, std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(
    Forms, BadRewrite,
    ::testing::Values(strip("a"), strip("/a?b"), strip("/a/*"), strip("/.."), add("b"), add("/b#c"),
                      add("/%zz"), regex("(", "/a"), regex("(?=a)", "/a"), regex("a", ""),
                      regex("a", "b"), regex("a", "http://x/"), regex("a", "/\\1"),
                      regex("(a)", "/\\2"), regex("(a)", "/\\0"), regex("(a)", "/\\x"),
                      regex("(a)", "/\\"), regex("(a)", "\\\\"), regex("a", "/#x"),
                      regex("a", "/%4"), regex("a", "/%4z"), regex("a", "/%z4"), regex("", "/a")));

TEST(GoodRewrite, HasNoProblem) {
  EXPECT_EQ(rewrite_problem({}), "");
  EXPECT_EQ(rewrite_problem({"/a", "/b/", "^/(x)(y)$", "/\\2/\\\\\\1?z=%20"}), "");
}

}  // namespace
}  // namespace revproxyd::filters

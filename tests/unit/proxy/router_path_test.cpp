#include <stdexcept>

#include <gtest/gtest.h>

#include "router_fixture.h"

namespace revproxyd::proxy::testing {
namespace {

struct PathCase {
  const char* pattern;
  const char* path;
  bool taken;
};

void PrintTo(const PathCase& c, std::ostream* out) { *out << c.pattern << " on " << c.path; }

class RouterPath : public ::testing::TestWithParam<PathCase> {};

TEST_P(RouterPath, TakesWhatThePatternSays) {
  const PathCase& c = GetParam();
  EXPECT_EQ(taken({route("r", {}, {c.pattern})}, Request("a.test", c.path)),
            c.taken ? "r" : "none");
}

INSTANTIATE_TEST_SUITE_P(
    Exact, RouterPath,
    ::testing::Values(PathCase{"/a", "/a", true}, PathCase{"/a", "/a/", false},
                      PathCase{"/a", "/A", false}, PathCase{"/a", "/ab", false},
                      PathCase{"/a", "/a/b", false}, PathCase{"/a", "/", false},
                      PathCase{"/a/", "/a/", true}, PathCase{"/a/", "/a", false},
                      PathCase{"/", "/", true}, PathCase{"/", "/a", false},
                      PathCase{"/a/b/c", "/a/b/c", true}, PathCase{"/a/b/c", "/a/b", false}));

INSTANTIATE_TEST_SUITE_P(
    Prefix, RouterPath,
    ::testing::Values(PathCase{"/p/**", "/p", true}, PathCase{"/p/**", "/p/", true},
                      PathCase{"/p/**", "/p/x", true}, PathCase{"/p/**", "/p/x/y/z", true},
                      PathCase{"/p/**", "/px", false}, PathCase{"/p/**", "/", false},
                      PathCase{"/p/**", "/x/p", false}, PathCase{"/p/q/**", "/p/q", true},
                      PathCase{"/p/q/**", "/p", false}, PathCase{"/p/q/**", "/p/qr/s", false},
                      PathCase{"/**", "/", true}, PathCase{"/**", "/a/b", true}));

INSTANTIATE_TEST_SUITE_P(
    Glob, RouterPath,
    ::testing::Values(PathCase{"/a/*/b", "/a/x/b", true}, PathCase{"/a/*/b", "/a/b", false},
                      PathCase{"/a/*/b", "/a/x/y/b", false}, PathCase{"/a/*/b", "/a/x/b/", false},
                      PathCase{"/a/*/b", "/a/x/c", false}, PathCase{"/a/*", "/a/x", true},
                      PathCase{"/a/*", "/a/", false}, PathCase{"/a/*", "/a", false},
                      PathCase{"/a/*", "/a/x/", false}, PathCase{"/*", "/", false},
                      PathCase{"/*", "/x", true}, PathCase{"/a/*/**", "/a/x", true},
                      PathCase{"/a/*/**", "/a/x/", true}, PathCase{"/a/*/**", "/a/x/y/z", true},
                      PathCase{"/a/*/**", "/a/", false}, PathCase{"/a/*/**", "/a", false},
                      PathCase{"/*/b/*/d", "/x/b/y/d", true},
                      PathCase{"/*/b/*/d", "/x/c/y/d", false}));

INSTANTIATE_TEST_SUITE_P(Regex, RouterPath,
                         ::testing::Values(PathCase{"~^/v[0-9]+/", "/v12/x", true},
                                           PathCase{"~^/v[0-9]+/", "/vx/", false},
                                           PathCase{"~\\.php$", "/a/b.php", true},
                                           PathCase{"~\\.php$", "/a/b.phpx", false},
                                           PathCase{"~b", "/abc", true},
                                           PathCase{"~B", "/abc", false},
                                           PathCase{"~(?i)B", "/abc", true}));

INSTANTIATE_TEST_SUITE_P(Asterisk, RouterPath,
                         ::testing::Values(PathCase{"/**", "*", true}, PathCase{"/*", "*", false},
                                           PathCase{"/a/**", "*", false}));

// What a user writes is normalised as requests are.
INSTANTIATE_TEST_SUITE_P(Normalised, RouterPath,
                         ::testing::Values(PathCase{"/%7ejoe", "/~joe", true},
                                           PathCase{"/a%2fb", "/a%2Fb", true},
                                           PathCase{"/a//b/./c", "/a/b/c", true},
                                           PathCase{"/caf\xc3\xa9/**", "/caf%C3%A9/x", true},
                                           PathCase{"/a b", "/a%20b", true},
                                           PathCase{"/p//**", "/p/x", true},
                                           PathCase{"/a/../b/*", "/b/x", true}));

TEST(RouterPathLimits, StarDoesNotCrossAnEncodedSlash) {
  EXPECT_EQ(taken({route("r", {}, {"/a/*"})}, Request("a.test", "/a/x%2Fy")), "r");
  EXPECT_EQ(taken({route("r", {}, {"/a/*/y"})}, Request("a.test", "/a/x%2Fy")), "none");
}

TEST(RouterPathLimits, GlobsThatShareTheirBeginningAllCount) {
  const std::vector<RouteSettings> routes{route("literal", {}, {"/a/b/x"}),
                                          route("late", {}, {"/*/b/y"}),
                                          route("star", {}, {"/a/*/z"})};
  EXPECT_EQ(taken(routes, Request("h", "/a/b/x")), "literal");
  EXPECT_EQ(taken(routes, Request("h", "/a/b/y")), "late");
  EXPECT_EQ(taken(routes, Request("h", "/a/b/z")), "star");
  EXPECT_EQ(taken(routes, Request("h", "/a/b/w")), "none");
}

class RefusedPath : public ::testing::TestWithParam<PathPattern> {};

TEST_P(RefusedPath, HasAProblemAndThrows) {
  EXPECT_FALSE(canonical_path(GetParam()).problem.empty());
  RouteSettings bad;
  bad.name = "bad";
  bad.match.paths.push_back(GetParam());
  try {
    const Router router({bad});
    FAIL() << "compiled " << GetParam().text;
  } catch (const std::invalid_argument& problem) {
    EXPECT_NE(std::string(problem.what()).find("route bad"), std::string::npos) << problem.what();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Forms, RefusedPath,
    ::testing::Values(PathPattern{PathKind::exact, "a"}, PathPattern{PathKind::exact, ""},
                      PathPattern{PathKind::exact, "/a?b"}, PathPattern{PathKind::exact, "/a#b"},
                      PathPattern{PathKind::exact, "/a%zz"}, PathPattern{PathKind::exact, "/../a"},
                      PathPattern{PathKind::prefix, "p"}, PathPattern{PathKind::glob, "/a*"},
                      PathPattern{PathKind::glob, "/a/*.css"},
                      PathPattern{PathKind::glob, "/a/**/b"}, PathPattern{PathKind::glob, "*"},
                      PathPattern{PathKind::glob, "/***"}, PathPattern{PathKind::regex, "("},
                      PathPattern{PathKind::regex, "(?=a)b"}));

TEST(CanonicalPath, PrefixOfTheRootIsAnyPath) {
  EXPECT_EQ(canonical_path({PathKind::prefix, "/"}).pattern, PathPattern{});
  EXPECT_EQ(canonical_path({PathKind::prefix, ""}).pattern, PathPattern{});
}

TEST(CanonicalPath, PrefixLosesItsTrailingSlash) {
  EXPECT_EQ(canonical_path({PathKind::prefix, "/p/"}).pattern.text, "/p");
}

}  // namespace
}  // namespace revproxyd::proxy::testing

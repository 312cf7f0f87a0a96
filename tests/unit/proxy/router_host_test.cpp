#include <gtest/gtest.h>

#include "router_fixture.h"

namespace revproxyd::proxy::testing {
namespace {

struct HostCase {
  const char* pattern;
  const char* host;
  bool taken;
};

void PrintTo(const HostCase& c, std::ostream* out) {
  *out << c.pattern << " on '" << c.host << "'";
}

class RouterHost : public ::testing::TestWithParam<HostCase> {};

TEST_P(RouterHost, TakesWhatThePatternSays) {
  const HostCase& c = GetParam();
  EXPECT_EQ(taken({route("r", {c.pattern}, {})}, Request(c.host, "/")), c.taken ? "r" : "none");
}

INSTANTIATE_TEST_SUITE_P(
    Forms, RouterHost,
    ::testing::Values(HostCase{"a.test", "a.test", true}, HostCase{"a.test", "b.test", false},
                      HostCase{"a.test", "x.a.test", false}, HostCase{"a.test", "", false},
                      HostCase{"[::1]", "[::1]", true}, HostCase{"127.0.0.1", "127.0.0.1", true},
                      HostCase{"*.a.test", "x.a.test", true}, HostCase{"*.a.test", "a.test", false},
                      HostCase{"*.a.test", "x.y.a.test", false},
                      HostCase{"*.a.test", ".a.test", false},
                      HostCase{"*.a.test", "xa.test", false}, HostCase{"*.a.test", "", false},
                      HostCase{"*.y.a.test", "x.y.a.test", true}, HostCase{"*", "anything", true},
                      HostCase{"*", "", true}));

TEST(RouterHostFallThrough, GoesFromExactToWildcardToAny) {
  const std::vector<RouteSettings> routes{route("exact", {"a.x.test"}, {"/e/**"}),
                                          route("wildcard", {"*.x.test"}, {"/w/**"}),
                                          route("any", {}, {"/a/**"})};
  EXPECT_EQ(taken(routes, Request("a.x.test", "/e/1")), "exact");
  EXPECT_EQ(taken(routes, Request("a.x.test", "/w/1")), "wildcard");
  EXPECT_EQ(taken(routes, Request("a.x.test", "/a/1")), "any");
  EXPECT_EQ(taken(routes, Request("a.x.test", "/n/1")), "none");
  EXPECT_EQ(taken(routes, Request("b.x.test", "/e/1")), "none");
}

TEST(RouterHostFallThrough, HappensWhenAnotherConditionFails) {
  std::vector<RouteSettings> routes{route("exact", {"a.test"}, {"/p"}), route("any", {}, {})};
  routes[0].match.methods = {"POST"};
  EXPECT_EQ(taken(routes, Request("a.test", "/p")), "any");
  EXPECT_EQ(taken(routes, Request("a.test", "/p").method("POST")), "exact");
}

TEST(RouterHostMissing, MeetsOnlyAnyHostRoutes) {
  const std::vector<RouteSettings> routes{
      route("exact", {"a.test"}, {}), route("wildcard", {"*.test"}, {}), route("any", {}, {"/p"})};
  EXPECT_EQ(taken(routes, Request("", "/p")), "any");
  EXPECT_EQ(taken(routes, Request("", "/")), "none");
}

TEST(RouterHostUnknown, DoesNotFallToTheFirstRoute) {
  EXPECT_EQ(taken({route("first", {"a.test"}, {})}, Request("evil.test", "/")), "none");
  EXPECT_EQ(taken({}, Request("a.test", "/")), "none");
}

TEST(RouterHostList, TakesEveryHostOnEveryPathOfTheRoute) {
  const std::vector<RouteSettings> routes{route("r", {"a.test", "*.b.test"}, {"/x", "/y/**"})};
  for (const char* name : {"a.test", "c.b.test"}) {
    EXPECT_EQ(taken(routes, Request(name, "/x")), "r");
    EXPECT_EQ(taken(routes, Request(name, "/y/z")), "r");
    EXPECT_EQ(taken(routes, Request(name, "/z")), "none");
  }
}

TEST(RouterHostScale, FindsEachOfTenThousand) {
  std::vector<RouteSettings> routes;
  for (int i = 0; i < 10000; ++i) {
    const std::string name = "h" + std::to_string(i);
    routes.push_back(route(name, {i % 2 == 0 ? name + ".test" : "*." + name + ".test"}, {}));
  }
  const Router router(routes);
  for (int i = 0; i < 10000; ++i) {
    const std::string plain = "h" + std::to_string(i) + ".test";
    const std::string below = "x." + plain;
    EXPECT_EQ(router.match(Request(plain, "/").input()).has_value(), i % 2 == 0) << plain;
    EXPECT_EQ(router.match(Request(below, "/").input()).has_value(), i % 2 == 1) << below;
  }
}

}  // namespace
}  // namespace revproxyd::proxy::testing

#include <gtest/gtest.h>

#include "router_fixture.h"

namespace revproxyd::proxy::testing {
namespace {

RouteSettings lifted(RouteSettings base) {
  base.priority = 1;
  return base;
}

RouteSettings only_get(RouteSettings base) {
  base.match.methods = {"GET"};
  return base;
}

struct Shadow {
  const char* what;
  RouteSettings first;
  RouteSettings second;
  bool hidden;  // the second, by the first
};

void PrintTo(const Shadow& shadow, std::ostream* out) { *out << shadow.what; }

class RouterShadow : public ::testing::TestWithParam<Shadow> {};

TEST_P(RouterShadow, IsFoundWhereItIs) {
  const Shadow& c = GetParam();
  const auto found = shadowed_routes({c.first, c.second});
  if (c.hidden) {
    EXPECT_EQ(found, (std::vector<ShadowedRoute>{{1, 0}}));
  } else {
    EXPECT_TRUE(found.empty());
  }
}

RouteSettings a(std::vector<std::string_view> hosts, std::vector<std::string_view> paths) {
  return route("a", std::move(hosts), std::move(paths));
}

INSTANTIATE_TEST_SUITE_P(
    Pairs, RouterShadow,
    ::testing::Values(
        Shadow{"the same", a({"x.t"}, {"/p"}), a({"x.t"}, {"/p"}), true},
        Shadow{"another path", a({"x.t"}, {"/p"}), a({"x.t"}, {"/q"}), false},
        Shadow{"another host", a({"x.t"}, {"/p"}), a({"y.t"}, {"/p"}), false},
        Shadow{"wider but later", a({"x.t"}, {"/p"}), a({"x.t"}, {}), false},
        Shadow{"two catch-alls", a({}, {}), a({}, {"/**"}), true},
        Shadow{"same regex", a({}, {"~^/a"}), a({}, {"~^/a"}), true},
        Shadow{"prefix and glob of one literal length", a({}, {"/a/**"}), a({}, {"/a/*/b"}), true},
        Shadow{"narrower conditions come first anyway", a({}, {"/a"}), only_get(a({}, {"/a"})),
               false},
        Shadow{"lifted over all", lifted(a({}, {})), a({"x.t"}, {"/p"}), true},
        Shadow{"lifted wildcard", lifted(a({"*.t"}, {})), a({"x.t"}, {"/p"}), true},
        Shadow{"lifted wildcard and a deeper host", lifted(a({"*.t"}, {})), a({"x.y.t"}, {"/p"}),
               false},
        Shadow{"lifted prefix", lifted(a({}, {"/p/**"})), a({}, {"/p", "/p/q/**", "/p/*"}), true},
        Shadow{"lifted prefix and one path beside it", lifted(a({}, {"/p/**"})),
               a({}, {"/p/q", "/px"}), false},
        Shadow{"lifted with a condition", lifted(only_get(a({}, {}))), a({"x.t"}, {}), false},
        Shadow{"lifted with the same condition", lifted(only_get(a({}, {}))),
               only_get(a({"x.t"}, {})), true}));

TEST(RouterShadowConditions, DiffersByAnyOfThem) {
  RouteSettings first = a({}, {});
  RouteSettings second = a({}, {});
  first.match.cookies = {{"c", ValueKind::text, "1"}};
  second.match.cookies = {{"c", ValueKind::text, "2"}};
  EXPECT_TRUE(shadowed_routes({first, second}).empty());
  second.match.cookies = first.match.cookies;
  EXPECT_EQ(shadowed_routes({first, second}).size(), 1u);
}

TEST(RouterShadowConditions, IgnoreTheirOrderAndTheCaseOfHeaderNames) {
  RouteSettings first = a({}, {});
  RouteSettings second = a({}, {});
  first.match.headers = {{"X-A", ValueKind::text, "1"}, {"X-B", ValueKind::text, "2"}};
  second.match.headers = {{"x-b", ValueKind::text, "2"}, {"x-a", ValueKind::text, "1"}};
  EXPECT_EQ(shadowed_routes({first, second}), (std::vector<ShadowedRoute>{{1, 0}}));
}

TEST(RouterShadowConditions, TextsThatOnlyJoinAlikeAreDifferent) {
  RouteSettings first = a({}, {});
  RouteSettings second = a({}, {});
  first.match.methods = {"AB", "C"};
  second.match.methods = {"A", "BC"};
  EXPECT_TRUE(shadowed_routes({first, second}).empty());
}

}  // namespace
}  // namespace revproxyd::proxy::testing

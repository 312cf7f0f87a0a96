#include <algorithm>

#include <gtest/gtest.h>

#include "router_fixture.h"

namespace revproxyd::proxy::testing {
namespace {

struct Pair {
  const char* rule;
  RouteSettings winner;
  RouteSettings loser;
  const char* host;
  const char* path;
};

void PrintTo(const Pair& pair, std::ostream* out) { *out << pair.rule; }

RouteSettings with_conditions(RouteSettings base, int count) {
  if (count >= 1) base.match.methods = {"GET"};
  if (count >= 2) base.match.headers.push_back({"X-A", ValueKind::absent, ""});
  if (count >= 3) base.match.headers.push_back({"X-B", ValueKind::absent, ""});
  return base;
}

RouteSettings with_priority(RouteSettings base, int priority) {
  base.priority = priority;
  return base;
}

RouteSettings win(std::vector<std::string_view> hosts, std::vector<std::string_view> paths) {
  return route("win", std::move(hosts), std::move(paths));
}
RouteSettings lose(std::vector<std::string_view> hosts, std::vector<std::string_view> paths) {
  return route("lose", std::move(hosts), std::move(paths));
}

std::vector<Pair> pairs() {
  return {
      {"exact host before wildcard", win({"a.x.test"}, {}), lose({"*.x.test"}, {}), "a.x.test",
       "/"},
      {"exact host before any", win({"a.x.test"}, {}), lose({}, {}), "a.x.test", "/"},
      {"wildcard before any", win({"*.x.test"}, {}), lose({}, {}), "a.x.test", "/"},
      {"host before path", win({"a.x.test"}, {}), lose({"*.x.test"}, {"/a"}), "a.x.test", "/a"},
      {"host before conditions", win({"*.x.test"}, {}), with_conditions(lose({}, {}), 3),
       "a.x.test", "/a"},
      {"exact path before prefix", win({}, {"/a"}), lose({}, {"/a/**"}), "h", "/a"},
      {"exact path before glob", win({}, {"/a/b"}), lose({}, {"/a/*"}), "h", "/a/b"},
      {"exact path before regex", win({}, {"/a"}), lose({}, {"~^/a$"}), "h", "/a"},
      {"exact path before none", win({}, {"/a"}), lose({}, {}), "h", "/a"},
      {"longer prefix before shorter", win({}, {"/a/b/**"}), lose({}, {"/a/**"}), "h", "/a/b/c"},
      {"longer prefix before glob", win({}, {"/a/b/**"}), lose({}, {"/a/*/c"}), "h", "/a/b/c"},
      {"glob with more literal before prefix", win({}, {"/a/b/*"}), lose({}, {"/a/**"}), "h",
       "/a/b/c"},
      {"only the part before the first star counts", win({}, {"/ab/**"}),
       lose({}, {"/*/long/literal"}), "h", "/ab/long/literal"},
      {"prefix before regex", win({}, {"/a/**"}), lose({}, {"~^/a/bcdefgh"}), "h", "/a/bcdefgh"},
      {"regex before no path", win({}, {"~a"}), lose({}, {}), "h", "/a"},
      {"regex before every path", win({}, {"~a"}), lose({}, {"/**"}), "h", "/a"},
      {"path before conditions", win({}, {"/a"}), with_conditions(lose({}, {"/a/**"}), 3), "h",
       "/a"},
      {"more conditions", with_conditions(win({}, {"/a"}), 1), lose({}, {"/a"}), "h", "/a"},
      {"each header counts", with_conditions(win({}, {"/a"}), 3),
       with_conditions(lose({}, {"/a"}), 2), "h", "/a"},
      {"more conditions among regexes", with_conditions(win({}, {"~a"}), 1), lose({}, {"~/"}), "h",
       "/a"},
      {"more conditions among prefix and glob of one literal length",
       with_conditions(win({}, {"/a/**"}), 1), lose({}, {"/a/*"}), "h", "/a/b"},
      {"priority before host", with_priority(win({}, {}), 1), lose({"a.x.test"}, {}), "a.x.test",
       "/"},
      {"priority before host and path", with_priority(win({"*.x.test"}, {"~a"}), 7),
       with_priority(lose({"a.x.test"}, {"/a"}), 6), "a.x.test", "/a"},
      {"negative priority comes last", win({}, {}), with_priority(lose({"a.x.test"}, {"/a"}), -1),
       "a.x.test", "/a"},
      {"best path of several", win({}, {"/zzz", "/a/b"}), lose({}, {"/a/**"}), "h", "/a/b"},
      {"best host of several", win({"other", "a.x.test"}, {}), lose({"*.x.test"}, {}), "a.x.test",
       "/"},
  };
}

class RouterPrecedence : public ::testing::TestWithParam<Pair> {};

TEST_P(RouterPrecedence, HoldsInEitherFileOrder) {
  const Pair& pair = GetParam();
  const Request request(pair.host, pair.path);
  EXPECT_EQ(taken({pair.winner, pair.loser}, request), "win");
  EXPECT_EQ(taken({pair.loser, pair.winner}, request), "win");
  // The loser would have taken the request, else the pair proves nothing.
  EXPECT_EQ(taken({pair.loser}, request), "lose");
}

INSTANTIATE_TEST_SUITE_P(Rules, RouterPrecedence, ::testing::ValuesIn(pairs()));

TEST(RouterFileOrder, DecidesBetweenEquals) {
  for (const char* text : {"/a", "/a/**", "/a/*", "~a", "/**"}) {
    const std::vector<RouteSettings> routes{route("first", {}, {text}),
                                            route("second", {}, {text})};
    const Request request("h", std::string_view(text) == "/a" ? "/a" : "/a/b");
    EXPECT_EQ(taken(routes, request), "first") << text;
  }
}

TEST(RouterFileOrder, DecidesBetweenPrefixAndGlobOfOneLiteralLength) {
  const RouteSettings prefix = route("prefix", {}, {"/a/**"});
  const RouteSettings glob = route("glob", {}, {"/a/*/b"});
  EXPECT_EQ(taken({prefix, glob}, Request("h", "/a/x/b")), "prefix");
  EXPECT_EQ(taken({glob, prefix}, Request("h", "/a/x/b")), "glob");
}

TEST(RouterConditionCount, CountsEachEntryOfAMapAndEachListOnce) {
  MatchSettings match;
  EXPECT_EQ(condition_count(match), 0u);
  match.methods = {"GET", "HEAD"};
  EXPECT_EQ(condition_count(match), 1u);
  match.sources = {*net::Cidr::parse("10.0.0.0/8"), *net::Cidr::parse("192.0.2.0/24")};
  match.listeners = {"a", "b"};
  match.scheme = net::Scheme::http;
  EXPECT_EQ(condition_count(match), 4u);
  match.headers = {{"a", ValueKind::present, ""}, {"b", ValueKind::absent, ""}};
  match.query = {{"a", ValueKind::present, ""}};
  match.cookies = {{"a", ValueKind::present, ""}, {"b", ValueKind::present, ""}};
  EXPECT_EQ(condition_count(match), 9u);
}

TEST(RouterOrder, ListsAlternativesAsTheyAreTried) {
  const std::vector<RouteSettings> routes{
      route("0", {}, {}), route("1", {"*.x.test"}, {"/p/**", "/q"}),
      with_priority(route("2", {}, {"~a"}), 1), route("3", {"a.x.test"}, {})};
  std::vector<std::string> order;
  for (const Alternative& entry : precedence(routes))
    order.push_back(routes[entry.route].name + entry.path.text);
  EXPECT_EQ(order, (std::vector<std::string>{"2a", "3", "1/q", "1/p", "0"}));
}

}  // namespace
}  // namespace revproxyd::proxy::testing

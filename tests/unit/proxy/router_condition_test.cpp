#include <stdexcept>

#include <gtest/gtest.h>

#include "router_fixture.h"

namespace revproxyd::proxy::testing {
namespace {

bool takes(const MatchSettings& match, const Request& request) {
  RouteSettings only;
  only.name = "r";
  only.match = match;
  return taken({only}, request) == "r";
}

Request plain() { return Request("h", "/"); }

TEST(RouterMethod, AnyOfTheListHolds) {
  MatchSettings match;
  match.methods = {"GET", "PURGE"};
  EXPECT_TRUE(takes(match, plain().method("GET")));
  EXPECT_TRUE(takes(match, plain().method("PURGE")));
  EXPECT_FALSE(takes(match, plain().method("HEAD")));
  EXPECT_FALSE(takes(match, plain().method("PROPFIND")));
}

TEST(RouterMethod, IsCaseSensitive) {
  MatchSettings match;
  match.methods = {"GET", "PURGE"};
  EXPECT_FALSE(takes(match, plain().method("get")));
  EXPECT_FALSE(takes(match, plain().method("purge")));
}

TEST(RouterScheme, MustBeEqual) {
  MatchSettings match;
  match.scheme = net::Scheme::https;
  EXPECT_TRUE(takes(match, plain().scheme(net::Scheme::https)));
  EXPECT_FALSE(takes(match, plain().scheme(net::Scheme::http)));
}

TEST(RouterListener, AnyOfTheListHolds) {
  MatchSettings match;
  match.listeners = {"public", "internal"};
  EXPECT_TRUE(takes(match, plain().listener("internal")));
  EXPECT_TRUE(takes(match, plain().listener("public")));
  EXPECT_FALSE(takes(match, plain().listener("admin")));
}

TEST(RouterSource, AnyRangeHolds) {
  MatchSettings match;
  match.sources = {*net::Cidr::parse("10.0.0.0/8"), *net::Cidr::parse("2001:db8::/32")};
  EXPECT_TRUE(takes(match, plain().client("10.255.0.1")));
  EXPECT_TRUE(takes(match, plain().client("2001:db8::9")));
  EXPECT_TRUE(takes(match, plain().client("::ffff:10.0.0.1")));
  EXPECT_FALSE(takes(match, plain().client("11.0.0.1")));
  EXPECT_FALSE(takes(match, plain().client("2001:db9::9")));
}

TEST(RouterSource, NoRangeTakesAUnixSocket) {
  MatchSettings match;
  match.sources = {*net::Cidr::parse("0.0.0.0/0"), *net::Cidr::parse("::/0")};
  EXPECT_FALSE(takes(match, plain().from(*net::Address::unix_path("/run/x.sock"))));
}

enum class Place { header, query, cookie };

struct ValueCase {
  Place place;
  ValuePattern pattern;
  std::vector<const char*> given;  // fields named X-A unless "name: value"; a query; Cookie fields
  bool taken;
};

void PrintTo(const ValueCase& c, std::ostream* out) {
  *out << c.pattern.name << " '" << c.pattern.text << "' on";
  for (const char* text : c.given) *out << " '" << text << "'";
}

class RouterValue : public ::testing::TestWithParam<ValueCase> {};

TEST_P(RouterValue, HoldsAsTheTableSays) {
  const ValueCase& c = GetParam();
  Request request("h", "/");
  MatchSettings match;
  switch (c.place) {
    case Place::header:
      match.headers.push_back(c.pattern);
      for (const char* value : c.given) request.field("x-a", value);
      break;
    case Place::query:
      match.query.push_back(c.pattern);
      for (const char* text : c.given) request.query(text);
      break;
    case Place::cookie:
      match.cookies.push_back(c.pattern);
      for (const char* value : c.given) request.field("cookie", value);
      break;
  }
  EXPECT_EQ(takes(match, request), c.taken);
}

const ValuePattern kHeaderText{"X-A", ValueKind::text, "one"};
const ValuePattern kHeaderRegex{"X-A", ValueKind::regex, "^[0-9]+$"};
const ValuePattern kHeaderPresent{"X-A", ValueKind::present, ""};
const ValuePattern kHeaderAbsent{"X-A", ValueKind::absent, ""};

INSTANTIATE_TEST_SUITE_P(
    Header, RouterValue,
    ::testing::Values(ValueCase{Place::header, kHeaderText, {"one"}, true},
                      ValueCase{Place::header, kHeaderText, {"One"}, false},
                      ValueCase{Place::header, kHeaderText, {"one, two"}, false},
                      ValueCase{Place::header, kHeaderText, {"two", "one"}, true},
                      ValueCase{Place::header, kHeaderText, {}, false},
                      ValueCase{Place::header, {"X-A", ValueKind::text, ""}, {""}, true},
                      ValueCase{Place::header, {"X-A", ValueKind::text, ""}, {}, false},
                      ValueCase{Place::header, kHeaderRegex, {"12"}, true},
                      ValueCase{Place::header, kHeaderRegex, {"x", "12"}, true},
                      ValueCase{Place::header, kHeaderRegex, {"12x"}, false},
                      ValueCase{Place::header, kHeaderRegex, {}, false},
                      ValueCase{Place::header, {"X-A", ValueKind::regex, "b"}, {"abc"}, true},
                      ValueCase{Place::header, kHeaderPresent, {""}, true},
                      ValueCase{Place::header, kHeaderPresent, {}, false},
                      ValueCase{Place::header, kHeaderAbsent, {}, true},
                      ValueCase{Place::header, kHeaderAbsent, {""}, false},
                      ValueCase{Place::header, {"X-B", ValueKind::present, ""}, {"one"}, false}));

const ValuePattern kQueryText{"q", ValueKind::text, "a b"};
const ValuePattern kQueryRegex{"q", ValueKind::regex, "^[a-z ]+$"};
const ValuePattern kQueryPresent{"q", ValueKind::present, ""};
const ValuePattern kQueryAbsent{"q", ValueKind::absent, ""};

INSTANTIATE_TEST_SUITE_P(
    Query, RouterValue,
    ::testing::Values(ValueCase{Place::query, kQueryText, {"q=a+b"}, true},
                      ValueCase{Place::query, kQueryText, {"q=a%20b"}, true},
                      ValueCase{Place::query, kQueryText, {"%71=%61%20b"}, true},
                      ValueCase{Place::query, kQueryText, {"q=a%2Bb"}, false},
                      ValueCase{Place::query, kQueryText, {"Q=a+b"}, false},
                      ValueCase{Place::query, kQueryText, {"q=a+"}, false},
                      ValueCase{Place::query, kQueryText, {"q=a+bc"}, false},
                      ValueCase{Place::query, kQueryText, {"q=x&q=a+b"}, true},
                      ValueCase{Place::query, kQueryText, {"x=1&&q=a+b&y"}, true},
                      ValueCase{Place::query, kQueryText, {"xq=a+b"}, false},
                      ValueCase{Place::query, kQueryText, {""}, false},
                      ValueCase{Place::query, kQueryText, {"q=a+b;x"}, false},
                      ValueCase{Place::query, {"q", ValueKind::text, "a=b"}, {"q=a=b"}, true},
                      ValueCase{Place::query, {"q", ValueKind::text, ""}, {"q"}, true},
                      ValueCase{Place::query, {"q", ValueKind::text, ""}, {"q="}, true},
                      ValueCase{Place::query, {"q", ValueKind::text, "%zz%4"}, {"q=%zz%4"}, true},
                      ValueCase{Place::query, {"q", ValueKind::text, "%4z"}, {"q=%4z"}, true},
                      ValueCase{Place::query, kQueryRegex, {"q=abc"}, true},
                      ValueCase{Place::query, kQueryRegex, {"q=a%62+c"}, true},
                      ValueCase{Place::query, kQueryRegex, {"q=a%30"}, false},
                      ValueCase{Place::query, kQueryRegex, {"q="}, false},
                      ValueCase{Place::query, kQueryPresent, {"a&q"}, true},
                      ValueCase{Place::query, kQueryPresent, {"a=q"}, false},
                      ValueCase{Place::query, kQueryAbsent, {"a=q"}, true},
                      ValueCase{Place::query, kQueryAbsent, {}, true},
                      ValueCase{Place::query, kQueryAbsent, {"%71"}, false}));

const ValuePattern kCookieText{"sid", ValueKind::text, "one"};

INSTANTIATE_TEST_SUITE_P(
    Cookie, RouterValue,
    ::testing::Values(
        ValueCase{Place::cookie, kCookieText, {"sid=one"}, true},
        ValueCase{Place::cookie, kCookieText, {"a=b; sid=one; c=d"}, true},
        ValueCase{Place::cookie, kCookieText, {"a=b;sid=one"}, true},
        ValueCase{Place::cookie, kCookieText, {"a=b", "sid=one"}, true},
        ValueCase{Place::cookie, kCookieText, {"sid=two; sid=one"}, true},
        ValueCase{Place::cookie, kCookieText, {"SID=one"}, false},
        ValueCase{Place::cookie, kCookieText, {"xsid=one"}, false},
        ValueCase{Place::cookie, kCookieText, {"sid=\"one\""}, false},
        ValueCase{Place::cookie, kCookieText, {"sid=o%6ee"}, false},
        ValueCase{Place::cookie, kCookieText, {"a=sid=one"}, false},
        ValueCase{Place::cookie, kCookieText, {}, false},
        ValueCase{Place::cookie, {"sid", ValueKind::text, "a=b"}, {"sid=a=b"}, true},
        ValueCase{Place::cookie, {"sid", ValueKind::regex, "^o"}, {"sid=one"}, true},
        ValueCase{Place::cookie, {"sid", ValueKind::regex, "^o"}, {"sid=two"}, false},
        ValueCase{Place::cookie, {"sid", ValueKind::present, ""}, {"sid="}, true},
        ValueCase{Place::cookie, {"sid", ValueKind::present, ""}, {"sid"}, false},
        ValueCase{Place::cookie, {"sid", ValueKind::absent, ""}, {"a=b"}, true},
        ValueCase{Place::cookie, {"sid", ValueKind::absent, ""}, {}, true},
        ValueCase{Place::cookie, {"sid", ValueKind::absent, ""}, {"a=b", "sid=one"}, false}));

TEST(RouterValues, InternedHeaderNamesAreFoundInAnyCase) {
  MatchSettings match;
  match.headers.push_back({"uSER-aGENT", ValueKind::text, "curl"});
  EXPECT_TRUE(takes(match, plain().field("User-Agent", "curl")));
  EXPECT_FALSE(takes(match, plain().field("User-Agent", "wget")));
  EXPECT_FALSE(takes(match, plain()));
}

TEST(RouterValues, AllEntriesMustHold) {
  MatchSettings match;
  match.headers.push_back({"X-A", ValueKind::text, "1"});
  match.headers.push_back({"X-B", ValueKind::text, "2"});
  match.query.push_back({"q", ValueKind::present, ""});
  match.cookies.push_back({"c", ValueKind::present, ""});
  EXPECT_TRUE(
      takes(match, plain().field("X-A", "1").field("X-B", "2").query("q").field("Cookie", "c=")));
  EXPECT_FALSE(takes(match, plain().field("X-A", "1").query("q").field("Cookie", "c=")));
  EXPECT_FALSE(takes(match, plain().field("X-A", "1").field("X-B", "2").field("Cookie", "c=")));
  EXPECT_FALSE(takes(match, plain().field("X-A", "1").field("X-B", "2").query("q")));
}

TEST(RouterValues, RegexSeesALongDecodedQueryValue) {
  MatchSettings match;
  match.query.push_back({"q", ValueKind::regex, "^x* end$"});
  const std::string good = "q=" + std::string(5000, 'x') + "+%65nd";
  const std::string bad = "q=" + std::string(5000, 'x') + "+%65n";
  EXPECT_TRUE(takes(match, plain().query(good)));
  EXPECT_FALSE(takes(match, plain().query(bad)));
}

TEST(RouterValues, BadRegexNamesRouteAndCondition) {
  RouteSettings bad = route("shop", {}, {});
  bad.match.cookies.push_back({"sid", ValueKind::regex, "["});
  try {
    const Router router({bad});
    FAIL();
  } catch (const std::invalid_argument& problem) {
    const std::string text = problem.what();
    EXPECT_NE(text.find("shop"), std::string::npos) << text;
    EXPECT_NE(text.find("sid"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace revproxyd::proxy::testing

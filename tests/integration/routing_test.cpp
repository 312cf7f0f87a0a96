// Which route takes a request, and what it does to it.

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

// A daemon whose routes answer with their names: `routes` are lines "  - { ... }" in which NAME()
// stands for the answer.
std::string answering(std::string routes) {
  for (std::size_t at = 0; (at = routes.find("=>", at)) != std::string::npos;) {
    const std::size_t end = routes.find_first_of(" }", at + 3);
    const std::string name = routes.substr(at + 3, end - at - 3);
    routes.replace(at, end - at, "respond: { body: '" + name + "' }");
  }
  return std::string(kPlainListener) + "routes:\n" + routes;
}

struct Asked {
  std::string host;
  std::string target;
  std::string answer;  // name of the route, or a status
  std::string fields = {};
  std::string method = "GET";
};

void expect_answers(const Daemon& daemon, const std::vector<Asked>& questions) {
  RawClient client(daemon.port());
  for (const Asked& asked : questions) {
    SCOPED_TRACE(asked.method + " " + asked.host + asked.target + " " + asked.fields);
    client.send(asked.method + " " + asked.target + " HTTP/1.1\r\nHost: " + asked.host + "\r\n" +
                asked.fields + "\r\n");
    const Response response = client.response();
    EXPECT_EQ(response.status == 200 ? response.body : std::to_string(response.status),
              asked.answer);
    if (equal_ignoring_case(response.field("Connection"), "close"))
      client = RawClient(daemon.port());
  }
}

// What the server gets for what the client asks, on a route with these edits.
std::string forwarded_target(const std::string& edits, const std::string& target) {
  const Origin origin;
  const Daemon daemon(std::string(kPlainListener) + "routes: [ { " + edits + ", to: '" +
                      origin.url() + "' } ]\n");
  EXPECT_EQ(fetch(daemon.port(), target).status, 200);
  return origin.request().target;
}

}  // namespace

TEST(Routing, PrefersExactHostsThenWildcardsThenAny) {
  const Daemon daemon(
      answering("  - { => any }\n  - { host: '*.example.com', => wildcard }\n  - { host: "
                "www.example.com, => exact }\n"));
  expect_answers(daemon, {{"www.example.com", "/", "exact"},
                          {"WWW.Example.Com:8080", "/", "exact"},
                          {"www.example.com.", "/", "exact"},
                          {"api.example.com", "/", "wildcard"},
                          {"a.b.example.com", "/", "any"},
                          {"example.com", "/", "any"},
                          {"other", "/", "any"}});
}

TEST(Routing, SaysNotFoundToUnknownHosts) {
  const Daemon daemon(answering("  - { host: a.example, => a }\n"));
  expect_answers(daemon, {{"a.example", "/", "a"}, {"b.example", "/", "404"}});
  EXPECT_EQ(daemon.wait_access_why("no_route").status(), 404);
}

TEST(Routing, PrefersExactPathsThenTheLongestPrefixThenPatterns) {
  const Daemon daemon(
      answering("  - { path: '~^/a', => regex }\n  - { path: /a/**, => short }\n  - { path: "
                "/a/b/**, => long }\n  - { path: /a/b/c, => exact }\n"
                "  - { path: /x/*/z, => segment }\n  - { path: '~^/x/[0-9]+$', => number }\n"));
  expect_answers(daemon, {{"h", "/a/b/c", "exact"},
                          {"h", "/a/b/c/d", "long"},
                          {"h", "/a/b", "long"},
                          {"h", "/a/bc", "short"},
                          {"h", "/a", "short"},
                          {"h", "/ab", "regex"},
                          {"h", "/x/y/z", "segment"},
                          {"h", "/x/y/y/z", "404"},
                          {"h", "/x/12", "number"},
                          {"h", "/x/1a", "404"}});
}

TEST(Routing, FallsThroughToLessExactHosts) {
  const Daemon daemon(
      answering("  - { host: a.example, path: /only, => a }\n  - { path: /only, => any }\n  - { "
                "path: /more, => more }\n"));
  expect_answers(
      daemon,
      {{"a.example", "/only", "a"}, {"a.example", "/more", "more"}, {"b.example", "/only", "any"}});
}

TEST(Routing, MatchesMethodsHeadersQueriesAndCookies) {
  const Daemon daemon(
      answering("  - { match: { path: /m, method: [PUT, DELETE] }, => method }\n"
                "  - { match: { path: /h, header: { X-Kind: blue } }, => text }\n"
                "  - { match: { path: /h, header: { X-Kind: '~^r.d$' } }, => regex }\n"
                "  - { match: { path: /h, header: { X-Kind: false } }, => absent }\n"
                "  - { match: { path: /q, query: { a: '1', b: true } }, => query }\n"
                "  - { match: { path: /c, cookie: { sid: '~.+' } }, => cookie }\n"));
  expect_answers(daemon, {{"h", "/m", "method", "", "PUT"},
                          {"h", "/m", "404", "", "GET"},
                          {"h", "/h", "text", "x-kind: blue\r\n"},
                          {"h", "/h", "regex", "X-Kind: red\r\n"},
                          {"h", "/h", "absent", ""},
                          {"h", "/h", "404", "X-Kind: green\r\n"},
                          {"h", "/q?b&a=1", "query", ""},
                          {"h", "/q?a=1", "404", ""},
                          {"h", "/q?a=2&b=1", "404", ""},
                          {"h", "/c", "cookie", "Cookie: x=y; sid=1\r\n"},
                          {"h", "/c", "404", "Cookie: xsid=1\r\n"}});
}

TEST(Routing, MoreConditionsWinAndPriorityOverrides) {
  const Daemon daemon(
      answering("  - { path: /a, => plain }\n  - { match: { path: /a, header: { X-A: true } }, => "
                "condition }\n"
                "  - { path: /b, => exact }\n  - { path: '~^/b', priority: 1, => first }\n"));
  expect_answers(
      daemon, {{"h", "/a", "plain"}, {"h", "/a", "condition", "X-A: 1\r\n"}, {"h", "/b", "first"}});
}

TEST(Routing, MatchesSourceSchemeAndListener) {
  const Daemon daemon(
      "listeners: [ { name: web, address: '127.0.0.1:0' }, { name: tls, address: '127.0.0.1:0', "
      "tls: internal }, { name: inner, address: "
      "'127.0.0.1:0' } ]\n"
      "routes:\n"
      "  - { match: { source: 127.0.0.9 }, respond: { body: source } }\n"
      "  - { match: { scheme: https }, respond: { body: https } }\n"
      "  - { match: { listener: inner }, respond: { body: inner } }\n"
      "  - { respond: { body: rest } }\n");
  EXPECT_EQ(fetch(daemon.port("web")).body, "rest");
  EXPECT_EQ(fetch(daemon.port("inner")).body, "inner");
  EXPECT_EQ(RawClient(daemon.port("tls"), ClientTls{}).get("/").body, "https");
  EXPECT_EQ(RawClient::from("127.0.0.9", daemon.port("web")).get("/").body, "source");
}

TEST(Routing, MatchesTheSourceBehindTrustedProxies) {
  const Daemon daemon(
      answering("  - { match: { source: 203.0.113.0/24 }, => inside }\n  - { => outside }\n") +
      "trusted_proxies: 127.0.0.1\n");
  expect_answers(daemon, {{"h", "/", "inside", "X-Forwarded-For: 203.0.113.9\r\n"},
                          {"h", "/", "outside", "X-Forwarded-For: 192.0.2.1\r\n"}});
}

TEST(Routing, MatchesNormalisedPathsAndForwardsThemAsTheyCame) {
  const Origin origin;
  const Daemon daemon(std::string(kPlainListener) + "routes: [ { path: /a/b/**, to: '" +
                      origin.url() + "' } ]\n");
  const std::vector<std::string> targets = {
      "/a/b/c", "/a//b/c", "/a/./b", "/a/x/../b/c", "/%61/b/%7Euser", "/a/b/%e2%82%ac?x=%2f&y=//"};
  for (const std::string& target : targets)
    EXPECT_EQ(fetch(daemon.port(), target).status, 200) << target;
  ASSERT_EQ(origin.request_count(), targets.size());
  for (std::size_t i = 0; i < targets.size(); ++i) EXPECT_EQ(origin.request(i).target, targets[i]);
}

TEST(Routing, NeverLetsDotsEscapeARoute) {
  const Daemon daemon(
      answering("  - { path: /public/**, => public }\n  - { path: /admin/**, => admin }\n"));
  expect_answers(daemon, {{"h", "/public/../admin/x", "admin"},
                          {"h", "/public/%2e%2e/admin/x", "admin"},
                          {"h", "/public/%2E./admin", "admin"}});
}

TEST(Routing, RefusesEncodedSlashesUnlessTheRouteAllowsThem) {
  const Origin origin;
  const Daemon daemon(std::string(kPlainListener) +
                      "routes:\n  - { path: /open/**, allow_encoded_slash: true, to: '" +
                      origin.url() + "' }\n  - { to: '" + origin.url() + "' }\n");
  for (const char* target : {"/a%2Fb", "/a%2fb", "/a%5Cb", "/a%5cb"})
    EXPECT_EQ(fetch(daemon.port(), target).status, 400) << target;
  EXPECT_EQ(daemon.wait_access_why("encoded_slash").status(), 400);
  EXPECT_EQ(origin.request_count(), 0U);
  EXPECT_EQ(fetch(daemon.port(), "/open/a%2Fb%5C").status, 200);
  EXPECT_EQ(origin.request().target, "/open/a%2Fb%5C");
}

TEST(Routing, AfterAnEncodedSlashTheConnectionEnds) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send("GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
  const Response response = client.response();
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.field("Connection"), "close");
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(proxy.origin.request_count(), 0U);
}

TEST(Routing, AnEncodedSlashIsNoSeparator) {
  const Daemon daemon(
      answering("  - { path: /a/*/c, allow_encoded_slash: true, => one }\n  - { path: /a/b/c/d, => "
                "other }\n"));
  expect_answers(daemon, {{"h", "/a/b%2Fx/c", "one"}, {"h", "/a%2Fb/c/d", "404"}});
}

TEST(Routing, StripsAddsAndRewritesPaths) {
  EXPECT_EQ(forwarded_target("path: /api/**, strip_prefix: /api", "/api/users?a=b"), "/users?a=b");
  EXPECT_EQ(forwarded_target("path: /api/**, strip_prefix: /api", "/api"), "/");
  EXPECT_EQ(forwarded_target("add_prefix: /v2", "/users?a=%2f"), "/v2/users?a=%2f");
  EXPECT_EQ(forwarded_target("path: /api/**, strip_prefix: /api, add_prefix: /v2", "/api/users"),
            "/v2/users");
  EXPECT_EQ(
      forwarded_target("rewrite: { regex: '^/u/([0-9]+)$', to: '/users/\\1/show' }", "/u/42?x"),
      "/users/42/show?x");
  EXPECT_EQ(forwarded_target("rewrite: { regex: '^/u/', to: /users/ }", "/other"), "/other");
}

TEST(Routing, StripsWholeSegmentsOnly) {
  EXPECT_EQ(forwarded_target("strip_prefix: /api", "/apikeys"), "/apikeys");
}

TEST(Routing, ForwardsEditedPathsNormalised) {
  EXPECT_EQ(forwarded_target("strip_prefix: /a", "/a//b/%7e/./c"), "/b/~/c");
}

TEST(Routing, EditsFieldsBothWays) {
  const Origin origin([](OriginExchange& exchange) {
    exchange.respond("ok", 200, "Server: inner\r\nX-Old: 1\r\nX-Add: a\r\n");
  });
  const Daemon daemon(std::string(kPlainListener) + "routes:\n  - to: '" + origin.url() + R"('
    headers:
      request: { set: { X-Set: new }, add: { X-Add: b }, remove: [ X-Gone ] }
      response: { set: { X-Old: '2' }, add: { X-Add: [ b, c ] }, remove: Server }
)");
  const Response response =
      fetch(daemon.port(), "/", "X-Set: old\r\nX-Set: older\r\nX-Add: a\r\nX-Gone: 1\r\n");
  const Request request = origin.request();
  EXPECT_EQ(request.field("X-Set"), "new");
  EXPECT_EQ(request.field("X-Add"), "a, b");
  EXPECT_FALSE(request.has("X-Gone"));
  EXPECT_EQ(response.field("X-Old"), "2");
  EXPECT_EQ(response.field("X-Add"), "a, b, c");
  EXPECT_FALSE(response.has("Server"));
}

TEST(Routing, EditsOfARouteGoBeforeGlobalOnesOfTheSameField) {
  const Daemon daemon(answering("  - { path: /own, headers: { response: { set: { X-A: route } } }, "
                                "=> own }\n  - { => rest }\n") +
                      "headers: { response: { set: { X-A: global, X-B: global } } }\n");
  const Response own = fetch(daemon.port(), "/own");
  EXPECT_EQ(own.field("X-A"), "route");
  EXPECT_EQ(own.field("X-B"), "global");
  EXPECT_EQ(fetch(daemon.port(), "/rest").field("X-A"), "global");
}

TEST(Routing, GlobalEditsApplyToTheProxysOwnAnswers) {
  const Daemon daemon(answering("  - { host: a.example, => a }\n") +
                      "headers: { response: { set: { X-Frame-Options: DENY } } }\n");
  const Response response = fetch(daemon.port());
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.field("X-Frame-Options"), "DENY");
}

TEST(Routing, RedirectsWithPlaceholders) {
  const Daemon daemon(std::string(kPlainListener) +
                      "routes:\n  - { path: /old/**, redirect: { to: "
                      "'https://{host}/new{path}?{query}', status: 301 } }\n"
                      "  - { redirect: { to: /start } }\n");
  RawClient client(daemon.port());
  const Response moved = client.get("/old/a?b=c");
  EXPECT_EQ(moved.status, 301);
  EXPECT_EQ(moved.field("Location"), "https://test/new/old/a?b=c");
  const Response other = client.get("/other");
  EXPECT_EQ(other.status, 308);
  EXPECT_EQ(other.field("Location"), "/start");
  EXPECT_EQ(daemon.wait_access_of("/other").why(), "redirect");
}

// "//other.example" as a place is another host.
TEST(Routing, RedirectsToAPathStayOnTheHost) {
  const Daemon daemon(std::string(kPlainListener) +
                      "routes:\n  - { host: a, redirect: { to: '{path}/' } }\n"
                      "  - { host: b, redirect: { to: '/{path}' } }\n"
                      "  - { host: c, redirect: { to: '/{query}' } }\n");
  const auto location = [&](const std::string& host, const std::string& target) {
    RawClient client(daemon.port());
    client.send("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
    return client.response().field("Location");
  };
  EXPECT_EQ(location("a", "/x"), "/x/");
  EXPECT_EQ(location("a", "//evil.example/x"), "/evil.example/x/");
  EXPECT_EQ(location("a", "///evil.example"), "/evil.example/");
  EXPECT_EQ(location("b", "/evil.example"), "/evil.example");
  EXPECT_EQ(location("c", "/?/evil.example"), "/evil.example");
}

TEST(Routing, ARedirectThatNamesTheHostNeedsOne) {
  const Daemon daemon(std::string(kPlainListener) +
                      "routes: [ { redirect: { to: 'https://{host}{path}' } } ]\n");
  RawClient client(daemon.port());
  client.send("GET /x HTTP/1.0\r\n\r\n");
  EXPECT_EQ(client.response().status, 400);
}

TEST(Routing, EditsOfTheRouteApplyToWhatItRefuses) {
  const Daemon daemon(
      std::string(kPlainListener) +
      "headers: { response: { set: { X-Frame-Options: DENY, X-Global: g } } }\n"
      "routes:\n"
      "  - { to: 'http://127.0.0.1:1', limits: { max_body: 10B }, headers: { response: { set: { "
      "X-Frame-Options: SAMEORIGIN, X-Route: r } } } }\n");
  for (const char* request : {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n",
                              "GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n"}) {
    RawClient client(daemon.port());
    const Response response = client.send(request).response();
    EXPECT_GE(response.status, 400);
    EXPECT_LT(response.status, 500) << request;
    EXPECT_EQ(response.field("X-Frame-Options"), "SAMEORIGIN") << request;
    EXPECT_EQ(response.field("X-Route"), "r") << request;
    EXPECT_EQ(response.field("X-Global"), "g") << request;
  }
}

TEST(Routing, RedirectsAListenerToHttps) {
  const Daemon daemon(
      "listeners: [ { name: web, address: '127.0.0.1:0', redirect: https }, { name: tls, address: "
      "'127.0.0.1:0', tls: internal } ]\n"
      "routes: [ { respond: { body: ok } } ]\n");
  const Response response = fetch(daemon.port("web"), "/a/b?c=d");
  EXPECT_EQ(response.status, 308);
  EXPECT_EQ(response.field("Location"),
            "https://test:" + std::to_string(daemon.port("tls")) + "/a/b?c=d");
}

// RFC 9112 section 3.2.4: OPTIONS of a bare authority is that of the whole server.
TEST(Routing, RedirectsOptionsOfAServerToThatServer) {
  const Daemon daemon(
      "listeners: [ { name: web, address: '127.0.0.1:0', redirect: https }, { name: tls, address: "
      "'127.0.0.1:0', tls: internal }, { name: other, address: '127.0.0.1:0' } ]\n"
      "routes: [ { redirect: { to: 'https://{host}:8443{path}' } } ]\n");
  const std::string port = std::to_string(daemon.port("tls"));
  for (const char* request :
       {"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"}) {
    SCOPED_TRACE(request);
    RawClient web(daemon.port("web"));
    EXPECT_EQ(web.send(request).response().field("Location"), "https://a:" + port + "/");
    RawClient other(daemon.port("other"));
    EXPECT_EQ(other.send(request).response().field("Location"), "https://a:8443/");
  }
  RawClient query(daemon.port("web"));
  query.send("OPTIONS http://a?b HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(query.response().field("Location"), "https://a:" + port + "/?b");
}

TEST(Routing, WithoutAHostThereIsNothingToRedirectTo) {
  const Daemon daemon(
      "listeners: [ { name: web, address: '127.0.0.1:0', redirect: https }, { name: tls, address: "
      "'127.0.0.1:0', tls: internal } ]\n"
      "routes: [ { respond: { body: ok } } ]\n");
  RawClient client(daemon.port("web"));
  client.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(client.response().status, 400);
}

TEST(Routing, RespondsWithStatusFieldsAndBody) {
  const Daemon daemon(std::string(kPlainListener) +
                      "routes: [ { respond: { status: 451, headers: { X-A: b, Content-Type: "
                      "application/json }, body: '{}' } } ]\n");
  RawClient client(daemon.port());
  const Response response = client.get("/");
  EXPECT_EQ(response.status, 451);
  EXPECT_EQ(response.field("X-A"), "b");
  EXPECT_EQ(response.field("Content-Type"), "application/json");
  EXPECT_EQ(response.body, "{}");
  EXPECT_TRUE(response.has("Date"));
  EXPECT_EQ(daemon.wait_access_of("/").why(), "respond");
}

TEST(Routing, RespondsAfterReadingTheBodyAway) {
  const Daemon daemon(answering("  - { => ok }\n"));
  RawClient client(daemon.port());
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" +
              std::string(5000, 'a'));
  EXPECT_EQ(client.response().status, 200);
  EXPECT_EQ(client.get("/").status, 200);
}

}  // namespace revproxyd::testing

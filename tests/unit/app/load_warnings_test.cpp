// What has no effect is told, and nothing that has one.

#include <string>

#include <gtest/gtest.h>

#include "tests/unit/app/loading.h"

namespace revproxyd::app {
namespace {

using namespace test;

std::string said(const std::string& text) {
  const LoadResult result = load_text(text, "x");
  EXPECT_TRUE(result.ok()) << result.report.text();
  return result.report.text();
}

std::string said_of_route(const std::string& keys) {
  return said(std::string(kListener) + "routes:\n  - name: a\n    " + keys + "\n");
}

TEST(LoadWarnings, WhatOnlyMattersToForwardedRequestsIsToldOfOtherRoutes) {
  for (const std::string& end :
       {std::string("respond: { status: 200 }"), std::string("redirect: { to: /x }")}) {
    for (const char* key : {"strip_prefix: /a", "add_prefix: /a", "rewrite: { regex: a, to: /b }",
                            "upgrade: [ foo ]", "upgrade: [ websocket ]", "upgrade: []"}) {
      const std::string name = std::string(key).substr(0, std::string(key).find(':'));
      const std::string warning =
          "x:4:5: warning: '" + name + "' has no effect in route 'a': nothing is forwarded";
      EXPECT_TRUE(holds(said_of_route(std::string(key) + "\n    " + end), warning)) << key;
      EXPECT_EQ(said_of_route(std::string(key) + "\n    to: http://a"), "");
    }
    EXPECT_EQ(said_of_route(end), "");
    EXPECT_EQ(said_of_route("allow_encoded_slash: true\n    " + end), "");
  }
}

TEST(LoadWarnings, AnUpgradeThatNoServerIsAskedForIsTold) {
  const auto told = [](const std::string& to, const std::string& upgrade, const std::string& more) {
    return said(std::string(kListener) + "routes:\n  - name: a\n    " + to + "\n    " + upgrade +
                "\n" + more);
  };
  const std::string upgrade = "upgrade: [ websocket ]";
  const std::string two =
      "upstreams:\n  b: { servers: [ { url: https://b } ], protocol: h2 }\n"
      "  c: { servers: [ { url: h2c://c }, { url: https://c } ] }\n";
  const std::string warning = "x:5:5: warning: 'upgrade' has no effect in route 'a': its servers";
  EXPECT_TRUE(holds(told("to: h2c://a", upgrade, ""), warning));
  EXPECT_TRUE(holds(told("to: [ h2c://a, h2c://b ]", "upgrade: foo", ""), warning));
  EXPECT_TRUE(holds(told("split: [ { to: b }, { to: h2c://a } ]", upgrade,
                         "upstreams: { b: { servers: [ { url: https://b } ], protocol: h2 } }\n"),
                    warning));
  EXPECT_EQ(told("split: [ { to: b }, { to: c } ]", upgrade, two), "");
  EXPECT_EQ(told("to: https://a", upgrade, ""), "");
  EXPECT_EQ(told("to: h2c://a", "upgrade: []", ""), "");
}

TEST(LoadWarnings, WhatIsPrintedSaysNothingOfAnUpgradeWhereNothingIsForwarded) {
  for (const char* end : {"respond: { status: 200 }", "redirect: { to: /x }"}) {
    const std::string printed = print_effective(good(std::string(kListener) + route(end)));
    EXPECT_FALSE(holds(printed, "websocket")) << printed;
    EXPECT_EQ(said(printed), "");
  }
}

TEST(LoadWarnings, WhatIsPrintedSaysNothingOfAnUpgradeThatNoServerIsAskedFor) {
  const Settings settings = good(std::string(kListener) + route("to: h2c://a"));
  EXPECT_EQ(said(print_effective(settings)), "");
  EXPECT_EQ(good(print_effective(settings)).routes, settings.routes);
}

TEST(LoadWarnings, CertificatesThatNoListenerShowsAreTold) {
  const std::string certificates = "certificates: [ { cert: a.pem, key: a.key } ]\n";
  const std::string routes = route("to: http://a");
  const std::string internal = "listeners: [ { address: ':443', tls: internal } ]\n";
  for (const std::string& listeners : {std::string(kListener), internal})
    EXPECT_TRUE(holds(said(listeners + certificates + routes),
                      "x:2:17: warning: 'certificates' has no effect: no listener"));
  EXPECT_EQ(said("listeners: [ { address: ':443', tls: {} } ]\n" + certificates + routes), "");
  EXPECT_EQ(said(certificates + routes), "");
  EXPECT_EQ(said(std::string(kListener) + "certificates: []\n" + routes), "");
}

TEST(LoadWarnings, ARedirectToOneOfSeveralPortsIsTold) {
  const auto said_of = [](const std::string& others) {
    return said("listeners:\n  - { address: ':80', redirect: https }\n" + others +
                route("to: http://a"));
  };
  const auto secure = [](const char* address) {
    return "  - { address: '" + std::string(address) + "', tls: internal }\n";
  };
  const std::string text = said_of(secure(":8443") + secure(":9443"));
  EXPECT_TRUE(holds(text,
                    "x:2:33: warning: 'redirect: https' leads to the first of several TLS "
                    "listeners, none of which is at port 443"))
      << text;
  EXPECT_TRUE(holds(text, "it is at x:3:5")) << text;
  for (const std::string& others :
       {secure(":8443"), secure(":8443") + secure(":443"),
        secure("127.0.0.1:8443") + secure("127.0.0.2:8443"), secure(":8443") + secure("unix:/s")})
    EXPECT_EQ(said_of(others), "");
}

class LoadWarningsOfRoutes : public ::testing::Test {
 protected:
  static std::string said_of_match(const std::string& match, const std::string& more = {}) {
    return said(
        "listeners: [ { name: http, address: ':80', redirect: https }, { name: https, address: "
        "':443', tls: internal } ]\nroutes: [ { name: a, match: { " +
        match + " }, to: http://a } ]\n" + more);
  }
};

TEST_F(LoadWarningsOfRoutes, ThoseThatNoListenerLeadsToAreTold) {
  for (const char* match : {"listener: http", "scheme: http", "listener: https, scheme: http"})
    EXPECT_TRUE(holds(said_of_match(match),
                      "x:2:11: warning: route 'a' can never match: no listener leads to it"))
        << match;
  EXPECT_TRUE(holds(said_of_route("match: { scheme: https }\n    to: http://a"),
                    "route 'a' can never match: no listener leads to it"));
}

TEST_F(LoadWarningsOfRoutes, ThoseThatAListenerLeadsToAreNot) {
  for (const char* match : {"path: /", "listener: https", "listener: [ http, https ]",
                            "scheme: https", "listener: https, scheme: https"})
    EXPECT_EQ(said_of_match(match), "") << match;
}

TEST_F(LoadWarningsOfRoutes, MethodsThatAreNeverServedAreTold) {
  for (const char* method : {"CONNECT", "TRACE"}) {
    const std::string warning =
        "warning: '" + std::string(method) + "' can never match: it is always answered with 405";
    EXPECT_TRUE(holds(said_of_match("method: " + std::string(method)), "x:2:39: " + warning));
    EXPECT_TRUE(
        holds(said_of_match("method: [ GET, " + std::string(method) + " ]"), "x:2:46: " + warning));
  }
  EXPECT_EQ(said_of_match("method: [ GET, OPTIONS, PURGE ]"), "");
}

TEST_F(LoadWarningsOfRoutes, FieldsThatNoRequestHasAreTold) {
  for (const char* value : {"a", "true", "~a"})
    EXPECT_TRUE(holds(said_of_match("header: { A: a, X_B: " + std::string(value) + " }"),
                      "x:2:47: warning: 'X_B' can never match: a request with '_' in the name"));
  EXPECT_TRUE(holds(said_of_match("header: { X_B: false }"),
                    "x:2:41: warning: 'X_B' has no effect in match of route 'a': a request with"));
  EXPECT_EQ(said_of_match("header: { X-B: a_b }, cookie: { a_b: true }, query: { a_b: true }"), "");
}

TEST_F(LoadWarningsOfRoutes, TheSchemeMayBeThatOfATrustedProxy) {
  EXPECT_EQ(said_of_match("scheme: http", "trusted_proxies: [ 10.0.0.0/8 ]\n"), "");
  EXPECT_TRUE(holds(said_of_match("listener: http", "trusted_proxies: [ 10.0.0.0/8 ]\n"),
                    "no listener leads to it"));
}

}  // namespace
}  // namespace revproxyd::app

#include "revproxyd/app/load.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/app/loading.h"

namespace revproxyd::app {
namespace {

namespace fs = std::filesystem;
using namespace test;

void expect_equal(const Settings& a, const Settings& b) {
  EXPECT_EQ(a.workers, b.workers);
  EXPECT_EQ(a.listeners, b.listeners);
  EXPECT_EQ(a.timeouts, b.timeouts);
  EXPECT_EQ(a.limits, b.limits);
  EXPECT_EQ(a.trusted_proxies, b.trusted_proxies);
  EXPECT_EQ(a.certificates, b.certificates);
  EXPECT_EQ(a.upstreams, b.upstreams);
  EXPECT_EQ(a.headers, b.headers);
  EXPECT_EQ(a.routes, b.routes);
  EXPECT_EQ(a.access_log, b.access_log);
  EXPECT_EQ(a.log, b.log);
  EXPECT_EQ(a.admin, b.admin);
  EXPECT_EQ(a.shutdown, b.shutdown);
  EXPECT_EQ(a.forwarded, b.forwarded);
  ASSERT_EQ(a.tests.size(), b.tests.size());
  for (std::size_t i = 0; i < a.tests.size(); ++i) {
    RouteTest one = a.tests[i];
    one.mark = b.tests[i].mark;
    EXPECT_EQ(one, b.tests[i]);
  }
}

TEST(Load, FieldsThatTheProxyDecidesAboutAreNotForEditing) {
  for (const char* name :
       {"Expect", "HTTP2-Settings", "Proxy-Authenticate", "proxy-authorization", "Upgrade"}) {
    for (const char* edit : {"set: { %: x }", "add: { %: x }", "remove: [ % ]"}) {
      std::string edits(edit);
      edits.replace(edits.find('%'), 1, name);
      const std::string report =
          refusal(route("respond: { status: 200 }, headers: { request: { " + edits + " } }"));
      EXPECT_TRUE(holds(report, "proxy.yaml:2:")) << report;
      EXPECT_TRUE(holds(report, name)) << report;
    }
  }
}

TEST(Load, AnAnswerOfTheConfigurationMayAskForProxyAuthentication) {
  good(std::string(kListener) +
       route("respond: { status: 407, headers: { Proxy-Authenticate: Basic } }"));
}

TEST(Load, PathsThatNoRequestCanHaveAreRefusedAtTheirPlace) {
  for (const char* path : {"/%00", "/a/%00/**", "/*/%00"}) {
    const std::string report =
        refusal(route("match: { path: \"" + std::string(path) + "\" }, respond: { status: 200 }"));
    EXPECT_TRUE(holds(report, "proxy.yaml:2:")) << report;
    EXPECT_TRUE(holds(report, "is not a path pattern")) << report;
  }
}

TEST(Load, ReadsTheSmallestFile) {
  const Settings s = good(
      "listeners: [ { address: \":8080\" } ]\nroutes: [ { to: [http://10.0.0.11:9000, "
      "http://10.0.0.12:9000] } ]\n");
  ASSERT_EQ(s.listeners.size(), 1U);
  EXPECT_EQ(s.listeners[0].name, ":8080");
  EXPECT_FALSE(s.listeners[0].tls);
  ASSERT_EQ(s.routes.size(), 1U);
  EXPECT_EQ(s.routes[0].name, "route-1");
  EXPECT_EQ(s.routes[0].upgrade, std::vector<std::string>{"websocket"});
  ASSERT_EQ(s.upstreams.size(), 1U);
  EXPECT_EQ(s.upstreams[0].name, "http://10.0.0.11:9000,http://10.0.0.12:9000");
  EXPECT_EQ(s.upstreams[0].servers.size(), 2U);
  EXPECT_EQ(s.routes[0].targets[0].upstream, s.upstreams[0].name);
}

TEST(Load, ReadsAndPrintsEveryFileThatIsShipped) {
  std::size_t files = 0;
  for (const char* folder : {"/config", "/config/examples"}) {
    for (const auto& entry : fs::directory_iterator(std::string(REVPROXYD_SOURCE_DIR) + folder)) {
      if (entry.path().extension() != ".yaml") continue;
      const LoadResult first = load_file(entry.path().string());
      ASSERT_TRUE(first.ok()) << first.report.text();
      EXPECT_EQ(first.report.warnings(), 0U) << first.report.text();
      const std::string printed = print_effective(first.settings);
      const LoadResult second = load_text(printed, "printed");
      ASSERT_TRUE(second.ok()) << second.report.text() << printed;
      expect_equal(first.settings, second.settings);
      ++files;
    }
  }
  EXPECT_GE(files, 11U);
}

TEST(Load, TellsUnknownKeysFromThoseOfLater) {
  EXPECT_TRUE(
      holds(refusal("upstreams:\n  shop: { servers: [ { url: http://a } ], heath_check: {} }\n" +
                    route("to: shop")),
            "unknown key 'heath_check' in upstream 'shop'"));
  for (const char* key : {"acme", "policies", "caches", "metrics", "tracing", "alerts"})
    EXPECT_TRUE(holds(refusal(std::string(key) + ": {}\n"), "is not supported by this version"))
        << key;
  for (const char* key : {"use", "waf", "rate_limit", "auth", "cache", "compress", "bots", "ip"})
    EXPECT_TRUE(holds(refusal(route("to: http://a, " + std::string(key) + ": x")),
                      "is not supported by this version"))
        << key;
  for (const char* key :
       {"discover", "session", "outlier_detection", "circuit_breaker", "slow_start"})
    EXPECT_TRUE(holds(refusal("upstreams: { a: { servers: [ { url: http://a } ], " +
                              std::string(key) + ": x } }\n"),
                      "is not supported by this version"))
        << key;
  EXPECT_TRUE(
      holds(refusal("upstreams: { a: { servers: [ { url: http://a } ], balance: ewma } }\n"),
            "not supported"));
  EXPECT_TRUE(holds(refusal("admin: { listen: 127.0.0.1:1 }\n"), "not supported"));
  EXPECT_TRUE(holds(refusal("access_log: { rotate: {} }\n"), "not supported"));
}

TEST(Load, ReportsEveryErrorAtOnce) {
  const LoadResult result = load_text(
      "workerz: 1\nlisteners: [ { address: 80 } ]\nroutes: [ { to: nowhere }, { path: /b, to: "
      "http://a/b } ]\n",
      "x");
  EXPECT_EQ(result.report.errors(), 4U) << result.report.text();
}

TEST(Load, RefusesAnotherVersion) {
  good("version: 1\n" + std::string(kListener));
  EXPECT_TRUE(holds(refusal("version: 2\n"), "version '2' is not known"));
}

TEST(Load, ImpliesListenersFromCertificates) {
  const Settings s =
      good("certificates: [ { hosts: [a.example], cert: /c, key: /k } ]\n" + route("to: http://a"));
  ASSERT_EQ(s.listeners.size(), 2U);
  EXPECT_EQ(s.listeners[0].address.text, ":80");
  EXPECT_TRUE(s.listeners[0].redirect_https);
  EXPECT_EQ(s.listeners[1].address.text, ":443");
  EXPECT_TRUE(s.listeners[1].tls);
  EXPECT_TRUE(good("tls: internal\n" + route("to: http://a")).listeners[1].tls->internal);
  EXPECT_TRUE(holds(load_text(route("to: http://a"), "x").report.text(), "no listeners"));
  EXPECT_TRUE(holds(load_text("tls: {}\n" + route("to: http://a"), "x").report.text(),
                    "without certificates"));
  EXPECT_TRUE(holds(refusal("tls: internal\n"), "files without 'listeners'"));
}

TEST(Load, GivesListenersTheGlobalValuesWhateverTheOrder) {
  const Settings s = good(
      "listeners: [ { address: \":1\", timeouts: { body: 7s } } ]\ntimeouts: { header: 3s, body: "
      "9s }\nlimits: { connections: 5 }\n");
  EXPECT_EQ(s.listeners[0].timeouts.header, Duration(3000));
  EXPECT_EQ(s.listeners[0].timeouts.body, Duration(7000));
  EXPECT_EQ(s.listeners[0].limits.connections, 5U);
}

TEST(Load, WarnsOfRoutesThatOthersHide) {
  const auto warns = [](const std::string& routes) {
    const LoadResult result =
        load_text(std::string(kListener) + "routes: [ " + routes + " ]\n", "x");
    EXPECT_TRUE(result.ok()) << result.report.text();
    return holds(result.report.text(), "route 'b' can never match: 'a' takes its requests");
  };
  const std::string to = "to: http://a } ";
  EXPECT_TRUE(warns("{ name: a, path: '/a/**', " + to + ", { name: b, path: '/a/*/b', " + to));
  EXPECT_TRUE(
      warns("{ name: a, path: '/a/**', priority: 1, " + to + ", { name: b, path: /a/x, " + to));
  EXPECT_FALSE(warns("{ name: b, path: '/a/*/b', " + to + ", { name: a, path: '/a/**', " + to));
  EXPECT_FALSE(warns("{ name: a, path: '/a/**', " + to + ", { name: b, path: /a/x, " + to));
  EXPECT_FALSE(warns("{ name: a, match: { path: '/a/**', method: GET }, " + to +
                     ", { name: b, path: '/a/*/b', " + to));
}

TEST(Load, RefusesSocketsAtOnePathWithSomethingElse) {
  const auto refuses = [](const std::string& text, std::string_view reason) {
    return holds(load_text(text, "x").report.text(), reason);
  };
  const std::string listener = "listeners: [ { address: \"unix:/run/a\" } ]\n";
  EXPECT_TRUE(refuses(listener + "admin: { socket: /run/a }\n", "the admin socket is at '/run/a'"));
  EXPECT_TRUE(refuses(listener + "log: { path: /run/a }\n", "a log is written to '/run/a'"));
  EXPECT_TRUE(refuses(listener + "access_log: { path: /run/a }\n", "a log is written to '/run/a'"));
  EXPECT_TRUE(
      refuses("listeners: [ { address: \":80\" } ]\nlog: { path: /run/a }\nadmin: { socket: "
              "/run/a }\n",
              "x:3:8: error: a log is written to '/run/a'"));
}

TEST(Load, TakesListenersOfBothFamiliesOnOnePort) {
  good("listeners: [ { address: \"0.0.0.0:80\" }, { address: \"[::]:80\" } ]\n");
}

TEST(Load, RefusesListenersThatClash) {
  EXPECT_TRUE(
      holds(load_text("listeners: [ { address: \":80\" }, { address: \"[::]:80\" } ]\n", "x")
                .report.text(),
            "two listeners at"));
  EXPECT_TRUE(holds(
      load_text("listeners: [ { address: \"[::1]:80\" }, { address: \"[0:0::1]:80\" } ]\n", "x")
          .report.text(),
      "two listeners at"));
  EXPECT_TRUE(
      holds(load_text("listeners: [ { address: \":80\" }, { address: \"0.0.0.0:80\" } ]\n", "x")
                .report.text(),
            "two listeners at"));
  EXPECT_TRUE(holds(
      load_text("listeners: [ { name: a, address: \":80\" }, { name: a, address: \":81\" } ]\n",
                "x")
          .report.text(),
      "two listeners are called"));
  good(
      "listeners: [ { name: a, address: \"127.0.0.1:0\" }, { name: b, address: \"127.0.0.1:0\" } "
      "]\n");
}

TEST(Load, RefusesRedirectsWithoutATlsListener) {
  EXPECT_TRUE(
      holds(load_text("listeners: [ { address: \":80\", redirect: https } ]\n", "x").report.text(),
            "without a TLS listener"));
  EXPECT_TRUE(
      holds(load_text("listeners: [ { address: \":80\", redirect: https, tls: internal } ]\n", "x")
                .report.text(),
            "without 'tls'"));
}

TEST(Load, NeedsExactlyOneEndOfARoute) {
  EXPECT_TRUE(holds(refusal(route("path: /a")), "goes nowhere"));
  EXPECT_TRUE(holds(refusal(route("to: http://a, respond: {}")), "ends in one of them"));
  good(std::string(kListener) + route("redirect: { to: 'https://{host}{path}' }"));
}

TEST(Load, RefusesBadTargets) {
  EXPECT_TRUE(holds(
      refusal("upstreams: { shop: { servers: [ { url: http://a } ] } }\n" + route("to: shopp")),
      "did you mean 'shop'?"));
  EXPECT_TRUE(holds(refusal(route("to: http://a/b")), "add_prefix"));
  EXPECT_TRUE(holds(refusal(route("to: [http://a, https://b]")), "http and https"));
  EXPECT_TRUE(holds(refusal(route("split: [ { to: http://a, weight: 0 } ]")), "every weight is 0"));
}

TEST(Load, WarnsOfAnUnusedUpstream) {
  const LoadResult result =
      load_text(std::string(kListener) + "upstreams: { a: { servers: [ { url: http://a } ] } }\n" +
                    route("to: http://b"),
                "x");
  EXPECT_TRUE(result.ok());
  EXPECT_TRUE(holds(result.report.text(), "'a' is not used")) << result.report.text();
}

TEST(Load, RefusesHostAndPathInTwoPlaces) {
  EXPECT_TRUE(
      holds(refusal(route("host: a, match: { host: b }, to: http://a")), "is in 'match' already"));
  const Settings s =
      good(std::string(kListener) + route("host: 'A.Example.', path: /x/**, to: http://a"));
  EXPECT_EQ(s.routes[0].match.hosts[0], (proxy::HostPattern{proxy::HostKind::exact, "a.example"}));
  EXPECT_EQ(s.routes[0].match.paths[0], (proxy::PathPattern{proxy::PathKind::prefix, "/x"}));
}

TEST(Load, TellsPathPatternsApart) {
  const auto kind = [](const std::string& path) {
    return good(std::string(kListener) + route("path: '" + path + "', to: http://a"))
        .routes[0]
        .match.paths[0]
        .kind;
  };
  EXPECT_EQ(kind("/"), proxy::PathKind::exact);
  EXPECT_EQ(kind("/**"), proxy::PathKind::any);
  EXPECT_EQ(kind("/a/*/b"), proxy::PathKind::glob);
  EXPECT_EQ(kind("/a/*/**"), proxy::PathKind::glob);
  EXPECT_EQ(kind("~^/a"), proxy::PathKind::regex);
  for (const char* bad :
       {"a", "", "/a*", "/**/a", "/a//b", "/a/../b", "/a?b", "/%2f", "/%41", "/a b", "~(", "~"})
    EXPECT_FALSE(
        load_text(std::string(kListener) + route("path: '" + std::string(bad) + "', to: http://a"),
                  "x")
            .ok())
        << bad;
}

TEST(Load, RefusesRoutesThatCanNeverBeToldApart) {
  EXPECT_TRUE(holds(refusal("routes: [ { host: A.example, to: http://a }, { host: a.example, path: "
                            "/**, to: http://b } ]\n"),
                    "never be told apart"));
  good(std::string(kListener) +
       "routes: [ { host: a, to: http://a }, { host: a, priority: 1, path: /x, to: http://b } ]\n");
}

TEST(Load, OfAValueThatCouldNotBeExpandedNothingElseIsSaid) {
  const LoadResult result = load_text(
      std::string(kListener) + route("name: '${enf:X} y', respond: { status: 200 }"), "x");
  EXPECT_EQ(result.report.errors(), 1U) << result.report.text();
}

TEST(Load, RoutesThatCouldNotBeReadAreNotComparedWithOthers) {
  const LoadResult result = load_text(
      std::string(kListener) +
          "routes:\n  -\n  - match: { hots: a }\n    respond: { status: 200 }\n  - to: http://a\n",
      "proxy.yaml");
  const std::string said = result.report.text();
  EXPECT_EQ(result.report.errors(), 2U) << said;
  EXPECT_EQ(result.report.warnings(), 0U) << said;
  EXPECT_TRUE(holds(said, "proxy.yaml:3:3: error: expected a map, found nothing")) << said;
  EXPECT_TRUE(holds(said, "proxy.yaml:4:14: error: unknown key 'hots'")) << said;
}

TEST(Load, ANameInAListOfListenersIsRefusedAtItsPlace) {
  const std::string said =
      refusal("routes:\n  - { match: { listener: [ web, wbe ] }, respond: { status: 200 } }\n");
  EXPECT_TRUE(holds(said, "proxy.yaml:3:33: error: no listener is called 'wbe'")) << said;
}

TEST(Load, WarnsOfARouteInTheShadowOfAnother) {
  const auto warnings = [](const std::string& routes) {
    const LoadResult result =
        load_text(std::string(kListener) + "routes: [ " + routes + " ]\n", "x");
    EXPECT_TRUE(result.ok()) << result.report.text();
    return result.report.warnings();
  };
  EXPECT_EQ(warnings("{ priority: 5, to: http://a }, { host: a.example, path: /x, to: http://b }"),
            1U);
  EXPECT_EQ(warnings("{ priority: 5, host: '*.example', path: /x/**, to: http://a }, { host: "
                     "a.example, path: /x/y, to: http://b }"),
            1U);
  EXPECT_EQ(warnings("{ host: [a, b], to: http://a }, { host: a, to: http://b }"), 1U);
  EXPECT_EQ(warnings("{ to: http://a }, { host: a.example, path: /x, to: http://b }"), 0U);
}

TEST(Load, RefusesNamesThatReferToNothing) {
  EXPECT_TRUE(
      holds(refusal(route("match: { listener: wbe }, to: http://a")), "did you mean 'web'?"));
  EXPECT_TRUE(
      holds(refusal("routes: [ { name: a, to: http://a }, { name: a, path: /x, to: http://a } ]\n"),
            "two routes are called 'a'"));
  EXPECT_TRUE(holds(refusal(route("name: a, to: http://a") +
                            "tests: [ { request: GET http://x/, expect: { route: b } } ]\n"),
                    "no route is called 'b'"));
}

TEST(Load, MergesGlobalHeadersUnderThoseOfTheRoute) {
  const Settings s = good(
      std::string(kListener) +
      "headers: { response: { set: { X-A: global, X-B: global }, add: { X-C: [ 1, 2 ] }, "
      "remove: [ Server ] } }\n" +
      route("to: http://a, headers: { response: { set: { x-a: own }, add: { Server: mine } } }"));
  const filters::FieldEdits& edits = s.routes[0].headers.response;
  EXPECT_EQ(edits.set,
            (std::vector<std::pair<std::string, std::string>>{{"X-B", "global"}, {"x-a", "own"}}));
  EXPECT_EQ(edits.add, (std::vector<std::pair<std::string, std::string>>{
                           {"X-C", "1"}, {"X-C", "2"}, {"Server", "mine"}}));
  EXPECT_TRUE(edits.remove.empty());
}

TEST(Load, RefusesHeadersThatWouldSplitAMessage) {
  EXPECT_TRUE(holds(refusal("headers: { response: { set: { X-A: \"a\\r\\nb: c\" } } }\n"),
                    "not a header value"));
  EXPECT_TRUE(holds(refusal("headers: { request: { set: { Transfer-Encoding: x } } }\n"),
                    "not a header name"));
  EXPECT_TRUE(holds(refusal("headers: { request: { set: { Host: x } } }\n"), "use host_header"));
}

TEST(Load, NeverPassesOnH2c) {
  EXPECT_TRUE(holds(refusal(route("to: http://a, upgrade: [H2C]")), "'h2c' is never passed on"));
  EXPECT_EQ(good(std::string(kListener) + route("to: http://a, upgrade: [WebSocket]"))
                .routes[0]
                .upgrade[0],
            "websocket");
}

TEST(Load, RefusesBadRegexesWithTheirPlace) {
  EXPECT_TRUE(
      holds(refusal(route("match: { header: { X-A: '~(' } }, to: http://a")), "proxy.yaml:2:"));
  EXPECT_TRUE(holds(refusal(route("rewrite: { regex: '(', to: /x }, to: http://a")),
                    "invalid regular expression"));
  EXPECT_TRUE(holds(refusal(route("rewrite: { regex: 'a', to: '/\\1' }, to: http://a")),
                    "invalid replacement"));
}

TEST(Load, ChecksNoRecordThatLacksARequiredKey) {
  EXPECT_TRUE(holds(refusal(route("rewrite: { regex: 'a' }, to: http://a")), "'to' is missing"));
  EXPECT_TRUE(holds(refusal(route("rewrite: { to: /x }, to: http://a")), "'regex' is missing"));
}

TEST(Load, RefusesRedirectTargetsThatCannotWork) {
  for (const char* bad : {"foo", "javascript:x", "/a b", "/{nope}", "/{path", "/a}", "//a.example",
                          "https://a{query}", "http://{query}/x"})
    EXPECT_FALSE(
        load_text(std::string(kListener) + route("redirect: { to: '" + std::string(bad) + "' }"),
                  "x")
            .ok())
        << bad;
  EXPECT_TRUE(
      holds(refusal(route("redirect: { to: /x, status: 304 }")), "not a status of a redirect"));
}

TEST(Load, ReadsStatusesOfAHealthCheck) {
  const auto health = [](const std::string& expect) {
    return *good(std::string(kListener) +
                 "upstreams: { a: { servers: [ { url: http://a } ], health_check: { expect: " +
                 expect + " } } }\n" + route("to: a"))
                .upstreams[0]
                .health_check;
  };
  EXPECT_EQ(health("200-399").status, (std::vector<upstream::StatusRange>{{200, 399}}));
  EXPECT_EQ(health("[200, 300-301]").status,
            (std::vector<upstream::StatusRange>{{200, 200}, {300, 301}}));
  EXPECT_EQ(health("{ status: 204, body: ok }").body, "ok");
  EXPECT_TRUE(holds(refusal("upstreams: { a: { servers: [ { url: http://a } ], health_check: { "
                            "expect: 399-200 } } }\n"),
                    "range of statuses"));
  EXPECT_TRUE(holds(refusal("upstreams: { a: { servers: [ { url: http://a } ], health_check: { "
                            "type: tcp, path: /x } } }\n"),
                    "type http only"));
}

TEST(Load, LeavesAnUnconfiguredAdminSocketUnconfigured) {
  const Settings s = good(std::string(kListener));
  EXPECT_FALSE(s.admin.configured);
  EXPECT_FALSE(good(print_effective(s)).admin.configured);
  EXPECT_TRUE(good(std::string(kListener) + "admin: { socket: /run/x }\n").admin.configured);
}

TEST(Load, HidesSecretsInPrintAndMessages) {
  ::setenv("REVPROXYD_TEST_SECRET", "hunter2", 1);
  const LoadResult result = load_text(std::string(kListener) +
                                          "headers: { request: { set: { Authorization: 'Bearer "
                                          "${env:REVPROXYD_TEST_SECRET}' } } }\n" +
                                          route("to: http://a"),
                                      "x");
  ASSERT_TRUE(result.ok()) << result.report.text();
  EXPECT_EQ(result.settings.headers.request.set[0].second, "Bearer hunter2");
  const std::string printed = print_effective(result.settings, result.secrets);
  EXPECT_TRUE(holds(printed, "Authorization: <redacted>")) << printed;
  EXPECT_FALSE(holds(printed, "hunter2"));
  EXPECT_FALSE(holds(refusal(route("to: '${env:REVPROXYD_TEST_SECRET}'")), "'hunter2'"));
}

TEST(Load, HidesSecretsThatReadingNormalises) {
  ::setenv("REVPROXYD_TEST_SECRET", "HTTP://Hidden.Internal:81/", 1);
  const LoadResult result = load_text(
      std::string(kListener) + route("to: ['${env:REVPROXYD_TEST_SECRET}', http://b]"), "x");
  ASSERT_TRUE(result.ok()) << result.report.text();
  EXPECT_FALSE(holds(print_effective(result.settings, result.secrets), "hidden"));
}

TEST(Load, ReadsTenThousandHostsAndRoutesQuickly) {
  std::string text = "listeners: [ { address: \":443\", tls: {} } ]\ncertificates:\n";
  for (int i = 0; i < 10000; ++i)
    text += "  - { hosts: [h" + std::to_string(i) + ".example.com], cert: /c.pem, key: /k.pem }\n";
  text += "routes:\n";
  for (int i = 0; i < 10000; ++i)
    text += "  - { match: { host: h" + std::to_string(i) +
            ".example.com, path: /a/** }, to: http://10.0.0.1:8080 }\n";
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(good(text).routes.size(), 10000U);
  EXPECT_LT(std::chrono::steady_clock::now() - begin,
            std::chrono::seconds(60));  // about one in a release build
}

TEST(CommandLineConfiguration, ForwardsEverything) {
  const LoadResult result =
      from_command_line("127.0.0.1:8080", {"http://127.0.0.1:9000", "http://127.0.0.1:9001"});
  ASSERT_TRUE(result.ok()) << result.report.text();
  EXPECT_EQ(result.settings.listeners[0].address.port, 8080);
  EXPECT_EQ(result.settings.upstreams[0].servers.size(), 2U);
  EXPECT_FALSE(from_command_line("8080", {"http://a"}).ok());
  EXPECT_FALSE(from_command_line(":8080", {"http://a/path"}).ok());
}

TEST(Schema, NamesTheKeysAndBalances) {
  const std::string schema = json_schema();
  for (const char* key : {"\"listeners\"", "\"upstreams\"", "\"health_check\"", "\"unknown_sni\"",
                          "\"include\"", "\"const\": \"unix\"", "\"additionalProperties\": false"})
    EXPECT_TRUE(holds(schema, key)) << key;
  int depth = 0;
  bool text = false;
  for (std::size_t i = 0; i < schema.size(); ++i) {
    if (text && schema[i] == '\\')
      ++i;
    else if (schema[i] == '"')
      text = !text;
    else if (!text)
      depth += schema[i] == '{' || schema[i] == '['   ? 1
               : schema[i] == '}' || schema[i] == ']' ? -1
                                                      : 0;
  }
  EXPECT_EQ(depth, 0);
  EXPECT_FALSE(text);
}

}  // namespace
}  // namespace revproxyd::app

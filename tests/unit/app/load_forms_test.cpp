// Values of the wrong form: a list for a word, a text that no value of its kind has.

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "app/build.h"
#include "app/route_tests.h"
#include "tests/unit/app/loading.h"

namespace revproxyd::app {
namespace {

using namespace test;

struct Refused {
  std::string text;  // behind the listener
  const char* said;
};

void expect_refused(const std::vector<Refused>& cases) {
  for (const Refused& one : cases) {
    const std::string report = refusal(one.text);
    EXPECT_TRUE(holds(report, one.said)) << one.text << report;
    EXPECT_TRUE(holds(report, "proxy.yaml:2:")) << report;
  }
}

std::string upstream(const std::string& keys, const std::string& url = "http://a") {
  return "upstreams: { u: { servers: [ { url: '" + url + "' } ], " + keys + " } }\n";
}

std::string refusal_of_listener(const std::string& keys) {
  const LoadResult result = load_text("listeners: [ { " + keys + " } ]\n", "proxy.yaml");
  EXPECT_FALSE(result.ok()) << keys;
  return result.report.text();
}

TEST(LoadForms, AListIsNoWord) {
  expect_refused({
      {"version: [ 1 ]\n", "expected a version, found a list"},
      {"upstreams: [ a ]\n", "expected a map of upstreams, found a list"},
      {"upstreams: { u: { servers: [ { url: [ a ] } ] } }\n",
       "expected the URL of a server, found"},
      {"access_log: { path: [ a ] }\n", "expected off, '-' or the path of a file, found a list"},
      {"limits: { h2_resets: [ 1/s ] }\n", "expected a rate, found a list"},
      {"tests: [ { request: [ a ], expect: { status: 200 } } ]\n",
       "expected a method and a URL, found a list"},
      {route("to: { a: b }"), "expected the name of an upstream or a URL, found a map"},
      {route("path: [ [ /a ] ], to: http://a"), "expected a path pattern, found a list"},
      {route("host: [ [ a ] ], to: http://a"), "expected a host name, found a list"},
      {route("match: { scheme: [ http ] }, to: http://a"), "expected http or https, found a list"},
      {route("match: { header: { A: [ b ] } }, to: http://a"),
       "expected a text, ~regex, true or false, found a list"},
      {upstream("host_header: [ a ]"), "expected keep, upstream or a host, found a list"},
      {upstream("balance: { method: hash, key: [ uri ] }"), "expected a hash key, found a list"},
      {upstream("health_check: { expect: [ [ 200 ] ] }"),
       "expected a status or a range of statuses, found a list"},
  });
  EXPECT_TRUE(holds(refusal_of_listener("address: [ ':80' ]"), "expected an address such as"));
  EXPECT_TRUE(holds(refusal_of_listener("address: ':80', protocols: [ [ h2 ] ]"),
                    "expected h2 or http/1.1, found a list"));
}

TEST(LoadForms, AWordIsNoList) {
  expect_refused({
      {upstream("retry: { conditions: reset }"),
       "expected a list of connect, reset and statuses, found 'reset'"},
      {route("split: http://a"), "expected a list of targets, found 'http://a'"},
  });
}

TEST(LoadForms, AnAddressOfAListenerNeedsItsPort) {
  const std::string report = refusal_of_listener("address: 80");
  EXPECT_TRUE(holds(report, "'80' is not an address such as")) << report;
  EXPECT_TRUE(holds(report, "write \":80\"")) << report;
}

TEST(LoadForms, StatusesOfAHealthCheckHaveThreeDigits) {
  for (const char* statuses : {"99", "099", "600", "20", "2000", "20x", "x", "200-", "-200",
                               "200-600", "x-300", "300-20x", "300-200", "99-200"})
    EXPECT_TRUE(
        holds(refusal(upstream("health_check: { expect: '" + std::string(statuses) + "' }")),
              "is not a status or a range of statuses"))
        << statuses;
}

TEST(LoadForms, PathsOfAHealthCheckAreThoseOfARequest) {
  for (const char* path : {"/a#b", "/\xC3\xA4"})
    EXPECT_TRUE(holds(refusal(upstream("health_check: { path: '" + std::string(path) + "' }")),
                      "encode blanks and letters beyond ASCII"))
        << path;
}

TEST(LoadForms, PatternsOfPathsAreNormalised) {
  const auto said = [](const std::string& pattern) {
    return refusal(route("path: '" + pattern + "', to: http://a"));
  };
  for (const char* escape : {"/%7E", "/%2D", "/%2E", "/%5F", "/%30"})
    EXPECT_TRUE(holds(said(escape), "write the character itself")) << escape;
  for (const char* dots : {"/./a", "/a/.", "/..", "/a/../**"})
    EXPECT_TRUE(holds(said(dots), "paths are matched without dot segments")) << dots;
  for (const char* bad : {"/%", "/%2", "/%4z", "/%z4"})
    EXPECT_TRUE(holds(said(bad), "'%' begins two hexadecimal digits")) << bad;
  EXPECT_TRUE(holds(said("/\xC3\xA4"), "encode blanks and letters beyond ASCII"));
}

TEST(LoadForms, PatternsOfPathsArePrintedAsTheyWereWritten) {
  const Settings settings = good(std::string(kListener) +
                                 route("path: [ /**, /a, /b/**, '/c/*/d', '~^/e' ], to: http://a"));
  EXPECT_EQ(good(print_effective(settings)).routes, settings.routes);
}

TEST(LoadForms, PeersAreRangesAndTheWordUnix) {
  const auto text = [](const std::string& peers) {
    return "listeners: [ { address: ':80', proxy_protocol: { from: " + peers +
           " } } ]\ntrusted_proxies: " + peers + "\n" + route("to: http://a");
  };
  for (const char* written : {"unix", "[ unix ]", "[ unix, 10.0.0.0/8, '::1', unix ]"}) {
    const Settings settings = good(text(written));
    EXPECT_TRUE(settings.trusted_proxies.unix_sockets) << written;
    EXPECT_EQ(settings.listeners[0].proxy_protocol_from, settings.trusted_proxies) << written;
    const std::string printed = print_effective(settings);
    const Settings again = good(printed);
    EXPECT_EQ(again.trusted_proxies, settings.trusted_proxies) << printed;
    EXPECT_EQ(again.listeners, settings.listeners) << printed;
    EXPECT_EQ(print_effective(again), printed);
  }
  EXPECT_EQ(good(text("[ unix, 10.0.0.0/8, '::1' ]")).trusted_proxies.ranges.size(), 2U);
  EXPECT_FALSE(good(text("10.0.0.0/8")).trusted_proxies.unix_sockets);
}

TEST(LoadForms, AHostMayBeAnIpv6AddressInBrackets) {
  for (const char* written : {"[2001:db8::1]", "[2001:DB8::1]", "[2001:db8:0:0::1]"}) {
    const std::string text =
        std::string(kListener) + route("host: '" + std::string(written) + "', respond: {}") +
        "tests: [ { request: 'GET http://[2001:db8::1]:8080/', expect: { status: 200 } },\n"
        "         { request: 'GET http://[2001:db8::2]/', expect: { status: 404 } } ]\n";
    LoadResult loaded = load_text(text, "x");
    ASSERT_TRUE(loaded.ok()) << loaded.report.text();
    const Built built = build(loaded.settings, nullptr, std::make_shared<tls::TicketKeys>(), 1);
    EXPECT_TRUE(run_route_tests(loaded.settings.tests, *built.plan, {}, loaded.report))
        << loaded.report.text();
    EXPECT_EQ(good(print_effective(loaded.settings)).routes, loaded.settings.routes);
  }
  for (const char* bad : {"[::1", "[::1]:80", "[a.example]", "[::1%1]", "::1"})
    EXPECT_TRUE(holds(refusal(route("host: '" + std::string(bad) + "', respond: {}")), "is not a"))
        << bad;
}

TEST(LoadForms, MethodsAreInUpperCase) {
  EXPECT_TRUE(holds(refusal(route("match: { method: get }, to: http://a")), "write GET"));
  good(std::string(kListener) + route("match: { method: [ GET, M-SEARCH, 'A~' ] }, to: http://a"));
}

TEST(LoadForms, TargetsOfRoutesAreNamesOrUrls) {
  expect_refused({
      {route("to: ''"), "the name of an upstream is empty"},
      {route("host: 'a b', to: http://a"), "'a b' is not a host name"},
      {route("upgrade: [ 'a b' ], to: http://a"), "'a b' is not a protocol"},
      {route("respond: { status: 205, body: x }"), "a 205 has no body"},
      {route("respond: { status: 304, body: x }"), "a 304 has no body"},
      {route("redirect: { to: '/\xC3\xA4' }"), "a character beyond ASCII"},
  });
  good(std::string(kListener) + route("redirect: { to: '{scheme}://{host}:81{path}' }"));
  good(std::string(kListener) + route("redirect: { to: '{path}/more' }"));
  good(std::string(kListener) + route("redirect: { to: 'http://b' }"));
}

TEST(LoadForms, OfAHostHeaderOnlyTheHostIsTaken) {
  EXPECT_TRUE(holds(refusal(upstream("host_header: a/")), "'a/' is not keep, upstream or a host"));
  ::setenv("REVPROXYD_TEST_SECRET", "kep", 1);
  const LoadResult secret =
      load_text(std::string(kListener) + upstream("host_header: '${env:REVPROXYD_TEST_SECRET}'") +
                    route("to: u"),
                "proxy.yaml");
  EXPECT_TRUE(secret.ok()) << secret.report.text();
  EXPECT_EQ(secret.report.text(), "");
}

TEST(LoadForms, WhatIsPrintedIsReadAgain) {
  const Settings settings =
      good(std::string(kListener) + "workers: 3\n" +
           "headers: { response: { add: { X-A: [ 1, 2 ], X-B: 3 } } }\n" +
           upstream("retry: { conditions: [ 503 ] }, host_header: upstream, balance: { method: "
                    "random }") +
           route("to: u"));
  const Settings again = good(print_effective(settings));
  EXPECT_EQ(again.workers, 3U);
  EXPECT_EQ(again.headers, settings.headers);
  EXPECT_EQ(again.upstreams, settings.upstreams);
}

TEST(LoadForms, AnUpstreamInASplitMustExist) {
  const std::string report =
      refusal("upstreams: { shop: { servers: [ { url: http://a } ] } }\n" +
              route("split: [ { to: http://b }, { to: shop }, { to: shpo } ]"));
  EXPECT_TRUE(holds(report, "proxy.yaml:3:60: error: no upstream is called 'shpo'")) << report;
  EXPECT_TRUE(holds(report, "did you mean 'shop'?")) << report;
}

TEST(LoadForms, NamesOfUpstreamsAreWords) {
  const std::string report = refusal("upstreams: { 'a b': { servers: [] } }\n");
  EXPECT_TRUE(holds(report, "'a b' is not the name of an upstream")) << report;
  EXPECT_TRUE(holds(report, "an empty list of servers")) << report;
}

TEST(LoadForms, TheAdminSocketHasAnAbsolutePathThatFitsTheKernel) {
  for (const std::string& path : {std::string("run/x"), "/" + std::string(107, 'a')})
    EXPECT_TRUE(holds(refusal("admin: { socket: " + path + " }\n"), "must be absolute and have at"))
        << path;
  good(std::string(kListener) + "admin: { socket: /" + std::string(106, 'a') + " }\n");
}

TEST(LoadForms, NoLogIsAFileThatIsCalledAsAStandardStream) {
  for (const char* path : {"stdout", "stderr"})
    EXPECT_TRUE(holds(refusal("access_log: { path: " + std::string(path) + " }\n"),
                      "write '-' for standard output"))
        << path;
  for (const char* path : {"stdout", "'-'"})
    EXPECT_TRUE(holds(refusal("log: { path: " + std::string(path) + " }\n"), "write stderr"))
        << path;
  EXPECT_EQ(good(std::string(kListener) + "log: { path: stderr }\naccess_log: { path: '-' }\n")
                .access_log.path,
            "-");
}

TEST(LoadForms, ThePathOfTheAccessLogIsNotEmpty) {
  EXPECT_TRUE(holds(refusal("access_log: { path: '' }\n"), "it is empty"));
  EXPECT_TRUE(holds(refusal("access_log: on\n"), "expected a map, found 'on'"));
  EXPECT_FALSE(good(std::string(kListener) + "access_log: { path: off }\n").access_log.enabled);
  EXPECT_FALSE(good(std::string(kListener) + "access_log: off\n").access_log.enabled);
}

TEST(LoadForms, TlsWithNothingBehindItIsTlsWithItsDefaults) {
  const Settings settings = good(
      "listeners: [ { address: ':443', tls: } ]\ncertificates: [ { cert: a.pem, key: a.key } ]\n");
  EXPECT_TRUE(settings.listeners.at(0).tls);
}

TEST(LoadForms, WhereTlsIsRefusedNothingIsSaidOfMissingListeners) {
  const LoadResult result = load_text("tls: external\n", "proxy.yaml");
  EXPECT_TRUE(holds(result.report.text(), "proxy.yaml:1:6: error: expected 'internal' or a map"))
      << result.report.text();
  EXPECT_FALSE(holds(result.report.text(), "no listeners"));
}

TEST(LoadForms, HostIsRemovedByNobody) {
  EXPECT_TRUE(
      holds(refusal("headers: { request: { remove: [ X-A, Host ] } }\n"), "use host_header"));
  EXPECT_TRUE(holds(refusal("headers: { response: { set: { host: a } } }\n"),
                    "'Host' is no field of a response"));
}

TEST(LoadForms, FieldsThatARouteNamesAreNotAddedGlobally) {
  const Settings settings = good(std::string(kListener) +
                                 "headers: { response: { add: { X-A: global, X-B: global } } }\n" +
                                 route("to: http://a, headers: { response: { remove: [ x-a ] } }"));
  EXPECT_EQ(settings.routes.at(0).headers.response.add,
            (std::vector<std::pair<std::string, std::string>>{{"X-B", "global"}}));
}

// The hint would repeat it.
TEST(LoadForms, OfASecretUrlNoPartIsShown) {
  ::setenv("REVPROXYD_TEST_SECRET", "http://hidden/b", 1);
  ::setenv("REVPROXYD_TEST_CLEARTEXT", "h2c://hidden", 1);
  for (const std::string& text :
       {route("to: '${env:REVPROXYD_TEST_SECRET}'"),
        "upstreams: { u: { servers: [ { url: '${env:REVPROXYD_TEST_SECRET}' } ] } }\n" +
            route("to: u"),
        upstream("protocol: http/1.1", "${env:REVPROXYD_TEST_CLEARTEXT}") + route("to: u")}) {
    const std::string report = refusal(text);
    EXPECT_TRUE(holds(report, "<redacted>")) << report;
    EXPECT_FALSE(holds(report, "hidden")) << report;
    EXPECT_FALSE(holds(report, "add_prefix")) << report;
    EXPECT_FALSE(holds(report, "write ")) << report;
  }
}

TEST(LoadForms, WhatCouldNotBeExpandedIsToldOnce) {
  for (const char* text :
       {"routes: '${env:REVPROXYD_TEST_NONE}'\n", "upstreams: '${env:REVPROXYD_TEST_NONE}'\n",
        "trusted_proxies: '${env:REVPROXYD_TEST_NONE}'\n"}) {
    const LoadResult result = load_text(std::string(kListener) + text, "proxy.yaml");
    EXPECT_EQ(result.report.errors(), 1U) << result.report.text();
  }
}

}  // namespace
}  // namespace revproxyd::app

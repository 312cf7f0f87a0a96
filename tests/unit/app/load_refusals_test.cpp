// Values that are refused, with what is said of them and where.

#include <string>
#include <vector>

#include <gtest/gtest.h>

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

TEST(LoadRefusals, AListOrMapWhereAWordBelongsIsNamed) {
  EXPECT_TRUE(holds(refusal("workers: [ 2 ]\n"), "2:10: error: expected a number, found a list"));
  EXPECT_TRUE(holds(refusal("shutdown: { drain: { a: b } }\n"),
                    "2:20: error: expected a duration, found a map"));
  EXPECT_TRUE(holds(refusal("workers:\n"), "2:1: error: expected a number, found nothing"));
}

TEST(LoadRefusals, OfALongValueTheBeginningIsShown) {
  const std::string report = refusal("workers: " + std::string(200, 'x') + "\n");
  EXPECT_TRUE(holds(report, "'" + std::string(80, 'x') + "...' is not a whole number")) << report;
}

TEST(LoadRefusals, AnEmptyListOfServersIsNoUpstream) {
  EXPECT_TRUE(holds(refusal("upstreams: { a: { servers: [] } }\n" + route("to: a")),
                    "2:28: error: an empty list of servers"));
}

TEST(LoadRefusals, AddressRangesAreHeldToTheirForm) {
  EXPECT_TRUE(holds(refusal("trusted_proxies: [ 10.0.0.1/8 ]\n"), "2:20: error: '10.0.0.1/8' is"));
  EXPECT_TRUE(holds(refusal("trusted_proxies: [ 10.0.0.1/8 ]\n"), "bits behind it are set"));
  EXPECT_TRUE(holds(refusal("trusted_proxies: [ 10.0.0.0/33 ]\n"), "the length is too long"));
  for (const char* range : {"everyone", "10.0.0/8", "/8"})
    EXPECT_TRUE(holds(refusal("trusted_proxies: [ " + std::string(range) + " ]\n"),
                      "write 10.0.0.0/8 or 2001:db8::/32"))
        << range;
  EXPECT_TRUE(holds(refusal("trusted_proxies: [ [ 10.0.0.0/8 ] ]\n"),
                    "expected an address range, found a list"));
}

TEST(LoadRefusals, UnixStandsForAllSocketsAndForPeersOnly) {
  const std::string report = refusal("trusted_proxies: [ 10.0.0.0/8, 'unix:/run/a.sock' ]\n");
  EXPECT_TRUE(holds(report, "2:32: error: 'unix:/run/a.sock' is not an address range")) << report;
  EXPECT_TRUE(holds(report, "write unix for all peers on UNIX sockets")) << report;
  EXPECT_TRUE(holds(refusal(route("match: { source: unix }, to: http://a")),
                    "'unix' is not an address range"));
}

TEST(LoadRefusals, TheSameFieldIsNotSetTwice) {
  EXPECT_TRUE(holds(refusal("headers: { response: { set: { X-A: 1, x-a: 2 } } }\n"),
                    "'x-a' is set twice; case does not matter"));
}

TEST(LoadRefusals, PrefixesOfPathsAreHeldToTheirForm) {
  struct Case {
    const char* prefix;
    const char* hint;
  };
  for (const Case& c :
       {Case{"api", "it begins with '/'"}, Case{"/api/", "write it without the last '/'"},
        Case{"/a b", "no blank and none of ? # *"}, Case{"/a?b", "no blank and none of ? # *"},
        Case{"/a#b", "no blank and none of ? # *"}, Case{"/a*", "no blank and none of ? # *"},
        Case{"/a//b", "it is normalised"}, Case{"/a/./b", "it is normalised"},
        Case{"/a/../b", "it is normalised"}, Case{"/a/..", "it is normalised"},
        Case{"/a/.", "it is normalised"}, Case{"/%zz", "a bad escape"},
        Case{"/a%4", "a bad escape"}, Case{"/a%00", "an escaped control character"},
        Case{"/a\\b", "a backslash"}, Case{"/\xC3\xA4", "encode letters beyond ASCII"}}) {
    for (const char* key : {"strip_prefix", "add_prefix"}) {
      const std::string report =
          refusal(route("to: http://a, " + std::string(key) + ": '" + c.prefix + "'"));
      EXPECT_TRUE(holds(report, "proxy.yaml:2:")) << report;
      EXPECT_TRUE(holds(report, "is not the prefix of a path")) << report;
      EXPECT_TRUE(holds(report, c.hint)) << report;
    }
  }
  good(std::string(kListener) + route("to: http://a, strip_prefix: /a.b/.c, add_prefix: /%C3%A4"));
}

TEST(LoadRefusals, PatternsOfPathsThatWouldNeverMatchAreNamed) {
  const auto path = [](const std::string& pattern) {
    return route("match: { path: '" + pattern + "' }, to: http://a");
  };
  expect_refused({
      {path("/a%2f"), "hexadecimal digits are in upper case"},
      {path("/a%f0"), "hexadecimal digits are in upper case"},
      {path("/%41"), "write the character itself instead of its escape"},
      {path("/a%4"), "'%' begins two hexadecimal digits"},
      {path("/a%zz"), "'%' begins two hexadecimal digits"},
      {path("/a b"), "encode blanks and letters beyond ASCII"},
      {path("/a//b"), "paths are matched with '//' merged"},
      {path("/a/../b"), "paths are matched without dot segments"},
      {path("~"), "the expression is missing"},
  });
  good(std::string(kListener) + path("/a%2F/%C3%A4"));
}

TEST(LoadRefusals, RoutesThatContradictThemselvesAreNamed) {
  expect_refused({
      {route("to: [ http://a, 'HTTP://A/' ]"), "a URL is listed twice"},
      {route("to: []"), "an empty list of URLs"},
      {route("to: [ http://a, https://b ]"), "http and https in one list of URLs"},
      {route("redirect: { to: '/x', status: 304 }"), "expected 301, 302, 303, 307 or 308"},
      {route("respond: { status: 204, body: x }"), "a 204 has no body"},
      {route("respond: { status: 101 }"), "expected 200 to 599"},
      {route("respond: { status: 200 }, host_header: keep"),
       "'host_header' is for a route with 'to' or 'split'"},
  });
}

TEST(LoadRefusals, UpstreamsThatContradictThemselvesAreNamed) {
  expect_refused({
      {upstream("balance: { method: hash, key: ip }"), "'ip' is not a hash key"},
      {upstream("balance: { method: hash, key: 'header:' }"), "'header:' is not a hash key"},
      {upstream("balance: { method: hash, key: 'header:a b' }"), "is not a hash key"},
      {upstream("balance: { method: random, key: uri }"), "'key' is for the method hash only"},
      {upstream("retry: { conditions: [ 200 ] }"), "'200' is not a retry condition"},
      {upstream("retry: { conditions: [ 600 ] }"), "'600' is not a retry condition"},
      {upstream("retry: { conditions: [ often ] }"), "'often' is not a retry condition"},
      {upstream("retry: { conditions: [ [ reset ] ] }"), "a list is not a retry condition"},
      {upstream("limits: { response_header_bytes: 1023B }"), "expected 1KiB to 16MiB"},
      {upstream("limits: { response_header_bytes: 17MiB }"), "expected 1KiB to 16MiB"},
      {upstream("health_check: { path: '/a b' }"), "encode blanks and letters beyond ASCII"},
      {upstream("health_check: { path: 'a' }"), "it begins with '/'"},
      {upstream("host_header: a/b"), "'a/b' is not keep, upstream or a host"},
      {"upstreams: { u: { servers: [ { url: 'http://a' }, { url: 'http://A/' } ] } }\n",
       "a server is listed twice in upstream 'u'"},
  });
}

TEST(LoadRefusals, TlsThatContradictsItselfIsNamed) {
  const auto hosts = [](const std::string& host) {
    return "certificates: [ { hosts: [ '" + host + "' ], cert: a.pem, key: a.key } ]\n";
  };
  expect_refused({
      {upstream("tls: { cert: a.pem }", "https://a"), "'cert' and 'key' belong together"},
      {upstream("tls: { key: a.pem }", "https://a"), "'cert' and 'key' belong together"},
      {upstream("tls: { server_name: 'a b' }", "https://a"), "'server_name' is not a host name"},
      {upstream("tls: { server_name: '[::1]' }", "https://a"), "'server_name' is not a host name"},
      {upstream("tls: { server_name: 'a.' }", "https://a"), "'server_name' is not a host name"},
      {hosts("*"), "leave it out for any host"},
      {hosts("a.*.b"), "only as the first label: *.example.com"},
      {hosts("a:443"), "a host is written without a port"},
      {hosts("a b"), "'a b' is not a host name"},
  });
  EXPECT_TRUE(holds(refusal("upstreams:\n  u:\n    servers: [ { url: https://a } ]\n"
                            "    tls: { ca: a.pem, server_name: 'a.' }\n"),
                    "proxy.yaml:5:36: error: 'server_name' is not a host name"));
  const auto listener = [](const std::string& tls) {
    const LoadResult result =
        load_text("listeners: [ { address: ':443', tls: " + tls + " } ]\n", "proxy.yaml");
    EXPECT_FALSE(result.ok()) << tls;
    return result.report.text();
  };
  EXPECT_TRUE(holds(listener("external"), "expected 'internal' or a map"));
  EXPECT_TRUE(holds(listener("{ client_auth: { mode: optional } }"), "'ca' is missing in"));
}

TEST(LoadRefusals, WhatHasNoEffectIsAWarning) {
  const auto warning = [](const std::string& text) {
    const LoadResult result =
        load_text(std::string(kListener) + text + route("to: u"), "proxy.yaml");
    EXPECT_TRUE(result.ok()) << result.report.text();
    return result.report.text();
  };
  EXPECT_TRUE(holds(warning(upstream("tls: { server_name: b }")), "'tls' has no effect in"));
  EXPECT_TRUE(holds(warning(upstream("tls: { insecure_skip_verify: true }", "https://a")),
                    "are not verified"));
  EXPECT_TRUE(holds(warning(upstream("host_header: kep")), "'kep' is taken as the name of a host"));
  const LoadResult auth = load_text(
      "listeners: [ { address: ':443', tls: { client_auth: { ca: a.pem } } } ]\n"
      "certificates: [ { cert: a.pem, key: a.key } ]\n",
      "proxy.yaml");
  EXPECT_TRUE(holds(auth.report.text(), "'ca' has no effect while 'mode' is none"));
}

TEST(LoadRefusals, TestsOfRoutesNameARequestAndWhatIsExpected) {
  const auto test = [](const std::string& request, const std::string& expect) {
    return "tests: [ { request: '" + request + "', expect: { " + expect + " } } ]\n";
  };
  expect_refused({
      {test("/path", "status: 200"), "is not a request"},
      {test("GET /path", "status: 200"), "write \"GET https://example.com/path\""},
      {test("GET ftp://a/", "status: 200"), "is not a request"},
      {test("GET http://a/ b", "status: 200"), "is not a request"},
      {test("G(T http://a/", "status: 200"), "is not a request"},
      {test("GET http://a/", ""), "add route or status"},
      {"tests: [ { request: GET http://a/, from: a, expect: { status: 200 } } ]\n",
       "'a' is not an address"},
      {"tests: [ { request: GET http://a/, from: 10.0.0.0/8, expect: { status: 200 } } ]\n",
       "'10.0.0.0/8' is not an address"},
  });
}

// A small file, and hours or gigabytes otherwise.
TEST(LoadRefusals, HostsTimesPathsAreBounded) {
  const auto routes = [](int hosts, int paths) {
    std::string text = "routes: [ { respond: { body: x }, match: { host: [";
    for (int i = 0; i < hosts; ++i) text += " h" + std::to_string(i) + ".a,";
    text += " h.a ], path: [";
    for (int i = 0; i < paths; ++i) text += " /" + std::to_string(i) + ",";
    return text + " /x ] } } ]\n";
  };
  const std::string report = refusal(routes(999, 999));
  EXPECT_TRUE(holds(report, "2:11: error: more than 500000 combinations of host and path"))
      << report.substr(0, 200);
  EXPECT_EQ(good(std::string(kListener) + routes(99, 99)).routes.size(), 1U);
}

// A counted repetition takes little to write and much when it is compiled.
TEST(LoadRefusals, RegexesAreBoundedInSum) {
  constexpr std::string_view kLarge = "\\pL{1,100}";  // about 119,000 instructions
  const auto routes = [&](int number) {
    std::string text = "routes:\n";
    for (int i = 0; i < number; ++i) {
      const std::string n = std::to_string(i);
      text += "  - match: { path: '~" + n + std::string(kLarge) + "'";
      for (const char* of : {"header", "query", "cookie"})
        text += std::string(", ") + of + ": { X: '~" + n + std::string(kLarge) + "' }";
      text += " }\n    rewrite: { regex: '" + n + std::string(kLarge) + "', to: /x }\n";
      text += "    to: http://a\n";
    }
    return text;
  };
  const std::string report = refusal(routes(7));
  EXPECT_TRUE(holds(report,
                    "21:110: error: the regular expressions up to here compile to "
                    "more than 4000000 instructions"))
      << report;
  EXPECT_EQ(report.find("error:"), report.rfind("error:")) << report;
  EXPECT_EQ(good(std::string(kListener) + routes(6)).routes.size(), 6U);
}

// Each takes some 50 ms to compile, and is not.
TEST(LoadRefusals, NoRegexIsCompiledBeyondThatSum) {
  std::string text = "routes:\n";
  for (int i = 0; i < 2000; ++i) {
    text += "  - { path: /" + std::to_string(i) + ", to: http://a, rewrite: { regex: '" +
            std::to_string(i) + "\\pL{1,100}', to: /x } }\n";
  }
  const TimePoint begun = Clock::now();
  EXPECT_TRUE(holds(refusal(text), "compile to more than 4000000 instructions"));
  EXPECT_LT(Clock::now() - begun, std::chrono::seconds(60));
}

TEST(LoadRefusals, GlobalHeadersAreBoundedOverAllRoutes) {
  std::string text =
      "headers: { response: { set: { X-A: " + std::string(1 << 20, 'x') + " } } }\nroutes:\n";
  for (int i = 0; i < 64; ++i)
    text += "  - { host: h" + std::to_string(i) + ".a, respond: { body: x } }\n";
  const std::string report = refusal(text);
  EXPECT_TRUE(holds(report, "'headers', which each of 64 routes copies, take more than 64 MiB"))
      << report.substr(0, 200);
}

}  // namespace
}  // namespace revproxyd::app

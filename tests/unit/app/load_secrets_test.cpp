// What came from ${...} stands in no message about the file.

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

/// `text` with each % replaced by a secret that has `value`.
std::string with_secret(const std::string& text, const std::string& value) {
  ::setenv("REVPROXYD_TEST_SECRET", value.c_str(), 1);
  std::string out;
  for (const char c : text) out += c == '%' ? "${env:REVPROXYD_TEST_SECRET}" : std::string(1, c);
  return out;
}

/// What is said of a text; nothing of the secret, which holds "hunter2".
std::string said(const std::string& text, const std::string& value = "hunter2") {
  const std::string report = load_text(with_secret(text, value), "x").report.text();
  EXPECT_FALSE(holds(report, "hunter2")) << text << report;
  return report;
}

std::string said_behind(const std::string& text, const std::string& value = "hunter2") {
  return said(std::string(kListener) + text, value);
}

TEST(LoadSecrets, AnExpressionThatIsWrongIsNotQuoted) {
  for (const std::string& keys :
       {std::string("path: '~%('"), std::string("match: { header: { X-Key: '~^%($' } }"),
        std::string("match: { query: { key: '~%(' } }"),
        std::string("match: { cookie: { key: '~%(' } }"),
        std::string("rewrite: { regex: '%(', to: /x }")}) {
    const std::string report = said_behind(route(keys + ", to: http://a"));
    EXPECT_TRUE(holds(report, "error: invalid regular expression\n")) << report;
  }
  EXPECT_TRUE(holds(said_behind(route("rewrite: { regex: a, to: '/%\\9' }, to: http://a")),
                    "error: invalid replacement\n"));
}

TEST(LoadSecrets, OfAWrongValueNoPartIsShown) {
  EXPECT_TRUE(holds(said_behind(route("to: 'http://%!'")), "<redacted> is not the URL of"));
  EXPECT_TRUE(holds(said_behind("upstreams: { u: { servers: [ { url: 'http://%!' } ] } }\n"),
                    "<redacted> is not the URL of"));
  EXPECT_TRUE(
      holds(said_behind(route("redirect: { to: 'https://x/{%}' }")), "'{...}' in the target"));
  EXPECT_TRUE(holds(said_behind(route("match: { method: '%' }, respond: {}")),
                    "<redacted> is not a method"));
  EXPECT_TRUE(
      holds(said_behind(route("headers: { request: { remove: [ '%' ] } }, respond: {}"), "Expect"),
            "<redacted> is not for editing"));
  EXPECT_TRUE(holds(said_behind("include: '/%/none'\n"), "cannot read <redacted>: "));
  EXPECT_TRUE(holds(said_behind("include: '/%/*'\n"), "no file matches <redacted>"));
}

TEST(LoadSecrets, NamesThatClashAreNotShown) {
  EXPECT_TRUE(holds(said("listeners: [ { name: '%', address: ':1' }, { name: '%', address: ':2' } "
                         "]\n"),
                    "two listeners are called <redacted>"));
  EXPECT_TRUE(holds(said_behind("routes: [ { name: '%', to: http://a }, { name: '%', path: /x, "
                                "to: http://a } ]\n"),
                    "two routes are called <redacted>"));
  EXPECT_TRUE(
      holds(said_behind("routes: [ { name: '%', to: http://a }, { name: b, to: http://a } ]\n"),
            "routes <redacted> and 'b' can never be told apart"));
  EXPECT_TRUE(holds(said_behind("routes: [ { name: '%', priority: 1, to: http://a }, { name: b, "
                                "path: /b, to: http://a } ]\n"),
                    "route 'b' can never match: <redacted> takes its requests"));
}

TEST(LoadSecrets, PlacesThatClashAreNotShown) {
  const std::string twice = "listeners: [ { address: 'unix:/%' }, { address: 'unix:/./%' } ]\n";
  EXPECT_TRUE(holds(said(twice), "two listeners at <redacted>"));
  const std::string once = "listeners: [ { address: 'unix:/%' } ]\n";
  EXPECT_TRUE(holds(said(once + "admin: { socket: '/%' }\n"), "the admin socket is at <redacted>"));
  EXPECT_TRUE(holds(said(once + "log: { path: '/%' }\n"), "a log is written to <redacted>"));
  EXPECT_TRUE(holds(said_behind("admin: { socket: '/%' }\nlog: { path: '/%' }\n"),
                    "a log is written to <redacted>"));
}

TEST(LoadSecrets, NamesThatReferToNothingAreNotShown) {
  EXPECT_TRUE(holds(said_behind(route("match: { listener: '%' }, to: http://a")),
                    "no listener is called <redacted>"));
  EXPECT_TRUE(holds(said_behind(route("to: http://a") +
                                "tests: [ { request: GET http://x/, expect: { route: '%' } } ]\n"),
                    "no route is called <redacted>"));
  EXPECT_TRUE(holds(said_behind(route("to: '%'")), "no upstream is called <redacted>"));
}

TEST(LoadSecrets, NoHintLeadsToASecret) {
  EXPECT_TRUE(holds(said("listeners: [ { name: '%', address: ':1' } ]\n" +
                         route("match: { listener: hunter3 }, to: http://a")),
                    "no listener is called 'hunter3'"));
  EXPECT_TRUE(holds(said_behind(route("name: '%', to: http://a") +
                                "tests: [ { request: GET http://x/, expect: { route: hunter3 } } "
                                "]\n"),
                    "no route is called 'hunter3'"));
  const std::string near = said_behind(
      "upstreams: { hunter3: { servers: [ { url: http://a } ] } }\n" + route("to: '%'"));
  EXPECT_FALSE(holds(near, "did you mean")) << near;
}

TEST(LoadSecrets, TheRequestOfATestThatFailsIsNotShown) {
  LoadResult loaded = load_text(
      std::string(kListener) + route("respond: { status: 200 }") +
          with_secret("tests: [ { request: 'GET http://x/?k=%', expect: { status: 404 } } ]\n",
                      "hunter2"),
      "x");
  ASSERT_TRUE(loaded.ok()) << loaded.report.text();
  const Built built = build(loaded.settings, nullptr, std::make_shared<tls::TicketKeys>(), 1);
  EXPECT_FALSE(run_route_tests(loaded.settings.tests, *built.plan, loaded.secrets, loaded.report));
  const std::string report = loaded.report.text();
  EXPECT_TRUE(holds(report, "x:3:10: error: test <redacted>: expected status 404, got 200"))
      << report;
}

TEST(LoadSecrets, TheRoutesOfATestThatFailsAreNotShown) {
  LoadResult loaded = load_text(
      with_secret(std::string(kListener) +
                      "routes: [ { name: '%', path: /a, respond: {} }, { name: b, respond: {} } ]\n"
                      "tests:\n"
                      "  - { request: GET http://x/, expect: { route: '%' } }\n"
                      "  - { request: GET http://x/a, expect: { route: b } }\n",
                  "hunter2"),
      "x");
  ASSERT_TRUE(loaded.ok()) << loaded.report.text();
  const Built built = build(loaded.settings, nullptr, std::make_shared<tls::TicketKeys>(), 1);
  EXPECT_FALSE(run_route_tests(loaded.settings.tests, *built.plan, loaded.secrets, loaded.report));
  const std::string report = loaded.report.text();
  EXPECT_TRUE(holds(report, "test 'GET http://x/': expected route <redacted>, got b")) << report;
  EXPECT_TRUE(holds(report, "test 'GET http://x/a': expected route b, got <redacted>")) << report;
}

TEST(LoadSecrets, HostsOfCertificatesAreMarked) {
  const auto hidden = [](const std::string& hosts) {
    const LoadResult loaded = load_text(
        with_secret("certificates: [ { hosts: " + hosts + ", cert: /c, key: /k } ]\n", "A.Hidden."),
        "x");
    EXPECT_TRUE(loaded.ok()) << loaded.report.text();
    return loaded.settings.certificates.at(0).hidden;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(hidden("'%'"), (Names{"a.hidden"}));
  EXPECT_EQ(hidden("[a.test, '%', b.test]"), (Names{"a.hidden"}));
  EXPECT_EQ(hidden("a.test"), Names());
}

TEST(LoadSecrets, ARelativePathIsHiddenAsTheOneThatItStandsFor) {
  const LoadResult result =
      load_text(with_secret(std::string(kListener) + "log: { path: '%' }\n" +
                                "access_log: { path: './%' }\n" + route("to: http://a"),
                            "hunter2.log"),
                "x");
  ASSERT_TRUE(result.ok()) << result.report.text();
  EXPECT_TRUE(result.settings.log.path.ends_with("/hunter2.log"));
  EXPECT_EQ(result.settings.access_log.path, result.settings.log.path);
  const std::string printed = print_effective(result.settings, result.secrets);
  EXPECT_FALSE(holds(printed, "hunter2")) << printed;
}

TEST(LoadSecrets, ARangeIsHiddenInTheFormThatItIsPrintedIn) {
  for (const char* range : {"10.1.2.3", "2001:DB8:0::/32"}) {
    const LoadResult result = load_text(
        with_secret(std::string(kListener) + "trusted_proxies: '%'\n" + route("to: http://a"),
                    range),
        "x");
    ASSERT_TRUE(result.ok()) << result.report.text();
    const std::string printed = print_effective(result.settings, result.secrets);
    EXPECT_TRUE(holds(printed, "trusted_proxies: [<redacted>]")) << printed;
  }
}

std::string printed(const LoadResult& loaded) {
  return print_effective(loaded.settings, loaded.secrets);
}

TEST(LoadSecrets, WordsOfOursArePrintedThoughOneCameFromOutside) {
  const struct {
    const char* word;
    const char* keys;
    const char* line;
  } kCases[] = {
      {"auto", "workers: '%'\nupstreams: { u: { servers: [ { url: http://a } ] } }\n",
       "protocol: auto\n"},
      {"info", "log: { level: '%' }\n", "level: info\n"},
      {"off", "access_log: '%'\n", "path: off\n"},
      {"-", "access_log: { path: '%' }\n", "path: \"-\"\n"},
      {"stderr", "log: { path: '%' }\n", "path: stderr\n"},
      {"unix", "trusted_proxies: '%'\n", "trusted_proxies: [unix]\n"},
      {"upstream", "upstreams: { u: { host_header: '%', servers: [ { url: http://a } ] } }\n",
       "host_header: upstream\n"},
      {"uri",
       "upstreams: { u: { balance: { method: hash, key: '%' }, servers: [ { url: http://a } ] } "
       "}\n",
       "key: uri\n"},
      {"reset",
       "upstreams: { u: { retry: { conditions: [ '%' ] }, servers: [ { url: http://a } ] } }\n",
       "conditions: [connect, reset]\n"},
      {"200-299",
       "upstreams: { u: { health_check: { expect: '%' }, servers: [ { url: http://a } ] } }\n",
       "status: [\"200-299\"]\n"},
  };
  for (const auto& one : kCases) {
    const std::string to = std::string(one.keys).find("upstreams") == std::string::npos
                               ? route("to: http://a")
                               : route("to: u");
    const LoadResult loaded =
        load_text(with_secret(std::string(kListener) + one.keys + to, one.word), "x");
    ASSERT_TRUE(loaded.ok()) << loaded.report.text();
    const std::string text = printed(loaded);
    EXPECT_TRUE(holds(text, one.line)) << text;
    EXPECT_FALSE(holds(text, "<redacted>")) << text;
    EXPECT_TRUE(load_text(text, "printed").ok()) << text;
  }
}

TEST(LoadSecrets, TlsAndRedirectsArePrintedThoughTheirWordsCameFromOutside) {
  ::setenv("REVPROXYD_TEST_WORD", "https", 1);
  const LoadResult loaded = load_text(
      with_secret("listeners:\n  - { address: ':1', redirect: '${env:REVPROXYD_TEST_WORD}' }\n"
                  "  - { address: ':2', tls: '%' }\n" +
                      route("to: http://a"),
                  "internal"),
      "x");
  ASSERT_TRUE(loaded.ok()) << loaded.report.text();
  const std::string text = printed(loaded);
  EXPECT_TRUE(holds(text, "redirect: https\n")) << text;
  EXPECT_TRUE(holds(text, "tls: internal\n")) << text;
}

TEST(LoadSecrets, KeysOfOursArePrintedThoughASecretIsTheSame) {
  for (const char* word : {"name", "host", "routes", "path", "to", "status"}) {
    const LoadResult loaded = load_text(
        with_secret(std::string(kListener) +
                        route("headers: { request: { set: { X-Stage: '%' } } }, to: http://a"),
                    word),
        "x");
    ASSERT_TRUE(loaded.ok()) << loaded.report.text();
    const std::string text = printed(loaded);
    const std::size_t at = text.find("<redacted>");
    ASSERT_NE(at, std::string::npos) << text;
    EXPECT_EQ(text.substr(at - 9, 19), "X-Stage: <redacted>") << text;
    EXPECT_EQ(text.find("<redacted>", at + 1), std::string::npos) << text;
    EXPECT_TRUE(load_text(text, "printed").ok()) << text;
  }
}

// It may have been put there by what wrote the file.
TEST(LoadSecrets, ANameThatIsASecretIsHidden) {
  const LoadResult loaded = load_text(
      with_secret(std::string(kListener) +
                      "upstreams: { hunter2: { servers: [ { url: http://a } ] "
                      "} }\n" +
                      route("headers: { response: { set: { hunter2: a }, add: { hunter2: b } } }, "
                            "match: { cookie: { hunter2: c } }, to: '%'"),
                  "hunter2"),
      "x");
  ASSERT_FALSE(holds(printed(loaded), "hunter2")) << printed(loaded);
}

}  // namespace
}  // namespace revproxyd::app

// What is spoken: on listeners, to servers, and by their checks.

#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "tests/unit/app/loading.h"

namespace revproxyd::app {
namespace {

using namespace test;

TEST(LoadProtocols, OffersBothProtocolsUnlessTold) {
  const auto spoken = [](const std::string& keys) {
    const Settings s =
        good("listeners: [ { address: \":80\"" + keys + " } ]\n" + route("to: http://a"));
    const Settings again = good(print_effective(s));
    EXPECT_EQ(s.listeners, again.listeners);
    return std::pair(s.listeners[0].http2, s.listeners[0].http1);
  };
  EXPECT_EQ(spoken(""), std::pair(true, true));
  EXPECT_EQ(spoken(", protocols: [h2, http/1.1]"), std::pair(true, true));
  EXPECT_EQ(spoken(", protocols: [http/1.1, h2]"), std::pair(true, true));
  EXPECT_EQ(spoken(", protocols: [http/1.1]"), std::pair(false, true));
  EXPECT_EQ(spoken(", protocols: [h2]"), std::pair(true, false));
}

TEST(LoadProtocols, PrintsTheProtocolsThatAreSpoken) {
  const auto printed = [](const std::string& protocols) {
    return print_effective(good("listeners: [ { address: \":80\", protocols: " + protocols +
                                " } ]\n" + route("to: http://a")));
  };
  EXPECT_TRUE(holds(printed("[http/1.1, h2]"), "protocols: [h2, http/1.1]"));
  EXPECT_TRUE(holds(printed("[h2]"), "protocols: [h2]"));
}

TEST(LoadProtocols, RefusesListsOfProtocolsThatSayNothingOrTooMuch) {
  const auto report = [](const std::string& protocols) {
    const LoadResult result =
        load_text("listeners: [ { address: \":80\", protocols: " + protocols + " } ]\n", "x");
    EXPECT_FALSE(result.ok()) << protocols;
    return result.report.text();
  };
  EXPECT_TRUE(holds(report("[]"), "an empty list of protocols"));
  EXPECT_TRUE(holds(report("[h2, h2]"), "a protocol is listed twice"));
  EXPECT_TRUE(
      holds(report("[h2, h3]"), "'h3' for protocols of listener is not supported by this version"));
  EXPECT_TRUE(holds(report("[http/1.0]"), "did you mean 'http/1.1'?"));
  EXPECT_TRUE(holds(report("[spdy]"), "expected h2 or http/1.1"));
  EXPECT_TRUE(holds(report("h2"), "a list of protocols"));
}

TEST(LoadProtocols, AProtocolOfAListenerMayComeFromElsewhere) {
  const std::string schema = json_schema();
  const std::size_t begin = schema.find("\"protocols\": {");
  const std::string protocols = schema.substr(begin, schema.find("\"redirect\"", begin) - begin);
  EXPECT_TRUE(holds(protocols, "#/definitions/expansion")) << protocols;
}

TEST(LoadProtocols, ReadsTheLimitsOfHttp2) {
  const Settings plain = good(std::string(kListener));
  EXPECT_EQ(plain.limits.h2_streams, 100U);
  EXPECT_EQ(plain.limits.h2_resets, (Rate{100, Duration(10000)}));
  const Settings s = good(
      "limits: { h2_streams: 7, h2_resets: 0 }\n"
      "listeners: [ { address: \":1\" }, { address: \":2\", limits: { h2_resets: 5/m } } ]\n");
  EXPECT_EQ(s.listeners[0].limits.h2_streams, 7U);
  EXPECT_EQ(s.listeners[0].limits.h2_resets.count, 0U);
  EXPECT_EQ(s.listeners[1].limits.h2_streams, 7U);
  EXPECT_EQ(s.listeners[1].limits.h2_resets, (Rate{5, Duration(60000)}));
  for (const char* bad :
       {"h2_streams: 0", "h2_streams: 10001", "h2_resets: 100", "h2_resets: 5/0s"})
    refusal("limits: { " + std::string(bad) + " }\n");
}

/// The report on an upstream with these keys; empty when nothing is wrong.
std::string upstream_report(const std::string& keys) {
  return load_text(std::string(kListener) + "upstreams: { a: { " + keys + " } }\n" + route("to: a"),
                   "x")
      .report.text();
}

TEST(LoadProtocols, TakesProtocolsThatFitTheServers) {
  for (const char* keys :
       {"servers: [ { url: http://a } ]", "servers: [ { url: http://a } ], protocol: http/1.1",
        "servers: [ { url: h2c://a } ]", "servers: [ { url: h2c://a } ], protocol: h2",
        "servers: [ { url: https://a } ], protocol: h2",
        "servers: [ { url: https://a } ], protocol: http/1.1",
        "servers: [ { url: unix:/run/a } ], protocol: http/1.1",
        "servers: [ { url: h2c://a }, { url: http://b } ]"})
    EXPECT_EQ(upstream_report(keys), "") << keys;
  const Settings s = good(std::string(kListener) +
                          "upstreams: { a: { servers: [ { url: https://a } ], protocol: h2 } }\n" +
                          route("to: a"));
  EXPECT_EQ(s.upstreams[0].protocol, upstream::Protocol::http2);
  EXPECT_EQ(good(print_effective(s)).upstreams, s.upstreams);
}

TEST(LoadProtocols, RefusesProtocolsThatTheServersCannotHave) {
  EXPECT_TRUE(holds(upstream_report("servers: [ { url: http://a:81 } ], protocol: h2"),
                    "write h2c://a:81"));
  EXPECT_TRUE(
      holds(upstream_report("servers: [ { url: https://b }, { url: http://a } ], protocol: h2"),
            "write h2c://a"));
  EXPECT_TRUE(holds(upstream_report("servers: [ { url: unix:/run/a } ], protocol: h2"),
                    "cannot be spoken to by 'protocol: h2'"));
  EXPECT_TRUE(holds(upstream_report("servers: [ { url: h2c://a } ], protocol: http/1.1"),
                    "write http://a"));
  EXPECT_TRUE(holds(upstream_report("servers: [ { url: https://a } ], protocol: h3"),
                    "unknown value 'h3' for"));
}

TEST(LoadProtocols, RefusesSchemesMixedInOneList) {
  EXPECT_TRUE(holds(refusal(route("to: [http://a, h2c://b]")), "http and h2c in one list of URLs"));
  EXPECT_TRUE(holds(refusal(route("to: [h2c://a, https://b]")), "h2c and https in one list"));
  EXPECT_TRUE(holds(refusal(route("to: [h2c://a, 'unix:/run/b']")), "h2c and http in one list"));
  EXPECT_EQ(
      good(std::string(kListener) + route("to: [h2c://a, h2c://b]")).upstreams[0].servers.size(),
      2U);
  good(std::string(kListener) + route("to: [http://a, 'unix:/run/b']"));
}

TEST(LoadProtocols, ReadsAGrpcCheck) {
  const Settings s = good(std::string(kListener) +
                          "upstreams: { a: { servers: [ { url: h2c://a } ], health_check: { type: "
                          "grpc, service: shop.Cart, host: cart } } }\n" +
                          route("to: a"));
  EXPECT_EQ(s.upstreams[0].health_check->type, upstream::HealthType::grpc);
  EXPECT_EQ(s.upstreams[0].health_check->service, "shop.Cart");
  EXPECT_EQ(s.upstreams[0].health_check->host, "cart");
  EXPECT_EQ(good(print_effective(s)).upstreams, s.upstreams);
  EXPECT_EQ(upstream_report("servers: [ { url: https://a } ], health_check: { type: grpc }"), "");
}

TEST(LoadProtocols, RefusesAGrpcCheckThatCannotWork) {
  const std::string h2c = "servers: [ { url: h2c://a } ], health_check: { type: grpc, ";
  EXPECT_TRUE(holds(upstream_report(h2c + "path: /x }"), "'path' is for checks of type http only"));
  EXPECT_TRUE(
      holds(upstream_report(h2c + "expect: 200 }"), "'expect' is for checks of type http only"));
  EXPECT_TRUE(holds(upstream_report("servers: [ { url: h2c://a } ], health_check: { service: x }"),
                    "'service' is for checks of type grpc only"));
  EXPECT_TRUE(
      holds(upstream_report("servers: [ { url: http://a } ], health_check: { type: tcp, host: x }"),
            "'host' is for checks of type http and grpc only"));
  EXPECT_TRUE(holds(upstream_report("servers: [ { url: http://a } ], health_check: { type: grpc }"),
                    "write h2c://a"));
  EXPECT_TRUE(
      holds(upstream_report("servers: [ { url: 'unix:/run/a' } ], health_check: { type: grpc }"),
            "that is HTTP/2"));
  EXPECT_TRUE(holds(upstream_report("servers: [ { url: https://a } ], protocol: http/1.1, "
                                    "health_check: { type: grpc }"),
                    "write auto or h2"));
}

}  // namespace
}  // namespace revproxyd::app

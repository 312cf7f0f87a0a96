// What the proxy adds to, takes from and believes of the fields it forwards (RFC 9110 sections 7.6
// and 7.8, RFC 7239).

#include <array>

#include <gtest/gtest.h>

#include "tests/support/h2_upstream.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kTrust = "trusted_proxies: [ 127.0.0.1 ]\n";

// The request as the server got it.
Request forwarded(const Proxy& proxy, std::string_view fields) {
  EXPECT_EQ(proxy.get("/", fields).status, 200);
  return proxy.origin.request(proxy.origin.request_count() - 1);
}

}  // namespace

TEST(ForwardingFields, TellTheServerWhoAsks) {
  const Proxy proxy;
  const Request request = forwarded(proxy, "");
  EXPECT_EQ(request.field("X-Forwarded-For"), "127.0.0.1");
  EXPECT_EQ(request.field("X-Forwarded-Proto"), "http");
  EXPECT_EQ(request.field("X-Forwarded-Host"), "test");
  EXPECT_EQ(request.field("X-Forwarded-Port"), std::to_string(proxy.daemon.port()));
  EXPECT_EQ(request.field("X-Real-IP"), "127.0.0.1");
  EXPECT_TRUE(request.field("Via").starts_with("1.1 "));
  EXPECT_FALSE(request.field("X-Request-Id").empty());
  EXPECT_FALSE(request.has("Forwarded"));
}

TEST(ForwardingFields, ReplaceWhatAnUntrustedPeerClaims) {
  const Proxy proxy;
  const Request request =
      forwarded(proxy,
                "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: "
                "evil\r\nX-Forwarded-Port: 1\r\n"
                "X-Real-IP: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\nX-Request-Id: forged\r\n");
  EXPECT_EQ(request.field("X-Forwarded-For"), "127.0.0.1");
  EXPECT_EQ(request.field("X-Forwarded-Proto"), "http");
  EXPECT_EQ(request.field("X-Forwarded-Host"), "test");
  EXPECT_EQ(request.field("X-Forwarded-Port"), std::to_string(proxy.daemon.port()));
  EXPECT_EQ(request.field("X-Real-IP"), "127.0.0.1");
  EXPECT_FALSE(request.has("Forwarded"));
  EXPECT_EQ(request.count("X-Request-Id"), 1U);
  EXPECT_NE(request.field("X-Request-Id"), "forged");
}

TEST(ForwardingFields, KeepAndAppendToWhatATrustedPeerSays) {
  const Proxy proxy(kTrust);
  const Request request =
      forwarded(proxy,
                "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: "
                "shop.example\r\nX-Forwarded-Port: 443\r\n"
                "X-Request-Id: given\r\n");
  EXPECT_EQ(request.field("X-Forwarded-For"), "203.0.113.9, 127.0.0.1");
  EXPECT_EQ(request.field("X-Forwarded-Proto"), "https");
  EXPECT_EQ(request.field("X-Forwarded-Host"), "shop.example");
  EXPECT_EQ(request.field("X-Forwarded-Port"), "443");
  EXPECT_EQ(request.field("X-Real-IP"), "203.0.113.9");
  EXPECT_EQ(request.field("X-Request-Id"), "given");
}

TEST(ForwardingFields, FindTheClientFromRightToLeft) {
  const Proxy proxy("trusted_proxies: [ 127.0.0.1, 10.0.0.0/8 ]\n");
  const Request request =
      forwarded(proxy, "X-Forwarded-For: 192.0.2.66, 203.0.113.9, 10.1.2.3\r\n");
  EXPECT_EQ(request.field("X-Real-IP"), "203.0.113.9");
  EXPECT_EQ(proxy.daemon.wait_access_of("/").text("client"), "203.0.113.9");
}

TEST(ForwardingFields, FindTheClientOverSeveralFieldLines) {
  const Proxy proxy("trusted_proxies: [ 127.0.0.1, 10.0.0.0/8 ]\n");
  const Request request =
      forwarded(proxy, "X-Forwarded-For: 192.0.2.66\r\nX-Forwarded-For: 203.0.113.9, 10.1.2.3\r\n");
  EXPECT_EQ(request.field("X-Real-IP"), "203.0.113.9");
}

TEST(ForwardingFields, StopAtWhatIsNoAddress) {
  const Proxy proxy("trusted_proxies: [ 127.0.0.1, 10.0.0.0/8 ]\n");
  const Request request = forwarded(proxy, "X-Forwarded-For: 203.0.113.9, unknown, 10.1.2.3\r\n");
  EXPECT_NE(request.field("X-Real-IP"), "203.0.113.9");
}

TEST(ForwardingFields, AreAllTakenFromAClientThatIsNotTrusted) {
  const std::string_view fields =
      "X-Forwarded-Prefix: /x\r\nX-Forwarded-Ssl: on\r\nx-forwarded-server: a\r\nX-Other: kept\r\n";
  const Request request = forwarded(Proxy(), fields);
  for (const char* name : {"X-Forwarded-Prefix", "X-Forwarded-Ssl", "X-Forwarded-Server"})
    EXPECT_FALSE(request.has(name)) << name;
  EXPECT_EQ(request.field("X-Other"), "kept");
  EXPECT_EQ(
      forwarded(Proxy("trusted_proxies: [ 127.0.0.1 ]\n"), fields).field("X-Forwarded-Prefix"),
      "/x");
}

// A peer on a UNIX socket has no address that anybody could be told (RFC 7239 section 6).
TEST(ForwardingFields, NameNoAddressForAUnixSocket) {
  const TempDir directory;
  const std::string path = directory.file("proxy.sock");
  const Origin origin;
  const Daemon daemon("forwarded: true\nlisteners: [ { name: web, address: 'unix:" + path +
                      "' } ]\nroutes: [ { to: '" + origin.url() + "' } ]\n");
  RawClient client = RawClient::unix_socket(path);
  EXPECT_EQ(client.get("/", "X-Forwarded-For: 192.0.2.1\r\nX-Real-IP: 192.0.2.1\r\n").status, 200);
  const Request request = origin.request();
  for (const char* name : {"X-Forwarded-For", "X-Forwarded-Port", "X-Real-IP"})
    EXPECT_FALSE(request.has(name)) << name;
  EXPECT_TRUE(request.field("Forwarded").starts_with("for=unknown;")) << request.field("Forwarded");
}

TEST(ForwardingFields, SendForwardedWhenItIsAskedFor) {
  const Proxy proxy("forwarded: true\n");
  const std::string value = forwarded(proxy, "Forwarded: for=203.0.113.9\r\n").field("Forwarded");
  EXPECT_NE(value.find("for=127.0.0.1"), std::string::npos) << value;
  EXPECT_NE(value.find("proto=http"), std::string::npos) << value;
  EXPECT_TRUE(value.find("host=test") != std::string::npos ||
              value.find("host=\"test\"") != std::string::npos)
      << value;
  EXPECT_EQ(value.find("203.0.113.9"), std::string::npos) << value;
}

TEST(ForwardingFields, AppendToViaOnRequestsOnly) {
  const Proxy proxy([](OriginExchange& exchange) { exchange.respond("ok"); });
  const Response response = proxy.get("/", "Via: 1.0 fred\r\n");
  EXPECT_TRUE(proxy.origin.request().field("Via").starts_with("1.0 fred, 1.1 "));
  EXPECT_FALSE(response.has("Via"));
}

TEST(ForwardingFields, NameTheVersionThatWasReceivedInVia) {
  // Of the client, not of the server: RFC 9110 section 7.6.3.
  const Proxy to_http1;
  H2Origin server;
  const Daemon to_http2(forward_to(server.url()));
  for (const Daemon* daemon : {&to_http1.daemon, &to_http2}) {
    for (const char* version : {"1.0", "1.1"}) {
      RawClient client(daemon->port());
      client.send("GET / HTTP/" + std::string(version) + "\r\nHost: test\r\n\r\n");
      EXPECT_EQ(client.response().status, 200);
    }
    EXPECT_EQ(H2Client(daemon->port()).get("/").status(), 200);
  }
  for (std::size_t i = 0; i < 3; ++i) {
    const std::string expected = std::array{"1.0", "1.1", "2.0"}.at(i) + std::string(" revproxyd");
    EXPECT_EQ(to_http1.origin.request(i).field("Via"), expected);
    EXPECT_EQ(server.request(i).field("via"), expected);
  }
}

TEST(ForwardingFields, GiveEachRequestAnIdOfItsOwn) {
  const Proxy proxy;
  const std::string first = forwarded(proxy, "").field("X-Request-Id");
  const std::string second = forwarded(proxy, "").field("X-Request-Id");
  EXPECT_NE(first, second);
  EXPECT_TRUE(
      proxy.daemon.wait_access([&](const AccessEntry& entry) { return entry.text("id") == second; })
          .has("ts"));
}

TEST(ForwardingFields, RemoveWhatEndsAtThisHopFromRequests) {
  const Proxy proxy;
  const Request request =
      forwarded(proxy,
                "Connection: X-Secret, keep-alive\r\nX-Secret: 1\r\nKeep-Alive: "
                "timeout=5\r\nProxy-Connection: keep-alive\r\n"
                "Proxy-Authorization: Basic x\r\nTE: gzip\r\nProxy: http://evil\r\nX-Kept: 1\r\n");
  for (const char* name : {"X-Secret", "Keep-Alive", "Proxy-Connection", "TE", "Proxy"})
    EXPECT_FALSE(request.has(name)) << name;
  EXPECT_EQ(request.field("Connection").find("X-Secret"), std::string::npos);
  EXPECT_EQ(request.field("X-Kept"), "1");
}

TEST(ForwardingFields, RemoveWhatEndsAtThisHopFromAnswers) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.respond("ok", 200,
                     "Connection: X-Secret\r\nX-Secret: 1\r\nKeep-Alive: "
                     "timeout=5\r\nProxy-Connection: x\r\nX-Kept: 1\r\n");
  });
  const Response response = proxy.get();
  for (const char* name : {"X-Secret", "Keep-Alive", "Proxy-Connection"})
    EXPECT_FALSE(response.has(name)) << name;
  EXPECT_EQ(response.field("X-Kept"), "1");
}

TEST(ForwardingFields, CannotBeTakenAwayByConnection) {
  const Proxy proxy;
  const Request request = forwarded(
      proxy,
      "Connection: X-Forwarded-For, X-Real-IP, X-Forwarded-Proto, Host, Via, X-Request-Id\r\n");
  for (const char* name :
       {"X-Forwarded-For", "X-Real-IP", "X-Forwarded-Proto", "Host", "Via", "X-Request-Id"}) {
    EXPECT_TRUE(request.has(name)) << name;
  }
}

TEST(ForwardingFields, KeepTheClientsHostByDefault) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: Shop.Example:8080\r\n\r\n");
  EXPECT_EQ(client.response().status, 200);
  EXPECT_EQ(proxy.origin.request().field("Host"), "Shop.Example:8080");
}

TEST(ForwardingFields, SendTheServersHostWhenItIsAskedFor) {
  const Origin origin;
  const Daemon daemon(balance_over({origin.url()}, "host_header: upstream"));
  EXPECT_EQ(fetch(daemon.port()).status, 200);
  EXPECT_EQ(origin.request().field("Host"), origin.address());
  EXPECT_EQ(origin.request().field("X-Forwarded-Host"), "test");
}

TEST(ForwardingFields, SendAChosenHostAndTheRoutesBeforeTheUpstreams) {
  const Origin origin;
  const Daemon daemon(std::string(kPlainListener) + "upstreams: { app: { servers: [ { url: '" +
                      origin.url() +
                      "' } ], host_header: one.example } }\nroutes:\n  - { path: /two, "
                      "host_header: two.example, to: app }\n  - { to: app }\n");
  EXPECT_EQ(fetch(daemon.port(), "/one").status, 200);
  EXPECT_EQ(fetch(daemon.port(), "/two").status, 200);
  EXPECT_EQ(origin.request(0).field("Host"), "one.example");
  EXPECT_EQ(origin.request(1).field("Host"), "two.example");
}

TEST(ForwardingFields, OpenNoRouteOnTheWordOfAnUntrustedPeer) {
  for (const std::string name :
       {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-user", "x-real-ip", "forwarded"}) {
    SCOPED_TRACE(name);
    const std::string config =
        std::string(kPlainListener) + "routes:\n  - { name: claimed, match: { header: { " + name +
        ": '~secret' } }, respond: { body: claimed } }\n  - { name: plain, match: { header: { " +
        name + ": false } }, respond: { body: plain } }\n";
    const std::string claim = name + ": secret\r\n";
    Daemon daemon(config);
    EXPECT_EQ(fetch(daemon.port(), "/", claim).body, "plain");
    EXPECT_EQ(fetch(daemon.port(), "/", "X-Other: secret\r\n").body, "plain");
    H2Client client(daemon.port());
    EXPECT_EQ(client.get("/", {{name, "secret"}}).body, "plain");
    ASSERT_TRUE(daemon.reload(std::string(kTrust) + config));
    EXPECT_EQ(fetch(daemon.port(), "/", claim).body, "claimed");
  }
}

TEST(ForwardingFields, CannotBeHiddenBehindManyFieldLines) {
  const Proxy proxy("trusted_proxies: [ 127.0.0.1, 10.0.0.0/8 ]\n");
  std::string fields;
  for (int i = 0; i < 20; ++i) fields += "X-Forwarded-For: 192.0.2.66\r\n";
  const Request request = forwarded(proxy, fields + "X-Forwarded-For: 203.0.113.9\r\n");
  EXPECT_EQ(request.field("X-Real-IP"), "203.0.113.9");
}

}  // namespace revproxyd::testing

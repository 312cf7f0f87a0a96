// The PROXY protocol, versions 1 and 2: from listed peers, and to servers.

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

using namespace std::string_literals;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

std::string listener(const std::string& from, const std::string& more = "") {
  return "listeners: [ { name: web, address: '127.0.0.1:0', proxy_protocol: { from: [" + from +
         "] }" + more + " } ]\n";
}

/// A daemon that expects the header from 127.0.0.1, before an origin.
struct Behind {
  explicit Behind(const std::string& from = "127.0.0.1", const std::string& more = "")
      : daemon(listener(from, more) + "routes: [ { to: '" + origin.url() + "' } ]\n") {}

  /// The client that the server is told of.
  std::string client_after(const std::string& header) const {
    RawClient client(daemon.port());
    client.send(header + std::string(kGet));
    EXPECT_EQ(client.response().status, 200);
    return origin.request(origin.request_count() - 1).field("X-Real-IP");
  }

  Origin origin;
  Daemon daemon;
};

// 203.0.113.9:1234 to 192.0.2.1:443, with TLVs behind.
std::string version_two(const std::string& tlv = {}) {
  const auto size = static_cast<char>(12 + tlv.size());
  return kSignature + "\x21\x11\0"s + size + "\xcb\x00\x71\x09\xc0\x00\x02\x01\x04\xd2\x01\xbb"s +
         tlv;
}

// What a server got in front of the request.
std::string sent_to_server(const std::string& version) {
  OriginOptions options;
  options.raw = true;
  Origin origin(
      [](OriginExchange& exchange) {
        exchange.reader().until("\r\n\r\n");
        if (exchange.reader().has_buffered()) exchange.reader().until("Host");
        exchange.send(response_text("ok"));
        exchange.close();
      },
      options);
  const Daemon daemon(balance_over({origin.url()}, "proxy_protocol: " + version));
  EXPECT_EQ(RawClient::from("127.0.0.5", daemon.port()).get("/").status, 200);
  return origin.received().front();
}

}  // namespace

TEST(ProxyProtocol, VersionOneNamesTheClient) {
  const Behind behind;
  EXPECT_EQ(behind.client_after("PROXY TCP4 203.0.113.9 192.0.2.1 1234 443\r\n"), "203.0.113.9");
  EXPECT_EQ(behind.client_after("PROXY TCP6 2001:db8::9 2001:db8::1 1234 443\r\n"), "2001:db8::9");
  EXPECT_EQ(behind.client_after("PROXY UNKNOWN\r\n"), "127.0.0.1");
}

TEST(ProxyProtocol, VersionTwoNamesTheClient) {
  const Behind behind;
  EXPECT_EQ(behind.client_after(version_two()), "203.0.113.9");
  EXPECT_EQ(behind.client_after(version_two("\x04\x00\x02xx"s)), "203.0.113.9");
  const std::string local = kSignature + "\x20\x00\x00\x00"s;
  EXPECT_EQ(behind.client_after(local), "127.0.0.1");
}

TEST(ProxyProtocol, TakesAHeaderThatComesInPieces) {
  const Behind behind;
  RawClient client(behind.daemon.port());
  for (const char byte : version_two()) client.send(std::string_view(&byte, 1));
  client.send(kGet);
  EXPECT_EQ(client.response().status, 200);
  EXPECT_EQ(behind.origin.request().field("X-Forwarded-For"), "203.0.113.9");
}

TEST(ProxyProtocol, IsRequiredFromListedPeers) {
  const Behind behind;
  for (const std::string& bytes :
       {std::string(kGet), "PROXY TCP4 nonsense\r\n"s + std::string(kGet),
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n"s,
        kSignature + "\x31\x11\x00\x0c"s + std::string(12, '\0')}) {
    RawClient client(behind.daemon.port());
    client.send(bytes);
    EXPECT_EQ(client.last_words().find("200 OK"), std::string::npos);
  }
  EXPECT_EQ(behind.origin.request_count(), 0U);
}

TEST(ProxyProtocol, IsNeverParsedFromOthers) {
  const Behind behind("10.0.0.0/8");
  RawClient client(behind.daemon.port());
  client.send("PROXY TCP4 203.0.113.9 192.0.2.1 1234 443\r\n" + std::string(kGet));
  EXPECT_EQ(client.response().status, 400);
  EXPECT_EQ(fetch(behind.daemon.port()).status, 200);
  EXPECT_EQ(behind.origin.request().field("X-Real-IP"), "127.0.0.1");
}

TEST(ProxyProtocol, StandsBeforeTheTlsHandshake) {
  const Behind behind("127.0.0.1", ", tls: internal");
  RawClient client = RawClient::tls_after(behind.daemon.port(), version_two(), ClientTls{});
  EXPECT_EQ(client.get("/").status, 200);
  EXPECT_EQ(behind.origin.request().field("X-Real-IP"), "203.0.113.9");
}

TEST(ProxyProtocol, MustComeInTime) {
  const Behind behind("127.0.0.1", ", timeouts: { handshake: 400ms }");
  RawClient client(behind.daemon.port());
  client.send("PROXY TCP4 203");
  EXPECT_EQ(client.last_words(Milliseconds(5000)).find("200 OK"), std::string::npos);
  EXPECT_EQ(behind.origin.request_count(), 0U);
  EXPECT_TRUE(wait_until([&] {
    return behind.daemon.ctl("stats").out.find("\"handshake_timeout\":1") != std::string::npos;
  }));
}

TEST(ProxyProtocol, VersionOneGoesToServers) {
  EXPECT_TRUE(sent_to_server("v1").starts_with("PROXY TCP4 127.0.0.5 127.0.0.1 "))
      << sent_to_server("v1");
}

TEST(ProxyProtocol, VersionTwoGoesToServers) {
  const std::string sent = sent_to_server("v2");
  ASSERT_GE(sent.size(), 28U);
  EXPECT_EQ(sent.substr(0, 12), kSignature);
  EXPECT_EQ(sent.substr(12, 2), "\x21\x11"s);
  EXPECT_EQ(sent.substr(16, 8), "\x7f\x00\x00\x05\x7f\x00\x00\x01"s);
}

TEST(ProxyProtocol, ConnectionsToServersAreNotSharedBetweenClients) {
  OriginOptions options;
  options.raw = true;
  Origin raw(
      [](OriginExchange& exchange) {
        const std::string header = exchange.reader().until("\r\n");
        for (;;) {
          exchange.reader().until("\r\n\r\n");
          exchange.send(response_text(header.substr(0, 20)));
        }
      },
      options);
  const Daemon daemon(balance_over({raw.url()}, "proxy_protocol: v1", "workers: 1\n"));
  EXPECT_EQ(RawClient::from("127.0.0.5", daemon.port()).get("/").body, "PROXY TCP4 127.0.0.5");
  EXPECT_EQ(RawClient::from("127.0.0.6", daemon.port()).get("/").body, "PROXY TCP4 127.0.0.6");
  EXPECT_EQ(RawClient::from("127.0.0.5", daemon.port()).get("/").body, "PROXY TCP4 127.0.0.5");
}

TEST(ProxyProtocol, GoesToServersWithHealthChecksToo) {
  OriginOptions options;
  options.raw = true;
  const Origin origin(
      [](OriginExchange& exchange) {
        const std::string first = exchange.reader().until("\r\n");
        exchange.reader().until("\r\n\r\n");
        exchange.send(response_text("", first.starts_with("PROXY ") ? 200 : 400));
        exchange.close();
      },
      options);
  const Daemon daemon(balance_over(
      {origin.url()},
      "proxy_protocol: v1, health_check: { interval: 100ms, rise: 1, fall: 1, expect: 200 }"));
  ASSERT_TRUE(wait_until([&] { return origin.connections() >= 4; }));
  EXPECT_EQ(fetch(daemon.port()).status, 200);
}

}  // namespace revproxyd::testing

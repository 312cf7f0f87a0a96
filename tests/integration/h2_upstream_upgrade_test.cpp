// Upgrades to a server that speaks HTTP/1.1 and HTTP/2 by ALPN: they need a connection of HTTP/1.1.

#include <string>

#include <gtest/gtest.h>

#include "tests/support/h2_proxy.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

// Switches, and echoes until the other side ends.
void switch_and_echo(OriginExchange& exchange) {
  if (!exchange.request().has("Upgrade")) return exchange.respond("plain");
  exchange.send(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Accept: x\r\n\r\n");
  for (;;) {
    const std::string bytes = exchange.reader().has_buffered() ? exchange.reader().take_buffered()
                                                               : exchange.stream().receive();
    if (bytes.empty()) break;
    exchange.send(bytes);
  }
  exchange.close();
}

/// A daemon in front of one that offers both versions.
struct Chain {
  explicit Chain(std::string_view server = {})
      : behind(switch_and_echo),
        front(std::string(kPlainListener) +
              "workers: 1\nroutes: [ { to: app } ]\nupstreams: { app: { servers: [ { url: "
              "'https://127.0.0.1:" +
              std::to_string(behind.daemon.port("tls")) + "'" + std::string(server) +
              " } ], tls: { insecure_skip_verify: true } } }\n") {}

  H2Proxy behind;
  Daemon front;
};

constexpr std::string_view kHandshake =
    "GET /chat HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

}  // namespace

TEST(H2UpstreamUpgrade, IsMadeOverHttp11BesideRequestsOverHttp2) {
  Chain chain;
  EXPECT_EQ(fetch(chain.front.port()).body, "plain");
  RawClient client(chain.front.port());
  client.send(std::string(kHandshake) + "early");
  EXPECT_EQ(client.response().status, 101);
  EXPECT_EQ(client.bytes(5), "early");
  client.send("later");
  EXPECT_EQ(client.bytes(5), "later");
  // The others still share their connection.
  EXPECT_EQ(fetch(chain.front.port()).body, "plain");
}

TEST(H2UpstreamUpgrade, IsMadeForClientsOfHttp2) {
  Chain chain;
  EXPECT_EQ(fetch(chain.front.port()).body, "plain");
  H2Client client(chain.front.port());
  const std::uint32_t stream =
      client.open(client.fields("CONNECT", "/chat",
                                {{":protocol", "websocket"}, {"sec-websocket-version", "13"}}),
                  false);
  EXPECT_EQ(client.response_head(stream).status(), 200);
  client.send_body(stream, "bytes", false);
  EXPECT_TRUE(client.read_until(
      [&](const H2State& state) { return state.message(stream).body == "bytes"; }));
}

TEST(H2UpstreamUpgrade, TakesThePlaceOfAnIdleConnection) {
  Chain chain(", max_connections: 1");
  EXPECT_EQ(fetch(chain.front.port()).body, "plain");
  RawClient client(chain.front.port());
  client.send(kHandshake);
  EXPECT_EQ(client.response().status, 101);
}

}  // namespace revproxyd::testing

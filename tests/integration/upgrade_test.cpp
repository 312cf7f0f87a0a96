// Upgrade tunnels (RFC 9110 section 7.8).

#include <thread>

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kHandshake =
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: "
    "websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n";
constexpr std::string_view kSwitch =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

// Echoes after the switch, until the other side ends.
void echo(OriginExchange& exchange) {
  exchange.send(kSwitch);
  for (;;) {
    const std::string bytes =
        exchange.reader().has_buffered() ? exchange.reader().bytes(1) : exchange.stream().receive();
    if (bytes.empty()) break;
    exchange.send(bytes);
  }
  exchange.close();
}

}  // namespace

TEST(Upgrade, CarriesBytesBothWays) {
  const Proxy proxy(echo);
  RawClient client = proxy.connect();
  client.send(kHandshake);
  const Response response = client.response();
  EXPECT_EQ(response.status, 101);
  EXPECT_EQ(response.field("Upgrade"), "websocket");
  EXPECT_TRUE(equal_ignoring_case(response.field("Connection"), "upgrade"));
  for (const char* word : {"first", "other", "again"}) {
    client.send(word);
    EXPECT_EQ(client.bytes(5), word);
  }
  EXPECT_TRUE(equal_ignoring_case(proxy.origin.request().field("Connection"), "upgrade"));
  EXPECT_EQ(proxy.origin.request().field("Sec-WebSocket-Key"), "x");
}

TEST(Upgrade, MaySayThatThereIsNoContent) {
  const Proxy proxy(echo);
  RawClient client = proxy.connect();
  const std::string handshake(kHandshake);
  client.send(handshake.substr(0, handshake.size() - 2) + "Content-Length: 0\r\n\r\nearly");
  EXPECT_EQ(client.response().status, 101);
  EXPECT_EQ(client.bytes(5), "early");
}

TEST(Upgrade, ToWhatTheRouteDoesNotAllowLeavesARequestThatSaysItHasNoContent) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send(
      "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
      "Content-Length: 0\r\n\r\n");
  EXPECT_EQ(client.response().status, 200);
  EXPECT_EQ(proxy.origin.request().field("Content-Length"), "0");
  EXPECT_FALSE(proxy.origin.request().has("Upgrade"));
}

TEST(Upgrade, KeepsBytesThatComeWithTheHandshakeOfTheClient) {
  const Proxy proxy(echo);
  RawClient client = proxy.connect();
  client.send(std::string(kHandshake) + "early");
  EXPECT_EQ(client.response().status, 101);
  EXPECT_EQ(client.bytes(5), "early");
}

TEST(Upgrade, KeepsBytesThatComeWithTheAnswerOfTheServer) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send(std::string(kSwitch) + "welcome");
    exchange.peer_closes();
    exchange.close();
  });
  RawClient client = proxy.connect();
  client.send(kHandshake);
  EXPECT_EQ(client.response().status, 101);
  EXPECT_EQ(client.bytes(7), "welcome");
}

TEST(Upgrade, CarriesMuchBothWaysAtOnce) {
  const Proxy proxy(echo);
  RawClient client = proxy.connect();
  client.send(kHandshake);
  EXPECT_EQ(client.response().status, 101);
  const std::string block(64 * 1024, 'b');
  std::jthread sender([&] {
    try {
      for (int i = 0; i < 64; ++i) client.stream().send(block);
    } catch (const Disconnected&) {
      // What is missing is missed by the reader.
    }
  });
  std::size_t got = 0;
  for (int i = 0; i < 64; ++i) got += client.bytes(block.size()).size();
  sender.join();
  EXPECT_EQ(got, 64 * block.size());
}

TEST(Upgrade, EndsBothSidesWhenTheServerEnds) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send(std::string(kSwitch) + "bye");
    exchange.close();
  });
  RawClient client = proxy.connect();
  client.send(kHandshake);
  EXPECT_EQ(client.response().status, 101);
  EXPECT_EQ(client.until_end(), "bye");
}

TEST(Upgrade, EndsBothSidesWhenTheClientLeaves) {
  Gate ended;
  const Proxy proxy([&](OriginExchange& exchange) {
    exchange.send(kSwitch);
    if (exchange.peer_closes()) ended.open();
    exchange.close();
  });
  {
    RawClient client = proxy.connect();
    client.send(kHandshake);
    EXPECT_EQ(client.response().status, 101);
  }
  EXPECT_TRUE(ended.wait());
}

TEST(Upgrade, BringsWhatTheServerSaysToTheClientsEnd) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send(kSwitch);
    std::string heard;
    for (std::string more; !(more = exchange.stream().receive()).empty();) heard += more;
    exchange.send("heard " + heard);
    exchange.close();
  });
  RawClient client = proxy.connect();
  client.send(kHandshake);
  EXPECT_EQ(client.response().status, 101);
  client.send("bye");
  client.stream().half_close();
  EXPECT_EQ(client.until_end(), "heard bye");
}

TEST(Upgrade, EndsWhenTheServerHasNothingToSayToTheClientsEnd) {
  Gate ended;
  const Proxy proxy(
      [&](OriginExchange& exchange) {
        exchange.send(kSwitch);
        ended.wait();
        exchange.close();
      },
      "timeouts: { tunnel: 700ms }\n");
  RawClient client = proxy.connect();
  client.send(kHandshake);
  EXPECT_EQ(client.response().status, 101);
  client.stream().half_close();
  EXPECT_EQ(client.until_end(), "");
  ended.open();
}

TEST(Upgrade, CutsSilentTunnels) {
  Gate ended;
  const Proxy proxy(
      [&](OriginExchange& exchange) {
        exchange.send(kSwitch);
        if (exchange.peer_closes()) ended.open();
        exchange.close();
      },
      "timeouts: { tunnel: 1s }\n");
  RawClient client = proxy.connect();
  client.send(kHandshake);
  EXPECT_EQ(client.response().status, 101);
  EXPECT_TRUE(client.closes());
  EXPECT_TRUE(ended.wait());
  EXPECT_EQ(proxy.daemon.wait_access_why("tunnel_timeout").status(), 101);
}

TEST(Upgrade, KeepsBusyTunnelsBeyondTheOtherTimeouts) {
  const Proxy proxy(
      echo,
      "timeouts: { tunnel: 1500ms, body: 300ms, keepalive: 300ms, header: 300ms, write: 300ms }\n");
  RawClient client = proxy.connect();
  client.send(kHandshake);
  EXPECT_EQ(client.response().status, 101);
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(client.stays_quiet(Milliseconds(700)));
    client.send("x");
    EXPECT_EQ(client.bytes(1), "x");
  }
}

TEST(Upgrade, RelaysTheRefusalOfTheServer) {
  const Proxy proxy([](OriginExchange& exchange) { exchange.respond("no", 403); });
  RawClient client = proxy.connect();
  client.send(kHandshake);
  const Response response = client.response();
  EXPECT_EQ(response.status, 403);
  EXPECT_EQ(response.body, "no");
  EXPECT_EQ(client.get("/").status, 403);
}

TEST(Upgrade, NeverPassesH2c) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.respond(exchange.request().field("Upgrade") +
                     exchange.request().field("HTTP2-Settings"));
  });
  RawClient client = proxy.connect();
  client.send(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: "
      "h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n\r\n");
  const Response response = client.response();
  EXPECT_NE(response.status, 101);
  for (const Request& request : proxy.origin.requests()) {
    EXPECT_FALSE(request.has("Upgrade"));
    EXPECT_FALSE(request.has("HTTP2-Settings"));
  }
}

// RFC 9110 section 7.8: what nobody asked for passes no rule.
TEST(Upgrade, LetsNoServerSwitchToWhatTheClientDidNotOffer) {
  for (const std::string upgrade :
       {"", "Upgrade: h2c\r\n", "Upgrade: irc\r\n", "Upgrade: websocket, h2c\r\n"}) {
    SCOPED_TRACE(upgrade);
    const Proxy proxy([&](OriginExchange& exchange) {
      exchange.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" + upgrade +
                    "\r\nhello");
      exchange.peer_closes();
      exchange.close();
    });
    RawClient client = proxy.connect();
    client.send(kHandshake);
    EXPECT_EQ(client.response().status, 502);
    EXPECT_EQ(proxy.daemon.wait_access_of("/chat").why(), "malformed_response");
  }
}

TEST(Upgrade, MeansTheSameProtocolInAnyCase) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n");
    exchange.send("hello");
    exchange.close();
  });
  RawClient client = proxy.connect();
  client.send(kHandshake);
  EXPECT_EQ(client.response().status, 101);
  EXPECT_EQ(client.until_end(), "hello");
}

TEST(Upgrade, PassesOnlyTheProtocolsOfTheRoute) {
  const Origin origin([](OriginExchange& exchange) {
    if (!exchange.request().has("Upgrade")) return exchange.respond("plain");
    exchange.send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: irc\r\n\r\n");
    exchange.close();
  });
  const Daemon daemon(std::string(kPlainListener) + "routes: [ { upgrade: [irc], to: '" +
                      origin.url() + "' } ]\n");
  RawClient refused(daemon.port());
  refused.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  EXPECT_NE(refused.response().status, 101);
  RawClient taken(daemon.port());
  taken.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: irc\r\n\r\n");
  EXPECT_EQ(taken.response().status, 101);
}

TEST(Upgrade, IsNotForHttp10) {
  // RFC 9110 section 7.8: a server ignores Upgrade in a request of HTTP/1.0.
  const Proxy proxy(answer_ok);
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  EXPECT_EQ(client.response().status, 200);
  EXPECT_FALSE(proxy.origin.request().has("Upgrade"));
}

TEST(Upgrade, CutsTunnelsWhoseClientReadsNothing) {
  Gate cut;
  const Proxy proxy(
      [&](OriginExchange& exchange) {
        exchange.send(kSwitch);
        const std::string block(65536, 'b');
        try {
          for (;;) exchange.send(block);
        } catch (const Disconnected&) {
          cut.open();
        }
        exchange.close();
      },
      "timeouts: { tunnel: 1s, write: 1s }\n");
  RawClient client = RawClient::slow_reader(proxy.daemon.port());
  client.send(kHandshake);
  EXPECT_TRUE(cut.wait(Milliseconds(6000)));
}

TEST(Upgrade, WorksBesideAnExpectation) {
  const Proxy proxy(echo);
  RawClient client = proxy.connect();
  client.send(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nExpect: "
      "100-continue\r\n\r\n");
  Response response = client.response();
  if (response.status == 100) response = client.response();
  EXPECT_EQ(response.status, 101);
  client.send("word");
  EXPECT_EQ(client.bytes(4), "word");
}

}  // namespace revproxyd::testing

// Many clients, odd sizes and rude ends: answers stay whole and with the right client, and nothing
// is left behind.

#include <signal.h>

#include <atomic>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

void echo_body(OriginExchange& exchange) { exchange.respond(exchange.read_body()); }

std::string pattern(std::size_t size, std::size_t seed) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>('a' + (i * 7 + seed) % 26);
  return out;
}

std::string with_length(const std::string& body) {
  return "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

std::string in_chunks(const std::string& body, std::size_t chunk) {
  std::string out = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  char size[20];
  for (std::size_t at = 0; at < body.size(); at += chunk) {
    const std::string part = body.substr(at, chunk);
    std::snprintf(size, sizeof size, "%zx\r\n", part.size());
    out += size + part + "\r\n";
  }
  return out + "0\r\n\r\n";
}

std::string two_listeners(const std::string& to) {
  return "listeners: [ { name: web, address: '127.0.0.1:0' },\n"
         "             { name: tls, address: '127.0.0.1:0', tls: internal } ]\n"
         "routes: [ { to: '" +
         to + "' } ]\n";
}

// One client of many; says how many answers were not its own.
std::size_t wrong_answers(std::uint16_t port, bool tls, std::size_t number) {
  std::mt19937 random(static_cast<std::mt19937::result_type>(number));
  std::size_t wrong = 0;
  RawClient client = tls ? RawClient(port, ClientTls{}) : RawClient(port);
  for (std::size_t i = 0; i < 60; ++i) {
    const std::string body = pattern(random() % 20000, number * 1000 + i);
    client.send(i % 2 == 0 ? with_length(body) : in_chunks(body, 1 + random() % 5000));
    if (client.response().body != body) ++wrong;
  }
  return wrong;
}

}  // namespace

TEST(Robustness, BodiesOfEverySizeAroundTheBuffersStayWhole) {
  const Proxy proxy(echo_body);
  RawClient client = proxy.connect();
  for (const std::size_t around : {0U, 4096U, 8192U, 16384U, 32768U, 65536U, 131072U}) {
    for (const std::size_t size : {around, around + 1, around - (around > 0 ? 1 : 0)}) {
      SCOPED_TRACE(size);
      const std::string body = pattern(size, size);
      client.send(with_length(body));
      EXPECT_TRUE(client.response().body == body);
      client.send(in_chunks(body, 4096));
      EXPECT_TRUE(client.response().body == body);
    }
  }
}

TEST(Robustness, ChunksOfOneByteStayWhole) {
  const Proxy proxy(echo_body);
  RawClient client = proxy.connect();
  const std::string body = pattern(5000, 1);
  client.send(in_chunks(body, 1));
  EXPECT_TRUE(client.response().body == body);
}

TEST(Robustness, AnswersThatComeByteByByteStayWhole) {
  const Proxy proxy([](OriginExchange& exchange) {
    const std::string answer =
        "HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nX-T: "
        "1\r\n\r\n";
    for (const char& byte : answer) exchange.send(std::string_view(&byte, 1));
  });
  RawClient client = proxy.connect();
  for (int i = 0; i < 3; ++i) {
    const Response response = client.get("/");
    EXPECT_EQ(response.body, "abcde");
    EXPECT_EQ(response.field("X-A"), "b");
  }
}

TEST(Robustness, ManyClientsAtOnceGetTheirOwnAnswers) {
  const Origin origin(echo_body);
  const Daemon daemon(two_listeners(origin.url()));
  std::atomic<std::size_t> wrong = 0;
  std::atomic<std::size_t> broken = 0;
  {
    std::vector<std::jthread> clients;
    for (std::size_t number = 0; number < 8; ++number) {
      clients.emplace_back([&, number] {
        try {
          const bool tls = number % 2 == 1;
          wrong += wrong_answers(daemon.port(tls ? "tls" : "web"), tls, number);
        } catch (const std::exception&) {
          ++broken;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0U);
  EXPECT_EQ(broken, 0U);
}

TEST(Robustness, MorePipelinedRequestsThanBuffersHoldAreAllAnswered) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  constexpr int kRequests = 3000;
  std::jthread sender([&] {
    std::string all;
    for (int i = 0; i < kRequests; ++i) all += kGet;
    try {
      client.stream().send(all);
    } catch (const std::exception&) {
      // The reader sees what is missing.
    }
  });
  for (int i = 0; i < kRequests; ++i) ASSERT_EQ(client.response().status, 200) << i;
}

TEST(Robustness, ServersThatCloseAfterEachAnswerAreNotReused) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.respond("ok", 200, "Connection: close\r\n");
    exchange.close();
  });
  RawClient client = proxy.connect();
  for (int i = 0; i < 20; ++i) {
    const Response response = client.get("/");
    EXPECT_EQ(response.status, 200);
    EXPECT_FALSE(equal_ignoring_case(response.field("Connection"), "close"));
  }
  EXPECT_EQ(proxy.origin.connections(), 20U);
}

TEST(Robustness, NothingIsLeftOfClientsAndServersThatBreakOff) {
  std::atomic<int> turn = 0;
  Origin origin([&](OriginExchange& exchange) {
    switch (turn++ % 4) {
      case 0: return exchange.reset();
      case 1: return exchange.close();
      case 2:
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        return exchange.close();
      default: exchange.respond("ok");
    }
  });
  const Daemon daemon(balance_over({origin.url()}, "keepalive: { idle: 200ms }"));
  const auto descriptors = [&] { return daemon.descriptors(); };
  fetch(daemon.port());
  ASSERT_TRUE(wait_until([&] { return origin.open_connections() == 0; }));
  const std::size_t before = descriptors();
  for (int i = 0; i < 60; ++i) {
    RawClient client(daemon.port());
    client.send(kGet);
    if (i % 3 == 0) {
      client.stream().reset();
    } else if (i % 3 == 1) {
      client.stream().readable(kPatience);
    }
  }
  EXPECT_TRUE(wait_until([&] { return descriptors() <= before; }))
      << descriptors() << " of " << before;
}

TEST(Robustness, HandshakesThatBreakOffLeaveNothing) {
  const Daemon daemon(
      "listeners: [ { name: tls, address: '127.0.0.1:0', tls: internal } ]\nroutes: [ { respond: { "
      "body: ok } } ]\n");
  EXPECT_EQ(RawClient(daemon.port(), ClientTls{}).get("/").status, 200);
  const std::size_t before = daemon.descriptors();
  for (int i = 0; i < 60; ++i) {
    RawClient client(daemon.port());
    if (i % 3 > 0)
      client.send(std::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
    if (i % 2 == 0) client.stream().reset();
  }
  EXPECT_TRUE(wait_until([&] { return daemon.descriptors() <= before; }));
  EXPECT_EQ(RawClient(daemon.port(), ClientTls{}).get("/").status, 200);
}

TEST(Robustness, AStormOfSignalsDoesNoHarm) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  for (int i = 0; i < 50; ++i) {
    proxy.daemon.signal(i % 5 == 0 ? SIGUSR1 : SIGHUP);
    EXPECT_EQ(client.get("/").status, 200);
  }
  EXPECT_EQ(proxy.get().status, 200);
}

TEST(Robustness, ReloadsBetweenServersMixNoAnswers) {
  const Origin one("one");
  const Origin two("two");
  Daemon daemon(forward_to(one.url()));
  RawClient kept(daemon.port());
  for (int i = 0; i < 6; ++i) {
    const bool first = i % 2 == 0;
    ASSERT_TRUE(daemon.reload(forward_to(first ? one.url() : two.url())));
    EXPECT_EQ(kept.get("/").body, first ? "one" : "two");
    EXPECT_EQ(fetch(daemon.port()).body, first ? "one" : "two");
  }
}

TEST(Robustness, AnEndBehindTheRequestIsAnEndOfTheClientOnly) {
  // The requests of others on the same worker go on.
  Gate release;
  const Proxy proxy(answer_slow_when(release), "workers: 1\n");
  RawClient waiting = proxy.connect();
  waiting.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(proxy.origin.wait_requests(1));
  for (int i = 0; i < 20; ++i) {
    RawClient rude = proxy.connect();
    rude.send(kGet);
    rude.stream().reset();
  }
  release.open();
  EXPECT_EQ(waiting.response().body, "ok");
}

}  // namespace revproxyd::testing

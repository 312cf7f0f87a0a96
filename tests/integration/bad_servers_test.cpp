// Answers of servers are held to the same rules as requests: 502, never a confused client, never a
// crash.

#include <mutex>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

struct BadAnswer {
  const char* name;
  std::string bytes;
};

std::string ok(std::string_view lines) {
  return "HTTP/1.1 200 OK\r\n" + std::string(lines) + "\r\n";
}

// Each answer, then the end of the connection; the proxy says 502 with `why`, and goes on serving.
void expect_bad_gateway(const std::vector<BadAnswer>& answers, const std::string& why) {
  // Read by the server's threads, which may still be at an earlier answer.
  std::mutex mutex;
  std::string next;
  const auto set_next = [&](std::string bytes) {
    const std::lock_guard lock(mutex);
    next = std::move(bytes);
  };
  const Proxy proxy([&](OriginExchange& exchange) {
    std::string bytes;
    {
      const std::lock_guard lock(mutex);
      bytes = next;
    }
    exchange.send(bytes);
    exchange.close();
  });
  RawClient client = proxy.connect();
  for (const BadAnswer& answer : answers) {
    SCOPED_TRACE(answer.name);
    set_next(answer.bytes);
    const std::string path = "/" + std::to_string(&answer - answers.data());
    try {
      EXPECT_EQ(client.get(path).status, 502);
      EXPECT_EQ(proxy.daemon.wait_access_of(path).why(), why);
    } catch (const std::exception& problem) {
      ADD_FAILURE() << problem.what();
      client = proxy.connect();
    }
  }
  set_next(response_text("fine"));
  EXPECT_EQ(client.get("/fine").body, "fine");
}

// The head is right, the body breaks: the client sees an incomplete answer.
void expect_cut(const std::string& bytes) {
  SCOPED_TRACE(bytes);
  const Proxy proxy([&](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + bytes);
    exchange.peer_closes(Milliseconds(2000));
    exchange.close();
  });
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  try {
    const Response response = client.response();
    EXPECT_EQ(response.status, 502);
  } catch (const Disconnected&) {
    // Cut after the head was relayed.
  }
  EXPECT_EQ(proxy.daemon.wait_access_of("/").why(), "malformed_response");
}

}  // namespace

TEST(BadServers, AmbiguousFramingIsRefused) {
  expect_bad_gateway(
      {
          {"differing lengths", ok("Content-Length: 5\r\nContent-Length: 6\r\n") + "hello"},
          {"repeated length", ok("Content-Length: 5\r\nContent-Length: 5\r\n") + "hello"},
          {"list", ok("Content-Length: 5, 5\r\n") + "hello"},
          {"length and coding",
           ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n"},
          {"negative", ok("Content-Length: -5\r\n") + "hello"},
          {"sign", ok("Content-Length: +5\r\n") + "hello"},
          {"overflow", ok("Content-Length: 99999999999999999999\r\n") + "hello"},
          {"unknown coding", ok("Transfer-Encoding: foo\r\n") + "hello"},
          {"chunked not last", ok("Transfer-Encoding: chunked, gzip\r\n") + "0\r\n\r\n"},
          {"chunked twice", ok("Transfer-Encoding: chunked, chunked\r\n") + "0\r\n\r\n"},
          {"coding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      },
      "malformed_response");
}

TEST(BadServers, BrokenHeadsAreRefused) {
  using namespace std::string_literals;
  expect_bad_gateway(
      {
          {"no HTTP", "SSH-2.0-OpenSSH\r\n\r\n"},
          {"HTTP/0.9", "<html>hello</html>"},
          {"two digits", "HTTP/1.1 20 OK\r\n\r\n"},
          {"four digits", "HTTP/1.1 2000 OK\r\n\r\n"},
          {"letters", "HTTP/1.1 2xx OK\r\n\r\n"},
          {"status below 100", "HTTP/1.1 099 OK\r\n\r\n"},
          {"other version", "HTTP/3.0 200 OK\r\n\r\n"},
          {"HTTP/2 settings", "\0\0\0\4\0\0\0\0\0"s},
          {"folded", ok("X-A: 1\r\n 2\r\nContent-Length: 0\r\n")},
          {"space before the colon", ok("Content-Length : 0\r\n")},
          {"NUL", ok("X-A: \0\r\nContent-Length: 0\r\n"s)},
          {"bare CR", ok("X-A: 1\r2\r\nContent-Length: 0\r\n")},
          {"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"},
          {"no colon", ok("hello\r\n")},
          {"switch that nobody asked for",
           "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
      },
      "malformed_response");
}

TEST(BadServers, TheLogSaysWhatWasWrong) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
    exchange.close();
  });
  EXPECT_EQ(proxy.get().status, 502);
  const std::string line = proxy.daemon.wait_log("malformed_response");
  EXPECT_NE(line.find(proxy.origin.url()), std::string::npos) << line;
  EXPECT_NE(line.find("repeated content-length"), std::string::npos) << line;
}

TEST(BadServers, ConnectionsThatEndBeforeTheHeadAreBadGateways) {
  expect_bad_gateway({{"nothing", ""}, {"half a head", "HTTP/1.1 200 OK\r\nX-A: "}},
                     "end_of_stream");
}

TEST(BadServers, HeadsBeyondTheLimitAreRefused) {
  expect_bad_gateway(
      {{"one field", ok("X-A: " + std::string(70000, 'a') + "\r\nContent-Length: 0\r\n")}},
      "response_header_too_large");
}

TEST(BadServers, EndlessInterimResponsesAreRefused) {
  std::string interim;
  for (int i = 0; i < 40; ++i) interim += "HTTP/1.1 102 Processing\r\n\r\n";
  const Proxy proxy([&](OriginExchange& exchange) {
    exchange.send(interim);
    exchange.peer_closes(Milliseconds(2000));
    exchange.close();
  });
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  int status = 102;
  int seen = 0;
  while (status == 102) {
    status = client.response().status;
    ++seen;
  }
  EXPECT_EQ(status, 502);
  EXPECT_LT(seen, 40);
}

TEST(BadServers, BrokenChunksCutTheAnswer) {
  expect_cut("x\r\n");
  expect_cut("5\r\nhelloX\r\n0\r\n\r\n");
  expect_cut("-1\r\n");
  expect_cut("ffffffffffffffffff\r\na");
  expect_cut("1\na\r\n0\r\n\r\n");
}

TEST(BadServers, BytesBehindAnAnswerAreNeverTheNextAnswer) {
  const Proxy proxy(
      [](OriginExchange& exchange) {
        const bool first = exchange.request().target == "/first";
        exchange.send(response_text("mine") + (first ? response_text("poison") : ""));
      },
      "workers: 1\n");
  RawClient client = proxy.connect();
  EXPECT_EQ(client.get("/first").body, "mine");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.get("/next").body, "mine");
}

TEST(BadServers, AnswersThatComeTooLateAreNeverTheNextAnswer) {
  Gate late;
  const Origin origin([&](OriginExchange& exchange) {
    if (exchange.request().target != "/slow") return exchange.respond("own");
    late.wait();
    exchange.respond("late");
  });
  const Daemon daemon(
      balance_over({origin.url()}, "timeouts: { first_byte: 300ms }", "workers: 1\n"));
  EXPECT_EQ(fetch(daemon.port(), "/slow").status, 504);
  late.open();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(fetch(daemon.port(), "/").body, "own");
}

TEST(BadServers, BodiesInAnswerToHeadAreNeverTheNextAnswer) {
  const Proxy proxy(
      [](OriginExchange& exchange) {
        if (exchange.request().method == "HEAD") {
          exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n" + response_text("poison"));
        } else {
          exchange.respond("clean");
        }
      },
      "workers: 1\n");
  RawClient client = proxy.connect();
  client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.response("HEAD").status, 200);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.get("/").body, "clean");
}

}  // namespace revproxyd::testing

// Each limit with its answer and its word in the log, beside what is still within it.

#include <mutex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

std::string post(std::size_t size) {
  return "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n";
}

// One request on a connection of its own gets this status, and the log says why.
void expect_refused(const Proxy& proxy, const std::string& bytes, int status,
                    const std::string& why) {
  RawClient client = proxy.connect();
  client.send(bytes);
  EXPECT_EQ(client.response().status, status);
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(proxy.daemon.wait_access_why(why).status(), status);
  EXPECT_EQ(proxy.origin.request_count(), 0U);
}

// A connection over a limit is closed, with or without a 503.
bool turned_away(RawClient& client) {
  try {
    client.send(kGet);
    return client.response().status == 503;
  } catch (const Disconnected&) {
    return true;
  }
}

}  // namespace

TEST(Limits, RequestLinesThatAreTooLong) {
  const Proxy proxy("limits: { request_line: 1KiB }\n");
  expect_refused(proxy, "GET /" + std::string(1100, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414,
                 "request_line_too_long");
  EXPECT_EQ(proxy.get("/" + std::string(900, 'a')).status, 200);
}

TEST(Limits, RequestLinesThatNeverEnd) {
  const Proxy proxy;
  expect_refused(proxy, "GET /" + std::string(20000, 'a'), 414, "request_line_too_long");
}

TEST(Limits, FieldsThatAreTooLarge) {
  const Proxy proxy("limits: { header_bytes: 2KiB }\n");
  expect_refused(proxy, "GET / HTTP/1.1\r\nHost: a\r\nX-A: " + std::string(2100, 'a') + "\r\n\r\n",
                 431, "header_too_large");
  EXPECT_EQ(proxy.get("/", "X-A: " + std::string(1800, 'a') + "\r\n").status, 200);
}

TEST(Limits, FieldsThatNeverEnd) {
  const Proxy proxy;
  expect_refused(proxy, "GET / HTTP/1.1\r\nHost: a\r\nX-A: " + std::string(40000, 'a'), 431,
                 "header_too_large");
}

TEST(Limits, TooManyFields) {
  const Proxy proxy("limits: { header_count: 10 }\n");
  std::string fields;
  for (int i = 0; i < 9; ++i) fields += "X-" + std::to_string(i) + ": 1\r\n";
  expect_refused(proxy, "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "X-Last: 1\r\n\r\n", 431,
                 "too_many_fields");
  EXPECT_EQ(proxy.get("/", fields).status, 200);
}

TEST(Limits, BodiesThatAreAnnouncedTooLarge) {
  const Proxy proxy("limits: { max_body: 1KiB }\n");
  expect_refused(proxy, post(1025), 413, "body_too_large");
  RawClient client = proxy.connect();
  client.send(post(1024) + std::string(1024, 'a'));
  EXPECT_EQ(client.response().status, 200);
}

TEST(Limits, ChunkedBodiesThatGrowTooLarge) {
  std::atomic<bool> complete = false;
  const Proxy proxy(
      [&](OriginExchange& exchange) {
        exchange.read_body();
        complete = true;
        exchange.respond("ok");
      },
      "limits: { max_body: 1KiB }\n");
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n401\r\n" +
              std::string(1025, 'a') + "\r\n0\r\n\r\n");
  EXPECT_EQ(client.response().status, 413);
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(proxy.daemon.wait_access_why("body_too_large").status(), 413);
  EXPECT_FALSE(complete);
}

TEST(Limits, RoutesHaveBodyLimitsOfTheirOwn) {
  const Origin origin;
  const Daemon daemon(
      std::string(kPlainListener) +
      "limits: { max_body: 10B }\nroutes:\n  - { path: /upload, limits: { max_body: 100B }, to: '" +
      origin.url() + "' }\n  - { to: '" + origin.url() + "' }\n");
  RawClient client(daemon.port());
  client.send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n" +
              std::string(50, 'a'));
  EXPECT_EQ(client.response().status, 200);
  client.send("POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n" +
              std::string(50, 'a'));
  EXPECT_EQ(client.response().status, 413);
}

TEST(Limits, ListenersHaveLimitsOfTheirOwn) {
  const Daemon daemon(
      "listeners: [ { name: wide, address: '127.0.0.1:0' }, { name: narrow, address: "
      "'127.0.0.1:0', limits: { request_line: 100B } } ]\n"
      "routes: [ { respond: { body: ok } } ]\n");
  const std::string target = "/" + std::string(200, 'a');
  EXPECT_EQ(fetch(daemon.port("wide"), target).status, 200);
  EXPECT_EQ(fetch(daemon.port("narrow"), target).status, 414);
}

TEST(Limits, ConnectionsInAll) {
  const Proxy proxy("limits: { connections: 2 }\nworkers: 1\n");
  RawClient first = proxy.connect();
  EXPECT_EQ(first.get("/").status, 200);
  {
    RawClient second = proxy.connect();
    EXPECT_EQ(second.get("/").status, 200);
    RawClient third = proxy.connect();
    EXPECT_TRUE(turned_away(third));
  }
  EXPECT_TRUE(wait_until([&] {
    RawClient again = proxy.connect();
    return !turned_away(again);
  }));
  EXPECT_EQ(first.get("/").status, 200);
}

TEST(Limits, ConnectionsOfOneClientOverAllWorkers) {
  const Proxy proxy("limits: { connections_per_client: 2 }\nworkers: 2\n");
  std::vector<RawClient> mine;
  for (int i = 0; i < 2; ++i) {
    mine.push_back(RawClient::from("127.0.0.7", proxy.daemon.port()));
    EXPECT_EQ(mine.back().get("/").status, 200);
  }
  for (int i = 0; i < 6; ++i) {
    RawClient more = RawClient::from("127.0.0.7", proxy.daemon.port());
    EXPECT_TRUE(turned_away(more));
  }
  EXPECT_EQ(RawClient::from("127.0.0.8", proxy.daemon.port()).get("/").status, 200);
}

TEST(Limits, RequestsOfOneConnection) {
  const Proxy proxy("limits: { requests_per_connection: 3 }\n");
  RawClient client = proxy.connect();
  for (int i = 0; i < 2; ++i)
    EXPECT_FALSE(equal_ignoring_case(client.get("/").field("Connection"), "close"));
  const Response last = client.get("/");
  EXPECT_EQ(last.status, 200);
  EXPECT_TRUE(equal_ignoring_case(last.field("Connection"), "close"));
  EXPECT_TRUE(client.closes());
}

TEST(Limits, MemoryOfTheProcessShedsNewWork) {
  const Proxy proxy("limits: { memory: 1MiB }\n");
  EXPECT_TRUE(wait_until([&] { return proxy.get("/").status == 503; }));
  EXPECT_EQ(proxy.daemon.wait_access_why("memory_limit").status(), 503);
}

TEST(Limits, RequestsThatWaitForAServer) {
  Gate release;
  const Origin origin([&](OriginExchange& exchange) {
    release.wait();
    exchange.respond("ok");
  });
  const Daemon daemon(balance_over({origin.url()},
                                   "limits: { max_requests: 1, max_pending: 1, queue_timeout: 8s }",
                                   "workers: 1\n"));
  RawClient served(daemon.port());
  served.send(kGet);
  ASSERT_TRUE(origin.wait_requests(1));
  // Of these one may wait, whichever comes first.
  RawClient a(daemon.port());
  RawClient b(daemon.port());
  a.send(kGet);
  b.send(kGet);
  EXPECT_EQ(daemon.wait_access_why("queue_full").status(), 503);
  release.open();
  EXPECT_EQ(served.response().status, 200);
  const int first = a.response().status;
  const int second = b.response().status;
  EXPECT_EQ(first + second, 200 + 503);
}

// The client that was just served sends its next request, which is here before anybody else's.
TEST(Limits, RequestsThatComeDoNotOvertakeThoseThatWait) {
  for (const bool turns : {true, false}) {
    Gate release;
    std::mutex mutex;
    std::vector<std::string> order;
    const Origin origin([&](OriginExchange& exchange) {
      {
        const std::lock_guard lock(mutex);
        order.push_back(exchange.request().target);
      }
      release.wait();
      exchange.respond("ok");
    });
    const std::string server = turns ? "" : ", max_connections: 1";
    const std::string limit = turns ? ", max_requests: 1" : "";
    const Daemon daemon(std::string(kPlainListener) +
                        "workers: 1\nupstreams: { app: { servers: [ { url: '" + origin.url() + "'" +
                        server + " } ], limits: { max_pending: 1" + limit +
                        " } } }\nroutes: [ { to: app } ]\n");
    RawClient served(daemon.port());
    served.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /last HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(origin.wait_requests(1));
    // One of these waits, and the other tells that it does.
    RawClient a(daemon.port());
    RawClient b(daemon.port());
    a.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
    b.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(daemon.wait_access_why("queue_full").status(), 503);
    release.open();
    EXPECT_EQ(served.response().status, 200);
    EXPECT_EQ(served.response().status, 200);
    EXPECT_EQ(a.response().status + b.response().status, 200 + 503);
    EXPECT_EQ(order, (std::vector<std::string>{"/first", "/waits", "/last"})) << turns;
  }
}

TEST(Limits, TimeOfRequestsThatWaitForAServer) {
  Gate release;
  const Origin origin([&](OriginExchange& exchange) {
    release.wait();
    exchange.respond("ok");
  });
  const Daemon daemon(
      balance_over({origin.url()}, "limits: { max_requests: 1, queue_timeout: 300ms }"));
  RawClient served(daemon.port());
  served.send(kGet);
  ASSERT_TRUE(origin.wait_requests(1));
  EXPECT_EQ(fetch(daemon.port(), "/waits").status, 503);
  const AccessEntry entry = daemon.wait_access_of("/waits");
  EXPECT_EQ(entry.why(), "queue_timeout");
  EXPECT_GE(entry.number("t_queue"), 250.0);
  release.open();
  EXPECT_EQ(served.response().status, 200);
}

TEST(Limits, HeadsOfAnswers) {
  const Origin origin([](OriginExchange& exchange) {
    exchange.respond("ok", 200, "X-A: " + std::string(3000, 'a') + "\r\n");
  });
  const Daemon narrow(balance_over({origin.url()}, "limits: { response_header_bytes: 2KiB }"));
  EXPECT_EQ(fetch(narrow.port()).status, 502);
  EXPECT_EQ(narrow.wait_access_of("/").why(), "response_header_too_large");
  const Daemon wide(balance_over({origin.url()}, "limits: { response_header_bytes: 4KiB }"));
  EXPECT_EQ(fetch(wide.port()).status, 200);
}

TEST(Limits, ZeroMeansNone) {
  const Proxy proxy(
      "limits: { request_line: 0, header_bytes: 0, header_count: 0, requests_per_connection: 0, "
      "max_body: 0, "
      "min_rate: 0, connections: 0 }\n");
  std::string fields;
  for (int i = 0; i < 150; ++i)
    fields += "X-" + std::to_string(i) + ": " + std::string(300, 'a') + "\r\n";
  EXPECT_EQ(proxy.get("/" + std::string(10000, 'a'), fields).status, 200);
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.response().status, 200);
  EXPECT_EQ(client.response().status, 200);
}

}  // namespace revproxyd::testing

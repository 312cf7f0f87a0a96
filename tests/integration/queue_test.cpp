// Requests that wait for a server, and what comes in their way.

#include <atomic>
#include <map>

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {
constexpr Milliseconds kLongerThanQueues{60'000};
}  // namespace

// The backup has room for all of them.
TEST(Queue, ThoseThatWaitForAServerThatGoesOutGoToTheBackup) {
  Gate release;
  std::atomic<bool> healthy = true;
  const Origin busy([&](OriginExchange& exchange) {
    if (exchange.request().target == "/healthz") return exchange.respond("", healthy ? 200 : 500);
    release.wait(kLongerThanQueues);
    exchange.respond("ok");
  });
  const Origin backup([](OriginExchange& exchange) { exchange.respond("backup"); });
  const Daemon daemon(
      std::string(kPlainListener) + "workers: 1\nupstreams: { app: { servers: [ { url: '" +
      busy.url() + "', max_connections: 2 }, { url: '" + backup.url() +
      "', backup: true } ], limits: { max_pending: 3, queue_timeout: 20s }, " +
      "health_check: { path: /healthz, interval: 100ms, timeout: 500ms, rise: 1, fall: 1 }" +
      " } }\nroutes: [ { name: all, to: app } ]\n");
  RawClient held(daemon.port());
  held.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(busy.wait_requests_for("/held"));
  // One of these goes to the first server, three wait, and one tells that they do.
  std::vector<RawClient> clients;
  for (int i = 0; i < 5; ++i) {
    clients.emplace_back(daemon.port());
    clients.back().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  daemon.wait_access_why("queue_full");
  healthy = false;
  ASSERT_TRUE(backup.wait_requests_for("/", 3));
  release.open();
  std::map<std::string, int> answers;
  for (RawClient& client : clients) {
    const Response response = client.response();
    ++answers[response.status == 200 ? response.body : std::to_string(response.status)];
  }
  EXPECT_EQ(answers, (std::map<std::string, int>{{"ok", 1}, {"backup", 3}, {"503", 1}}));
  EXPECT_EQ(held.response().status, 200);
}

// What a request that has tried a server does not want is there for those behind it.
TEST(Queue, ARetryThatWaitsForAnotherServerDoesNotKeepTheFirstFromTheRest) {
  Gate breaks;
  Gate broken;
  Gate release;
  const Origin first([&](OriginExchange& exchange) {
    if (exchange.request().target != "/breaks") return exchange.respond("first");
    breaks.wait();
    exchange.close();
    broken.open();
  });
  const Origin second([&](OriginExchange& exchange) {
    if (exchange.request().target == "/held") release.wait(kLongerThanQueues);
    exchange.respond("second");
  });
  const Daemon daemon(std::string(kPlainListener) +
                      "workers: 1\nupstreams: { app: { balance: first, servers: [ { url: '" +
                      first.url() + "', max_connections: 1 }, { url: '" + second.url() +
                      "', max_connections: 1 } ], limits: { queue_timeout: 20s } } }\n" +
                      "routes: [ { name: all, to: app } ]\n");
  RawClient retried(daemon.port());
  retried.send("GET /breaks HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(first.wait_requests(1));
  RawClient held(daemon.port());
  held.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(second.wait_requests(1));
  breaks.open();
  ASSERT_TRUE(broken.wait());
  std::vector<RawClient> clients;
  for (int i = 0; i < 5; ++i) {
    clients.emplace_back(daemon.port());
    clients.back().send("GET /rest HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  for (RawClient& client : clients) EXPECT_EQ(client.response().body, "first");
  release.open();
  EXPECT_EQ(held.response().body, "second");
  EXPECT_EQ(retried.response().body, "second");
}

// Neither those that find or make a connection, nor who is refused because others wait.
TEST(Queue, ThoseThatWaitedAreCountedAndNoOthers) {
  Gate release;
  const Origin origin(answer_slow_when(release));
  const Daemon daemon(std::string(kPlainListener) +
                      "workers: 1\nupstreams: { app: { servers: [ { url: '" + origin.url() +
                      "', max_connections: 2 } ], limits: { max_pending: 1, queue_timeout: 20s } " +
                      "} }\nroutes: [ { to: app } ]\n");
  std::vector<RawClient> clients;
  for (std::size_t held = 1; held <= 2; ++held) {
    for (int i = 0; i < 5; ++i) EXPECT_EQ(fetch(daemon.port()).status, 200);
    clients.emplace_back(daemon.port());
    clients.back().send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(origin.wait_requests_for("/slow", held));
  }
  // One of these waits, and the other tells that it does.
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back(daemon.port());
    clients.back().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  daemon.wait_access_why("queue_full");
  release.open();
  int sum = 0;
  for (RawClient& client : clients) sum += client.response().status;
  EXPECT_EQ(sum, 3 * 200 + 503);
  ASSERT_TRUE(comes_to(daemon, "requests_active", 0));
  EXPECT_TRUE(comes_to(daemon, "queue_waits", 1));
}

// Of which the last worker that was asked keeps the only connection.
TEST(Queue, AServerThatIsIdleRefusesNobodyThoughNoneMayWait) {
  const Origin origin;
  const Daemon daemon(std::string(kPlainListener) +
                      "workers: 4\nupstreams: { app: { servers: [ { url: '" + origin.url() +
                      "', max_connections: 1 } ], limits: { max_pending: 0 } } }\n" +
                      "routes: [ { to: app } ]\n");
  for (std::size_t served = 1; served <= 40; ++served) {
    EXPECT_EQ(fetch(daemon.port()).status, 200);
    ASSERT_TRUE(wait_until([&] { return daemon.access_entries().size() == served; }))
        << "it is over when it is logged";
  }
}

TEST(Queue, NobodyWaitsForAServerThatIsBusyWhereNoneMay) {
  Gate release;
  const Origin origin(answer_slow_when(release));
  const Daemon daemon(std::string(kPlainListener) +
                      "workers: 4\nupstreams: { app: { servers: [ { url: '" + origin.url() +
                      "', max_connections: 1 } ], limits: { max_pending: 0, queue_timeout: 20s } " +
                      "} }\nroutes: [ { to: app } ]\n");
  RawClient held(daemon.port());
  held.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(origin.wait_requests(1));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(fetch(daemon.port()).status, 503);
  release.open();
  EXPECT_EQ(held.response().status, 200);
}

// Three have their turn, and two of them wait for the connection of the third.
TEST(Queue, ThoseThatWaitForATurnAndThoseThatWaitForAConnectionAreOneNumber) {
  Gate release;
  const Origin origin([&](OriginExchange& exchange) {
    release.wait(kLongerThanQueues);
    exchange.respond("ok");
  });
  const Daemon daemon(std::string(kPlainListener) +
                      "workers: 1\nupstreams: { app: { servers: [ { url: '" + origin.url() +
                      "', max_connections: 1 } ], limits: { max_requests: 3, max_pending: 2, " +
                      "queue_timeout: 20s } } }\nroutes: [ { to: app } ]\n");
  std::vector<RawClient> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back(daemon.port());
    clients.back().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  EXPECT_TRUE(wait_until([&] { return daemon.access_entries().size() == 3; }));
  release.open();
  std::map<int, int> answers;
  for (RawClient& client : clients) ++answers[client.response().status];
  EXPECT_EQ(answers, (std::map<int, int>{{200, 3}, {503, 3}}));
}

}  // namespace revproxyd::testing

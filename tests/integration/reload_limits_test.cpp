// Limits of an upstream over a reload: what is under way and who waits.

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

TEST(ReloadLimits, RequestsThatBeganWithoutALimitCountAgainstTheFirst) {
  Gate release;
  const Origin origin([&](OriginExchange& exchange) {
    release.wait();
    exchange.respond("ok");
  });
  const auto config = [&](const std::string& limit) {
    return balance_over({origin.url()}, "limits: { queue_timeout: 300ms" + limit + " }");
  };
  Daemon daemon(config(""));
  std::vector<RawClient> clients;
  for (std::size_t i = 0; i < 4; ++i) {
    clients.emplace_back(daemon.port()).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  ASSERT_TRUE(origin.wait_requests(4));
  ASSERT_TRUE(daemon.reload(config(", max_requests: 4")));
  const Response refused = fetch(daemon.port());
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(daemon.wait_access_why("queue_timeout").status(), 503);
  release.open();
  for (RawClient& client : clients) EXPECT_EQ(client.response().status, 200);
  // All four have given their places back.
  ASSERT_TRUE(daemon.reload(config(", max_requests: 1")));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(fetch(daemon.port()).status, 200);
}

TEST(ReloadLimits, RequestsOfTheOldConfigurationCountAgainstTheLimitOfTheNewOne) {
  Gate release;
  const Origin origin([&](OriginExchange& exchange) {
    release.wait();
    exchange.respond("ok");
  });
  const auto config = [&](const std::string& timeout) {
    return balance_over({origin.url()},
                        "limits: { max_requests: 1, queue_timeout: " + timeout + " }");
  };
  Daemon daemon(config("2s"));
  RawClient client(daemon.port());
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(origin.wait_requests(1));
  ASSERT_TRUE(daemon.reload(config("300ms")));
  EXPECT_EQ(fetch(daemon.port()).status, 503);
  release.open();
  EXPECT_EQ(client.response().status, 200);
  EXPECT_EQ(fetch(daemon.port()).status, 200);
}

TEST(ReloadLimits, RoomThatItAddsIsForThoseThatWait) {
  for (const bool turns : {true, false}) {
    Gate release;
    const Origin origin([&](OriginExchange& exchange) {
      if (exchange.request().target == "/held") release.wait();
      exchange.respond("ok");
    });
    const auto config = [&](int room) {
      const std::string count = std::to_string(room);
      const std::string server = turns ? "" : ", max_connections: " + count;
      const std::string limit = turns ? ", max_requests: " + count : "";
      return std::string(kPlainListener) + "upstreams: { app: { servers: [ { url: '" +
             origin.url() + "'" + server + " } ], limits: { max_pending: 1, queue_timeout: 3s" +
             limit + " } } }\nroutes: [ { to: app } ]\nworkers: 1\n";
    };
    Daemon daemon(config(1));
    RawClient held(daemon.port());
    held.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(origin.wait_requests(1));
    // One of these waits, and the other tells that it does.
    RawClient a(daemon.port());
    RawClient b(daemon.port());
    for (RawClient* client : {&a, &b}) client->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    daemon.wait_access_why("queue_full");
    ASSERT_TRUE(daemon.reload(config(2)));
    EXPECT_EQ(a.response().status + b.response().status, 200 + 503) << turns;
    release.open();
    EXPECT_EQ(held.response().status, 200);
  }
}

}  // namespace revproxyd::testing

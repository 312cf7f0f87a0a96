// Connections that rest between two requests: nobody can tell them from others but by their memory.

#include <signal.h>

#include <cstdio>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kRoute = "routes: [ { respond: { body: 'hello' } } ]\nworkers: 1\n";

bool rest(const Daemon& daemon, std::size_t count) {
  return comes_to(daemon, "connections_resting", count);
}

bool active(const Daemon& daemon, std::size_t count) {
  return comes_to(daemon, "connections_active", count);
}

std::string config(std::string_view more = {}) {
  return std::string(kPlainListener) + std::string(kRoute) + std::string(more);
}

std::string ask(RawClient& client) {
  client.send(kGet);
  return client.response().body;
}

}  // namespace

TEST(Resting, TheNextRequestIsServed) {
  const Daemon daemon(config());
  RawClient client(daemon.port());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask(client), "hello");
    ASSERT_TRUE(rest(daemon, 1));
  }
  client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.response().status, 200);
  EXPECT_EQ(client.response().status, 200);
}

TEST(Resting, ARequestThatComesByteByByteIsServed) {
  const Daemon daemon(config());
  RawClient client(daemon.port());
  EXPECT_EQ(ask(client), "hello");
  ASSERT_TRUE(rest(daemon, 1));
  for (const char c : kGet) client.send({&c, 1});
  EXPECT_EQ(client.response().body, "hello");
}

TEST(Resting, WhatIsNoRequestIsRefused) {
  const Daemon daemon(config());
  RawClient client(daemon.port());
  EXPECT_EQ(ask(client), "hello");
  ASSERT_TRUE(rest(daemon, 1));
  client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  EXPECT_EQ(client.response().status, 505);
  EXPECT_TRUE(client.closes());
}

TEST(Resting, AClientThatLeavesIsForgotten) {
  const Daemon daemon(config());
  {
    RawClient client(daemon.port());
    EXPECT_EQ(ask(client), "hello");
    ASSERT_TRUE(rest(daemon, 1));
  }
  EXPECT_TRUE(active(daemon, 0));
  EXPECT_TRUE(rest(daemon, 0));
  EXPECT_NE(daemon.ctl("stats").out.find("\"connections_failed\":{}"), std::string::npos);
}

TEST(Resting, TheKeepAliveTimeEndsIt) {
  const Daemon daemon(config("timeouts: { keepalive: 800ms }\n"));
  RawClient client(daemon.port());
  EXPECT_EQ(ask(client), "hello");
  ASSERT_TRUE(rest(daemon, 1));
  EXPECT_TRUE(client.closes());
  EXPECT_TRUE(active(daemon, 0));
}

TEST(Resting, TheLimitOfRequestsCountsThoseBefore) {
  const Daemon daemon(config("limits: { requests_per_connection: 2 }\n"));
  RawClient client(daemon.port());
  EXPECT_EQ(ask(client), "hello");
  ASSERT_TRUE(rest(daemon, 1));
  client.send(kGet);
  EXPECT_EQ(client.response().field("Connection"), "close");
  EXPECT_TRUE(client.closes());
}

TEST(Resting, AStopEndsIt) {
  Daemon daemon(config());
  RawClient client(daemon.port());
  EXPECT_EQ(ask(client), "hello");
  ASSERT_TRUE(rest(daemon, 1));
  daemon.signal(SIGTERM);
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(daemon.wait_exit(), 0);
}

TEST(Resting, AListenerThatHasChangedIsLeftWithTheNextAnswer) {
  Daemon daemon(config());
  RawClient client(daemon.port());
  EXPECT_EQ(ask(client), "hello");
  ASSERT_TRUE(rest(daemon, 1));
  ASSERT_TRUE(daemon.reload(config("timeouts: { keepalive: 50s }\n")));
  client.send(kGet);
  EXPECT_EQ(client.response().field("Connection"), "close");
}

TEST(Resting, OverTlsTheSessionGoesOn) {
  const Daemon daemon("listeners: [ { name: web, address: '127.0.0.1:0', tls: internal } ]\n" +
                      std::string(kRoute));
  RawClient client(daemon.port(), ClientTls{});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask(client), "hello");
    ASSERT_TRUE(rest(daemon, 1));
  }
  ASSERT_TRUE(active(daemon, 1));
}

TEST(Resting, ManyHoldLittleMemory) {
  constexpr std::size_t kClients = 2000;
  const Daemon daemon(config());
  RawClient first(daemon.port());
  EXPECT_EQ(ask(first), "hello");
  const std::size_t before = daemon.rss_kib();
  std::vector<RawClient> clients;
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.emplace_back(daemon.port());
    ASSERT_EQ(ask(clients.back()), "hello");
  }
  ASSERT_TRUE(rest(daemon, kClients + 1));
  const std::size_t each = (daemon.rss_kib() - before) * 1024 / kClients;
  std::printf("%zu bytes for each of %zu connections\n", each, kClients);
  if (!sanitized()) {
    EXPECT_LT(each, 1000U);
  }
}

}  // namespace revproxyd::testing

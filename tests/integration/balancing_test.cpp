// How requests spread over servers: methods, weights, backup servers, limits of connections.

#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

/// Servers that answer with their number.
class Farm {
 public:
  explicit Farm(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
      origins_.push_back(std::make_unique<Origin>(std::to_string(i)));
  }

  Origin& operator[](std::size_t index) { return *origins_.at(index); }

  std::vector<std::string> urls() const {
    std::vector<std::string> out;
    for (const auto& origin : origins_) out.push_back(origin->url());
    return out;
  }

 private:
  std::vector<std::unique_ptr<Origin>> origins_;
};

// How many of `count` requests each server answered. New connections now and then, so that every
// worker takes part.
std::vector<int> shares(const Daemon& daemon, std::size_t servers, int count) {
  std::vector<int> out(servers);
  for (int done = 0; done < count;) {
    RawClient client(daemon.port());
    for (int i = 0; i < 20 && done < count; ++i, ++done) ++out.at(std::stoul(client.get("/").body));
  }
  return out;
}

std::string server_of(RawClient& client, const std::string& field) {
  return client.get("/", field + "\r\n").body;
}

void expect_near(int value, int wanted, int slack) {
  EXPECT_GE(value, wanted - slack);
  EXPECT_LE(value, wanted + slack);
}

}  // namespace

TEST(Balancing, RoundRobinGivesEveryServerItsTurn) {
  Farm farm(3);
  const Daemon daemon(balance_over(farm.urls()));
  for (const int share : shares(daemon, 3, 300)) expect_near(share, 100, 10);
}

TEST(Balancing, RoundRobinFollowsWeights) {
  Farm farm(2);
  const Daemon daemon(std::string(kPlainListener) + "upstreams: { app: { servers: [ { url: '" +
                      farm[0].url() + "', weight: 3 }, { url: '" + farm[1].url() +
                      "' } ] } }\nroutes: [ { to: app } ]\n");
  const std::vector<int> got = shares(daemon, 2, 400);
  expect_near(got[0], 300, 12);
  expect_near(got[1], 100, 12);
}

TEST(Balancing, RandomIsFair) {
  Farm farm(3);
  const Daemon daemon(balance_over(farm.urls(), "balance: random"));
  double chi_square = 0;
  for (const int share : shares(daemon, 3, 600))
    chi_square += (share - 200.0) * (share - 200.0) / 200.0;
  // With two degrees of freedom a fair choice exceeds this once in 100,000 runs.
  EXPECT_LT(chi_square, 23.0);
}

TEST(Balancing, LeastRequestAvoidsTheBusyServer) {
  Gate release;
  Origin busy([&](OriginExchange& exchange) {
    release.wait(Milliseconds(30000));
    exchange.respond("0");
  });
  Origin idle("1");
  const Daemon daemon(
      balance_over({busy.url(), idle.url()}, "balance: least_request", "workers: 1\n"));
  std::vector<RawClient> stuck;
  while (busy.request_count() == 0) {
    stuck.emplace_back(daemon.port());
    stuck.back().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until([&] { return busy.request_count() + idle.request_count() >= stuck.size(); });
  }
  const std::size_t before = busy.request_count();
  for (int i = 0; i < 30; ++i) EXPECT_EQ(fetch(daemon.port()).body, "1");
  EXPECT_EQ(busy.request_count(), before);
  release.open();
  for (RawClient& client : stuck) EXPECT_EQ(client.response().status, 200);
}

TEST(Balancing, FirstStaysWithTheFirstServerThatWorks) {
  Farm farm(2);
  const Daemon daemon(balance_over(farm.urls(), "balance: first"));
  EXPECT_EQ(shares(daemon, 2, 50)[0], 50);
  farm[0].stop();
  EXPECT_EQ(shares(daemon, 2, 50)[1], 50);
}

TEST(Balancing, HashKeepsAClientOnItsServer) {
  Farm farm(4);
  const Daemon daemon(balance_over(farm.urls(), "balance: hash"));
  for (const char* address : {"127.0.0.2", "127.0.0.3", "127.0.0.4"}) {
    RawClient first = RawClient::from(address, daemon.port());
    const std::string server = first.get("/").body;
    for (int i = 0; i < 5; ++i)
      EXPECT_EQ(RawClient::from(address, daemon.port()).get("/" + std::to_string(i)).body, server);
  }
}

TEST(Balancing, HashTakesAHeaderOrACookie) {
  Farm farm(4);
  const Daemon by_header(
      balance_over(farm.urls(), "balance: { method: hash, key: 'header:X-User' }"));
  const Daemon by_cookie(balance_over(farm.urls(), "balance: { method: hash, key: 'cookie:sid' }"));
  RawClient header(by_header.port());
  RawClient cookie(by_cookie.port());
  std::vector<int> seen(4);
  for (int key = 0; key < 40; ++key) {
    const std::string name = "user-" + std::to_string(key);
    const std::string server = server_of(header, "X-User: " + name);
    EXPECT_EQ(server_of(header, "X-User: " + name), server);
    EXPECT_EQ(server_of(cookie, "Cookie: a=b; sid=" + name),
              server_of(cookie, "Cookie: sid=" + name + "; c=d"));
    ++seen.at(std::stoul(server));
  }
  for (const int count : seen) EXPECT_GT(count, 0);
}

TEST(Balancing, HashByUriSpreadsAndKeepsPaths) {
  Farm farm(3);
  const Daemon daemon(balance_over(farm.urls(), "balance: { method: hash, key: uri }"));
  RawClient client(daemon.port());
  std::vector<int> seen(3);
  for (int i = 0; i < 60; ++i) {
    const std::string path = "/item/" + std::to_string(i) + "?a=" + std::to_string(i);
    const std::string server = client.get(path).body;
    EXPECT_EQ(client.get(path).body, server);
    EXPECT_EQ(client.get("http://test" + path).body, server) << "the same path in absolute form";
    ++seen.at(std::stoul(server));
  }
  for (const int count : seen) EXPECT_GT(count, 4);
}

TEST(Balancing, HashMovesFewKeysWhenAServerGoes) {
  Farm farm(4);
  const std::string settings = "balance: { method: hash, key: 'header:X-User' }";
  Daemon daemon(balance_over(farm.urls(), settings));
  RawClient client(daemon.port());
  std::vector<std::string> before;
  for (int key = 0; key < 200; ++key)
    before.push_back(server_of(client, "X-User: " + std::to_string(key)));
  std::vector<std::string> fewer = farm.urls();
  fewer.pop_back();
  ASSERT_TRUE(daemon.reload(balance_over(fewer, settings)));
  RawClient after(daemon.port());
  int moved = 0;
  for (int key = 0; key < 200; ++key) {
    const std::string was = before[static_cast<std::size_t>(key)];
    const std::string now = server_of(after, "X-User: " + std::to_string(key));
    EXPECT_NE(now, "3");
    if (was != "3" && was != now) ++moved;
  }
  // None of the keys of the servers that stay has to move; a table of slots may move a few.
  EXPECT_LE(moved, 10);
}

TEST(Balancing, BackupServesOnlyWhileNoOtherIsUp) {
  Farm farm(2);
  const Daemon daemon(std::string(kPlainListener) + "upstreams: { app: { servers: [ { url: '" +
                      farm[0].url() + "' }, { url: '" + farm[1].url() +
                      "', backup: true } ], health_check: { interval: 100ms, timeout: 100ms, rise: "
                      "1, fall: 1 } } }\nroutes: [ { to: app } ]\n");
  EXPECT_EQ(shares(daemon, 2, 30)[0], 30);
  farm[0].stop();
  EXPECT_TRUE(wait_until([&] { return fetch(daemon.port()).body == "1"; }));
  farm[0].start();
  EXPECT_TRUE(wait_until([&] { return fetch(daemon.port()).body == "0"; }));
  EXPECT_TRUE(wait_until([&] { return shares(daemon, 2, 10)[0] == 10; }));
}

TEST(Balancing, NeverOpensMoreConnectionsThanAServerTakes) {
  std::atomic<unsigned> busy = 0;
  std::atomic<unsigned> most = 0;
  std::unique_ptr<Origin> origin;
  origin = std::make_unique<Origin>([&](OriginExchange& exchange) {
    const unsigned now = ++busy;
    for (unsigned seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    std::this_thread::sleep_for(Milliseconds(15));  // the work of the server
    --busy;  // before the answer, which lets the next request come
    exchange.respond("ok");
  });
  const Daemon daemon(
      std::string(kPlainListener) + "upstreams: { app: { servers: [ { url: '" + origin->url() +
      "', max_connections: 2 } ], limits: { queue_timeout: 10s } } }\nroutes: [ { to: app } ]\n");
  std::vector<RawClient> clients;
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back(daemon.port());
    clients.back().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  for (RawClient& client : clients) EXPECT_EQ(client.response().status, 200);
  EXPECT_LE(most, 2U);
}

TEST(Balancing, ServesMoreRequestsAtOnceThanAServerHasConnectionsFor) {
  Farm farm(1);
  const Daemon daemon(std::string(kPlainListener) + "upstreams: { app: { servers: [ { url: '" +
                      farm[0].url() + "', max_connections: 1 } ] } }\nroutes: [ { to: app } ]\n");
  std::vector<RawClient> clients;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 10; ++i) clients.emplace_back(daemon.port());
    for (RawClient& client : clients) client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for (RawClient& client : clients) EXPECT_EQ(client.response().status, 200);
  }
}

TEST(Balancing, SplitFollowsItsWeights) {
  Farm farm(2);
  const Daemon daemon(std::string(kPlainListener) + "routes: [ { split: [ { to: '" + farm[0].url() +
                      "', weight: 80 }, { to: '" + farm[1].url() + "', weight: 20 } ] } ]\n");
  const std::vector<int> got = shares(daemon, 2, 500);
  // Five standard deviations of 500 draws.
  expect_near(got[0], 400, 45);
}

TEST(Balancing, SplitNeverTakesWeightZero) {
  Farm farm(2);
  const Daemon daemon(std::string(kPlainListener) + "routes: [ { split: [ { to: '" + farm[0].url() +
                      "', weight: 0 }, { to: '" + farm[1].url() + "' } ] } ]\n");
  EXPECT_EQ(shares(daemon, 2, 50)[1], 50);
}

TEST(Balancing, LimitsOfTheServerAndOfTheUpstreamWorkTogether) {
  Farm farm(2);
  const Daemon daemon(
      std::string(kPlainListener) + "workers: 1\nupstreams: { app: { servers: [ { url: '" +
      farm[0].url() + "', max_connections: 1 }, { url: '" + farm[1].url() +
      "', max_connections: 1 } ], limits: { max_requests: 4, queue_timeout: 10s } } }\n" +
      "routes: [ { to: app } ]\n");
  std::vector<RawClient> clients;
  for (int i = 0; i < 12; ++i) clients.emplace_back(daemon.port());
  for (int round = 0; round < 10; ++round) {
    for (RawClient& client : clients) client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for (RawClient& client : clients) EXPECT_EQ(client.response().status, 200);
  }
}

}  // namespace revproxyd::testing

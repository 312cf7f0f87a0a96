// Few connections to servers that speak HTTP/2, for many requests, and what becomes of the requests
// when such a connection goes.

#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "tests/support/h2_upstream.h"

namespace revproxyd::testing {

namespace {

H2UpstreamOptions with(std::string settings, std::string more = "workers: 1\n",
                       h2::Settings announced = {}) {
  H2UpstreamOptions out;
  out.settings = std::move(settings);
  out.more = std::move(more);
  out.origin.settings = std::move(announced);
  return out;
}

/// Requests at once on each connection, as the server sees them.
class Count {
 public:
  /// How many there are now with this one.
  std::size_t enter(const H2Request& request) {
    const std::lock_guard lock(mutex_);
    const std::size_t now = ++active_[request->link().number()];
    most_ = std::max(most_, now);
    return now;
  }
  /// To be said before the end of the answer is sent.
  void leave(const H2Request& request) {
    const std::lock_guard lock(mutex_);
    --active_[request->link().number()];
  }
  std::size_t most() const {
    const std::lock_guard lock(mutex_);
    return most_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::size_t, std::size_t> active_;
  std::size_t most_ = 0;
};

/// The first request meets `fate`, all others are answered.
H2Script first_meets(H2Script fate) {
  return [fate = std::move(fate),
          met = std::make_shared<std::atomic<bool>>(false)](const H2Request& request) {
    if (!met->exchange(true)) return fate(request);
    H2Upstream::echo(request);
  };
}

Response post(const H2Upstream& proxy, std::string_view body, std::string_view target = "/") {
  RawClient client = proxy.connect();
  client.send(post_text(target, body));
  return client.response();
}

}  // namespace

TEST(H2UpstreamPool, ManyClientsShareFewConnectionsFromTheStart) {
  constexpr std::size_t kClients = 200;
  for (const char* workers : {"workers: 1\n", "workers: 2\n"}) {
    std::atomic<std::size_t> there = 0;
    Gate all;
    const H2Upstream proxy(
        [&](const H2Request& request) {
          if (++there == kClients) all.open();
          request->respond(all.wait() ? "together" : "alone");
        },
        with("", workers));
    std::vector<RawClient> clients = ask_at_once(proxy.daemon.port(), kClients);
    for (RawClient& client : clients) EXPECT_EQ(client.response().body, "together");
    EXPECT_LE(proxy.origin.connections(), workers == std::string("workers: 1\n") ? 2U : 3U);
  }
}

TEST(H2UpstreamPool, RequestsInTurnUseOneConnection) {
  const H2Upstream proxy(H2Upstream::echo, with(""));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(proxy.get("/").status, 200);
  EXPECT_EQ(post(proxy, "abc").status, 200);
  EXPECT_EQ(proxy.origin.connections(), 1U);
}

TEST(H2UpstreamPool, NoMoreStreamsAreOpenedThanTheServerAllows) {
  Count count;
  const H2Upstream proxy(
      [&](const H2Request& request) {
        count.enter(request);
        // Long enough for others to come meanwhile, if they may.
        std::this_thread::sleep_for(Milliseconds(5));
        count.leave(request);
        request->respond("ok");
      },
      with("", "workers: 1\n", {{h2::kMaxConcurrentStreams, 5}}));
  EXPECT_EQ(proxy.get("/").status, 200);
  std::vector<RawClient> clients = ask_at_once(proxy.daemon.port(), 60);
  for (RawClient& client : clients) EXPECT_EQ(client.response().status, 200);
  EXPECT_LE(count.most(), 5U);
  EXPECT_GE(proxy.origin.connections(), 2U);
}

TEST(H2UpstreamPool, WhatTheServerDoesNotAllowYetWaitsForItsTurn) {
  for (const char* workers : {"workers: 1\n", "workers: 2\n"}) {
    Count count;
    const H2Upstream proxy(
        [&](const H2Request& request) {
          count.enter(request);
          std::this_thread::sleep_for(Milliseconds(5));
          count.leave(request);
          request->respond("ok");
        },
        [&] {
          H2UpstreamOptions out = with("", workers, {{h2::kMaxConcurrentStreams, 5}});
          return out;
        }());
    const Daemon daemon(std::string(kPlainListener) + workers +
                        "upstreams: { app: { servers: [ { url: '" + proxy.origin.url() +
                        "', max_connections: 1 } ], limits: { queue_timeout: 8s } } }\n"
                        "routes: [ { to: app } ]\n");
    EXPECT_EQ(fetch(daemon.port()).status, 200);
    std::vector<RawClient> clients = ask_at_once(daemon.port(), 60);
    for (RawClient& client : clients) EXPECT_EQ(client.response().status, 200) << workers;
    EXPECT_LE(count.most(), 5U);
    EXPECT_LE(proxy.origin.open_connections(), 1U);
  }
}

TEST(H2UpstreamPool, ALimitThatIsNotKnownYetCostsNoRequest) {
  // Before the SETTINGS of the server have come its limit is unknown; what is too much it refuses.
  Count count;
  const H2Upstream proxy(
      [&](const H2Request& request) {
        const bool fits = count.enter(request) <= 5;
        if (fits) std::this_thread::sleep_for(Milliseconds(5));
        count.leave(request);
        if (!fits) return request->reset(h2::kRefusedStream);
        request->respond("ok");
      },
      with("", "workers: 1\n", {{h2::kMaxConcurrentStreams, 5}}));
  std::vector<RawClient> clients = ask_at_once(proxy.daemon.port(), 60);
  for (RawClient& client : clients) EXPECT_EQ(client.response().status, 200);
}

// What one connection has told of the limit holds for those that are made meanwhile: nobody waits
// for one that has no room for him.
TEST(H2UpstreamPool, ConnectionsForFewStreamsAreMadeSideBySide) {
  constexpr std::size_t kClients = 30;
  std::atomic<std::size_t> there = 0;
  Gate all;
  H2UpstreamOptions options = with("", "workers: 1\n", {{h2::kMaxConcurrentStreams, 1}});
  options.origin.settings_delay = Milliseconds(100);
  const H2Upstream proxy(
      [&](const H2Request& request) {
        if (++there == kClients) all.open();
        request->respond(all.wait() ? "together" : "alone");
      },
      options);
  const Stopwatch watch;
  std::vector<RawClient> clients = ask_at_once(proxy.daemon.port(), kClients);
  for (RawClient& client : clients) EXPECT_EQ(client.response().body, "together");
  EXPECT_LT(watch.elapsed().count(), 1500) << "one after the other takes twice as long";
}

TEST(H2UpstreamPool, ALimitThatIsLoweredHolds) {
  Gate release;
  Count count;
  const H2Upstream proxy(
      [&](const H2Request& request) {
        if (request->request().path() == "/lower") {
          request->link().settings({{h2::kMaxConcurrentStreams, 2}});
          request->link().wait([](const H2State& state) { return state.settings_acknowledged(); });
          return request->respond("ok");
        }
        count.enter(request);
        std::this_thread::sleep_for(Milliseconds(5));
        count.leave(request);
        request->respond("ok");
      },
      with(""));
  EXPECT_EQ(proxy.get("/lower").status, 200);
  std::vector<RawClient> clients = ask_at_once(proxy.daemon.port(), 2);
  for (RawClient& client : clients) EXPECT_EQ(client.response().status, 200);
  EXPECT_EQ(proxy.origin.connections(), 1U);
  EXPECT_LE(count.most(), 2U);
}

// Streams that the server has not looked at.

TEST(H2UpstreamPool, WhatTheServerRefusesIsAskedAgainAtNoCost) {
  std::mutex mutex;
  std::set<std::string> refused;
  const H2Upstream proxy(
      [&](const H2Request& request) {
        {
          const std::lock_guard lock(mutex);
          if (refused.insert(request->request().path()).second)
            return request->reset(h2::kRefusedStream);
        }
        H2Upstream::echo(request);
      },
      with("retry: { attempts: 2, budget: 0% }"));
  // More than the three in a second that every budget allows.
  for (int i = 0; i < 10; ++i) {
    const std::string path = "/" + std::to_string(i);
    EXPECT_EQ(proxy.get(path + "get").body, "GET " + path + "get ");
    EXPECT_EQ(post(proxy, "body", path + "post").body, "POST " + path + "post body");
  }
  EXPECT_EQ(proxy.origin.request_count(), 40U);
  EXPECT_EQ(proxy.daemon.wait_access_of("/0post").number("retries"), 1);
}

// Such a server has trouble with its requests, and no connection was lost.
TEST(H2UpstreamPool, StreamsThatAreResetAreTriedAgainWithinTheBudgetOnly) {
  const H2Upstream proxy([](const H2Request& request) { request->reset(h2::kInternalError); },
                         with("retry: { attempts: 2, budget: 0% }"));
  constexpr std::size_t kRequests = 30;
  for (std::size_t i = 0; i < kRequests; ++i) EXPECT_EQ(proxy.get("/").status, 502);
  // Three in a second every budget allows.
  EXPECT_LT(proxy.origin.request_count(), kRequests + kRequests / 2);
}

TEST(H2UpstreamPool, ABodyThatWasReadMeanwhileIsSentAgainWhole) {
  const std::string body(30000, 'b');
  const H2Upstream proxy(first_meets([](const H2Request& request) {
                           request->read_body();
                           request->reset(h2::kRefusedStream);
                         }),
                         with("retry: { budget: 0% }"));
  EXPECT_EQ(post(proxy, body).body, "POST / " + body);
  EXPECT_EQ(proxy.origin.request(0).body, body);
}

TEST(H2UpstreamPool, WhatIsRefusedAgainAndAgainIsABadGateway) {
  const H2Upstream proxy([](const H2Request& request) { request->reset(h2::kRefusedStream); },
                         with("retry: { attempts: 3 }"));
  EXPECT_EQ(proxy.get("/").status, 502);
  EXPECT_EQ(proxy.origin.request_count(), 3U);
}

TEST(H2UpstreamPool, OtherResetsBeforeTheAnswerAreRetriedForGetOnly) {
  for (const std::uint32_t code : {h2::kInternalError, h2::kCancel, h2::kNoError}) {
    const H2Upstream proxy(
        [code](const H2Request& request) {
          if (request->link().message(request->stream()).path() == "/once" &&
              request->stream() == 1)
            return request->reset(code);
          if (request->request().method() == "POST") {
            request->read_body();
            return request->reset(code);
          }
          H2Upstream::echo(request);
        },
        with(""));
    EXPECT_EQ(proxy.get("/once").body, "GET /once ") << code;
    const Response answer = post(proxy, "body", "/post");
    EXPECT_EQ(answer.status, 502) << code;
    EXPECT_EQ(proxy.origin.request_count(), 3U) << code;
    EXPECT_EQ(proxy.daemon.wait_access_of("/post").why(), "reset");
    EXPECT_EQ(proxy.get("/after").status, 200);
    EXPECT_EQ(proxy.origin.connections(), 1U) << "a stream's end is not that of the connection";
  }
}

TEST(H2UpstreamPool, StreamsBehindTheLastOfAGoawayGoToANewConnection) {
  for (const char* method : {"GET", "POST"}) {
    const H2Upstream proxy(first_meets([](const H2Request& request) { request->link().goaway(0); }),
                           with("retry: { budget: 0% }"));
    const Response answer = method == std::string("GET") ? proxy.get() : post(proxy, "body");
    EXPECT_EQ(answer.status, 200) << method;
    EXPECT_EQ(proxy.origin.connections(), 2U);
    EXPECT_TRUE(wait_until([&] { return proxy.origin.open_connections() == 1; }))
        << "nothing keeps the old one";
  }
}

// What a server has not looked at was no try, whatever the method.
TEST(H2UpstreamPool, AGoawayOnAConnectionInUseCostsNoTry) {
  for (const char* method : {"GET", "POST"}) {
    const H2Upstream proxy(
        [](const H2Request& request) {
          if (request->stream() > 1) return request->link().goaway(1);
          H2Upstream::echo(request);
        },
        with("retry: { attempts: 1 }"));
    EXPECT_EQ(proxy.get().status, 200);
    const Response answer = method == std::string("GET") ? proxy.get() : post(proxy, "body");
    EXPECT_EQ(answer.status, 200) << method;
    EXPECT_EQ(proxy.origin.connections(), 2U);
  }
}

TEST(H2UpstreamPool, AGoawayLetsTheStreamsUnderWayFinish) {
  Gate finish;
  const H2Upstream proxy(
      [&](const H2Request& request) {
        if (request->request().path() != "/held") return H2Upstream::echo(request);
        request->head(200);
        request->data("begin ");
        request->link().goaway(request->stream());
        finish.wait();
        request->data("end", true);
      },
      with(""));
  RawClient held = proxy.connect();
  held.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n");
  held.until("begin ");
  ASSERT_TRUE(wait_until([&] {
    proxy.get("/other");
    return proxy.origin.connections() == 2;
  }));
  EXPECT_EQ(post(proxy, "x").status, 200);
  finish.open();
  EXPECT_NE(held.until("0\r\n\r\n").find("end"), std::string::npos);
  EXPECT_TRUE(wait_until([&] { return proxy.origin.links()[0]->is_closed(); }));
  EXPECT_EQ(proxy.origin.connections(), 2U);
}

TEST(H2UpstreamPool, AGoawayThatAnnouncesTheEndCostsNothing) {
  // As servers do it that stop: first the highest number there is, later the last stream.
  Gate finish;
  const H2Upstream proxy(
      [&](const H2Request& request) {
        if (request->request().path() != "/held") return H2Upstream::echo(request);
        request->link().goaway(0x7fffffff);
        finish.wait();
        request->link().goaway(request->stream());
        request->respond("held");
        request->link().close();
      },
      with("retry: { attempts: 1 }"));
  std::vector<RawClient> held = ask_at_once(proxy.daemon.port(), 1, "/held");
  ASSERT_TRUE(proxy.origin.wait_requests(1));
  ASSERT_TRUE(wait_until([&] {
    EXPECT_EQ(proxy.get("/other").status, 200);
    return proxy.origin.connections() == 2;
  }));
  finish.open();
  EXPECT_EQ(held[0].response().body, "held");
}

TEST(H2UpstreamPool, AConnectionThatEndsUnderRequestsIsRetriedForGetOnly) {
  const H2Upstream proxy(
      [](const H2Request& request) {
        const H2Message asked = request->request();
        if (asked.method() == "POST") request->read_body();
        if (asked.method() == "POST" || request->link().number() == 0)
          return request->link().close();
        H2Upstream::echo(request);
      },
      with(""));
  EXPECT_EQ(proxy.get("/get").body, "GET /get ");
  EXPECT_EQ(post(proxy, "body", "/post").status, 502);
  const std::string why = proxy.daemon.wait_access_of("/post").why();
  EXPECT_TRUE(why == "reset" || why == "end_of_stream") << why;
  EXPECT_EQ(proxy.get("/after").status, 200);
}

TEST(H2UpstreamPool, WhoLosesAKeptConnectionTriesANewOne) {
  constexpr std::size_t kKept = 3;
  Gate all;
  std::atomic<std::size_t> there = 0;
  const H2Upstream proxy(
      [&](const H2Request& request) {
        if (request->stream() != 1 && request->link().number() < kKept)
          return request->link().close();
        if (++there == kKept) all.open();
        all.wait();
        request->respond("ok");
      },
      with("", "workers: 1\n", {{h2::kMaxConcurrentStreams, 1}}));
  std::vector<RawClient> clients = ask_at_once(proxy.daemon.port(), kKept);
  for (RawClient& client : clients) EXPECT_EQ(client.response().status, 200);
  ASSERT_EQ(proxy.origin.connections(), kKept);
  EXPECT_EQ(proxy.get("/again").status, 200);
  EXPECT_EQ(proxy.origin.connections(), kKept + 1);
}

TEST(H2UpstreamPool, IdleConnectionsThatTheServerEndsCostNothing) {
  const H2Upstream proxy(H2Upstream::echo, with("retry: { attempts: 1 }"));
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(post(proxy, "body").status, 200);
    const auto link = proxy.origin.links().back();
    if (i % 2 == 0) link->goaway(1);
    link->close();
    ASSERT_TRUE(wait_until([&] { return proxy.origin.open_connections() == 0; }));
  }
  EXPECT_EQ(proxy.origin.connections(), 5U);
}

// How long connections live.

TEST(H2UpstreamPool, IdleConnectionsAreClosedInTime) {
  const H2Upstream proxy(H2Upstream::echo, with("keepalive: { idle: 300ms }"));
  EXPECT_EQ(proxy.get().status, 200);
  const Stopwatch watch;
  const auto link = proxy.origin.links().front();
  EXPECT_TRUE(link->wait([](const H2State&) { return false; }) || link->is_closed());
  EXPECT_GE(watch.elapsed(), Milliseconds(200));
  EXPECT_EQ(proxy.get().status, 200);
  EXPECT_EQ(proxy.origin.connections(), 2U);
}

TEST(H2UpstreamPool, NoConnectionIsKeptWhenNoneMayBeIdle) {
  const H2Upstream proxy(H2Upstream::echo, with("keepalive: { max_idle: 0 }"));
  EXPECT_EQ(proxy.get().status, 200);
  EXPECT_TRUE(wait_until([&] { return proxy.origin.open_connections() == 0; }));
}

TEST(H2UpstreamPool, AConnectionThatIsOldTakesNoNewStreams) {
  Gate finish;
  const H2Upstream proxy(
      [&](const H2Request& request) {
        if (request->request().path() == "/held") finish.wait();
        H2Upstream::echo(request);
      },
      with("keepalive: { lifetime: 300ms }"));
  std::vector<RawClient> held = ask_at_once(proxy.daemon.port(), 1, "/held");
  ASSERT_TRUE(proxy.origin.wait_requests(1));
  EXPECT_TRUE(wait_until([&] {
    EXPECT_EQ(proxy.get("/other").status, 200);
    return proxy.origin.connections() == 2;
  }));
  finish.open();
  EXPECT_EQ(held[0].response().body, "GET /held ");
  EXPECT_TRUE(wait_until([&] { return proxy.origin.links()[0]->is_closed(); }));
}

TEST(H2UpstreamPool, AConnectionThatIsOldServesOnWhereThereMayBeNoOther) {
  Gate finish;
  H2Origin origin([&](const H2Request& request) {
    if (request->request().path() == "/held") finish.wait();
    H2Upstream::echo(request);
  });
  const Daemon daemon(std::string(kPlainListener) +
                      "workers: 1\nupstreams: { app: { servers: [ { url: '" + origin.url() +
                      "', max_connections: 1 } ], keepalive: { lifetime: 600ms } } }\n"
                      "routes: [ { to: app } ]\n");
  std::vector<RawClient> held = ask_at_once(daemon.port(), 1, "/held");
  ASSERT_TRUE(origin.wait_requests(1));
  for (const Stopwatch watch; watch.elapsed() < Milliseconds(2000);)
    ASSERT_EQ(fetch(daemon.port(), "/other").status, 200);
  EXPECT_EQ(origin.connections(), 1U);
  finish.open();
  EXPECT_EQ(held[0].response().body, "GET /held ");
  // It ends where nothing holds it.
  EXPECT_TRUE(wait_until([&] {
    EXPECT_EQ(fetch(daemon.port(), "/other").status, 200);
    return origin.connections() == 2;
  }));
}

TEST(H2UpstreamPool, AConnectionThatGrowsOldWhileARequestWaitsServesIt) {
  Gate finish;
  Gate first;
  H2OriginOptions options;
  options.settings = {{h2::kMaxConcurrentStreams, 2}};
  H2Origin origin(
      [&](const H2Request& request) {
        if (request->request().path() == "/held") finish.wait();
        if (request->request().path() == "/first") first.wait();
        H2Upstream::echo(request);
      },
      options);
  const Daemon daemon(
      std::string(kPlainListener) + "workers: 1\nupstreams: { app: { servers: [ { url: '" +
      origin.url() +
      "', max_connections: 1 } ], keepalive: { lifetime: 1s }, limits: { queue_timeout: 8s } } }\n"
      "routes: [ { to: app } ]\n");
  const Stopwatch age;
  std::vector<RawClient> clients = ask_at_once(daemon.port(), 1, "/held");
  ASSERT_TRUE(origin.wait_requests(1));
  std::vector<RawClient> second = ask_at_once(daemon.port(), 1, "/first");
  ASSERT_TRUE(origin.wait_requests(2));
  std::vector<RawClient> third = ask_at_once(daemon.port(), 1, "/waits");
  std::this_thread::sleep_for(Milliseconds(1200) - age.elapsed());  // until it is old
  first.open();
  EXPECT_EQ(third[0].response().status, 200);
  EXPECT_EQ(origin.connections(), 1U);
  finish.open();
}

TEST(H2UpstreamPool, AReloadThatTakesTheServerAwayEndsItsConnection) {
  H2Origin old("old");
  H2Origin fresh("new");
  Daemon daemon(balance_over({old.url()}));
  EXPECT_EQ(fetch(daemon.port()).body, "old");
  ASSERT_TRUE(daemon.reload(balance_over({fresh.url()})));
  EXPECT_TRUE(wait_until([&] { return fetch(daemon.port()).body == "new"; }));
  EXPECT_TRUE(wait_until([&] { return old.open_connections() == 0; }));
}

}  // namespace revproxyd::testing

// Servers that fail: health checks, retries and what is never repeated.

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <mutex>

#include <gtest/gtest.h>

#include "tests/support/load.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kPost = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
constexpr std::string_view kFastChecks =
    "health_check: { path: /healthz, interval: 100ms, timeout: 200ms, rise: 2, fall: 2 }";

std::string dead_url() {
  Origin origin;
  origin.stop();
  return origin.url();
}

// Reads a request and goes away without an answer.
void read_and_close(OriginExchange& exchange) {
  exchange.read_body();
  exchange.close();
}

std::string first_of(const std::vector<std::string>& urls, std::string_view more = {}) {
  return balance_over(urls,
                      "balance: first" + std::string(more.empty() ? "" : ", ") + std::string(more));
}

// A server whose health the test decides.
// What it says is settled before its origin starts, which shares it with other threads.
struct Patient {
  std::atomic<bool> healthy = true;
  std::string good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  std::string bad = "HTTP/1.1 500 Sick\r\nContent-Length: 0\r\n\r\n";
  Origin origin{[this](OriginExchange& exchange) {
    exchange.read_body();
    if (exchange.request().target == "/healthz") {
      exchange.send(healthy ? good : bad);
    } else {
      exchange.respond("ok");
    }
  }};
};

void expect_follows_health(Patient& patient, const Daemon& daemon) {
  const auto becomes = [&](int status) {
    return wait_until([&] { return fetch(daemon.port()).status == status; });
  };
  EXPECT_TRUE(becomes(200));
  patient.healthy = false;
  EXPECT_TRUE(becomes(503));
  patient.healthy = true;
  EXPECT_TRUE(becomes(200));
}

}  // namespace

TEST(Failover, HealthChecksTakeServersOutAndBack) {
  Patient patient;
  const Daemon daemon(balance_over({patient.origin.url()}, kFastChecks));
  expect_follows_health(patient, daemon);
  EXPECT_EQ(daemon.wait_access_why("no_server").status(), 503);
}

TEST(Failover, AServerThatComesBackTakesThoseThatWaitForAnother) {
  Gate release;
  const Origin busy([&](OriginExchange& exchange) {
    if (exchange.request().target != "/healthz") release.wait();
    exchange.respond("ok");
  });
  Patient patient{.healthy = false};
  const Daemon daemon(std::string(kPlainListener) +
                      "workers: 1\nupstreams: { app: { servers: [ { url: '" + busy.url() +
                      "', max_connections: 1 }, { url: '" + patient.origin.url() +
                      "' } ], limits: { max_pending: 1, queue_timeout: 3s }, " +
                      std::string(kFastChecks) + " } }\nroutes: [ { name: all, to: app } ]\n");
  daemon.wait_log("is down");
  RawClient held(daemon.port());
  held.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(busy.wait_requests_for("/"));
  // One of these waits, and the other tells that it does.
  RawClient a(daemon.port());
  RawClient b(daemon.port());
  for (RawClient* client : {&a, &b}) client->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  daemon.wait_access_why("queue_full");
  patient.healthy = true;
  EXPECT_EQ(a.response().status + b.response().status, 200 + 503);
  release.open();
  EXPECT_EQ(held.response().status, 200);
}

TEST(Failover, TheIntervalOfHealthChecksBeginsWithACheck) {
  const Origin origin([](OriginExchange& exchange) {
    std::this_thread::sleep_for(Milliseconds(300));
    exchange.respond("ok");
  });
  const Daemon daemon(
      balance_over({origin.url()}, "health_check: { path: /, interval: 500ms, timeout: 2s }"));
  ASSERT_TRUE(origin.wait_requests(1));
  const Stopwatch watch;
  ASSERT_TRUE(origin.wait_requests(6));
  EXPECT_GE(watch.elapsed().count(), 1900);
  EXPECT_LT(watch.elapsed().count(), 3300) << "five times 400 to 600 ms, and not of 700 to 900";
}

TEST(Failover, HealthChecksLookAtTheBody) {
  Patient patient{.good = response_text("state: ready\n"),
                  .bad = response_text("state: starting\n")};
  const Daemon daemon(balance_over({patient.origin.url()},
                                   "health_check: { path: /healthz, interval: 100ms, timeout: "
                                   "200ms, rise: 1, fall: 1, expect: { body: ready } }"));
  expect_follows_health(patient, daemon);
}

TEST(Failover, HealthChecksLookAtTheFirst64KiBOfTheBody) {
  constexpr std::size_t kLooked = 64 * 1024;
  const std::string text = "ready";
  Patient patient{.good = response_text(std::string(kLooked - text.size(), 'x') + text),
                  .bad = response_text(std::string(kLooked - text.size() + 1, 'x') + text)};
  const Daemon daemon(balance_over({patient.origin.url()},
                                   "health_check: { path: /healthz, interval: 100ms, timeout: "
                                   "1s, rise: 1, fall: 1, expect: { body: ready } }"));
  expect_follows_health(patient, daemon);
}

TEST(Failover, HealthChecksFindATextThatComesInPieces) {
  Patient patient{.good =
                      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "4\r\nrere\r\n1\r\na\r\n3\r\ndy!\r\n0\r\n\r\n"};
  const Daemon daemon(balance_over({patient.origin.url()},
                                   "health_check: { path: /healthz, interval: 100ms, timeout: 1s, "
                                   "rise: 1, fall: 1, expect: { body: ready } }"));
  expect_follows_health(patient, daemon);
}

TEST(Failover, HealthChecksLookAtFields) {
  Patient patient{.good = response_text("", 200, "X-State: up\r\n"),
                  .bad = response_text("", 200, "X-State: down\r\n")};
  const Daemon daemon(balance_over(
      {patient.origin.url()},
      "health_check: { path: /healthz, interval: 100ms, timeout: 200ms, rise: 1, fall: 1, "
      "expect: { header: { X-State: up } } }"));
  expect_follows_health(patient, daemon);
}

TEST(Failover, HealthChecksTakeAStatusListAndAHost) {
  Patient patient{.good = response_text("", 418), .bad = response_text("", 200)};
  const Daemon daemon(balance_over({patient.origin.url()},
                                   "health_check: { path: /healthz, host: checks.example, "
                                   "interval: 100ms, timeout: 200ms, rise: 1, "
                                   "fall: 1, expect: [ 204, 418 ] }"));
  expect_follows_health(patient, daemon);
  for (const Request& request : patient.origin.requests()) {
    if (request.target == "/healthz") {
      EXPECT_EQ(request.field("Host"), "checks.example");
    }
  }
}

TEST(Failover, HealthChecksTakeHeadsAsLargeAsTrafficMayHaveThem) {
  Patient patient;
  patient.good = response_text("ok", 200, "X-A: " + std::string(100'000, 'a') + "\r\n");
  const Daemon daemon(
      balance_over({patient.origin.url()},
                   std::string(kFastChecks) + ", limits: { response_header_bytes: 128KiB }"));
  expect_follows_health(patient, daemon);
}

TEST(Failover, HealthChecksCountSilenceAsFailure) {
  Patient patient{.bad = ""};
  const Daemon daemon(balance_over({patient.origin.url()}, kFastChecks));
  expect_follows_health(patient, daemon);
}

TEST(Failover, TcpChecksOnlyConnect) {
  Origin origin;
  const Daemon daemon(balance_over(
      {origin.url()},
      "health_check: { type: tcp, interval: 100ms, timeout: 200ms, rise: 1, fall: 1 }"));
  EXPECT_EQ(fetch(daemon.port()).status, 200);
  origin.stop();
  EXPECT_TRUE(wait_until([&] { return fetch(daemon.port()).status == 503; }));
  origin.start();
  EXPECT_TRUE(wait_until([&] { return fetch(daemon.port()).status == 200; }));
}

TEST(Failover, KillingOneOfThreeUnderLoadFailsNoRequest) {
  Origin first;
  Origin second;
  Origin third;
  const Daemon daemon(
      balance_over({first.url(), second.url(), third.url()}, "timeouts: { connect: 1s }"));
  Load load({{daemon.port(), true, {}, "/"},
             {daemon.port(), true, {}, "/"},
             {daemon.port(), false, {}, "/"}});
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(load.wait_more(100));
    second.stop();
    ASSERT_TRUE(load.wait_more(200));
    second.start();
  }
  load.stop();
  std::printf("3 deaths of a server beside %zu requests, %zu failed\n", load.done(), load.failed());
  EXPECT_EQ(load.failed(), 0U) << load.failures();
}

// More requests at once than the budget has retries.
TEST(Failover, AServerThatDiesUnderManyRequestsFailsNone) {
  Origin dying([](OriginExchange& exchange) { exchange.peer_closes(); });
  const Origin living("living");
  const Daemon daemon(balance_over({dying.url(), living.url()}));
  std::vector<RawClient> clients;
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back(daemon.port());
    clients.back().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  ASSERT_TRUE(wait_until([&] { return dying.request_count() + living.request_count() == 40; }));
  ASSERT_GT(dying.request_count(), 10U);
  dying.stop();
  for (RawClient& client : clients) EXPECT_EQ(client.response().body, "living");
}

// A server that breaks off and goes on taking connections may be overloaded: that is what the
// budget is for. Without a share of the requests each of two workers has three retries a second.
TEST(Failover, AServerThatLivesOnGetsNoMoreThanTheBudget) {
  const Origin sick([](OriginExchange& exchange) { exchange.reset(); });
  const Origin other([](OriginExchange& exchange) { exchange.reset(); });
  const Daemon daemon(balance_over({sick.url(), other.url()}, "retry: { budget: 0% }"));
  constexpr std::size_t kRequests = 100;
  const Stopwatch watch;
  for (std::size_t i = 0; i < kRequests; ++i) EXPECT_EQ(fetch(daemon.port()).status, 502);
  const auto seconds = static_cast<std::size_t>(watch.elapsed().count()) / 1000 + 2;
  EXPECT_LE(sick.request_count() + other.request_count(), kRequests + 2 * 3 * seconds);
}

TEST(Failover, AServerThatIsAloneIsNotAskedWhetherItLives) {
  const Origin sick([](OriginExchange& exchange) { exchange.reset(); });
  const Daemon daemon(balance_over({sick.url()}, "retry: { budget: 0% }"));
  for (int i = 0; i < 30; ++i) EXPECT_EQ(fetch(daemon.port()).status, 502);
  EXPECT_EQ(sick.connections(), sick.request_count());
}

TEST(Failover, WhetherAServerLivesIsAskedBehindThePROXYHeader) {
  std::mutex mutex;
  std::size_t looks = 0;
  std::vector<std::string> others;
  const OriginScript breaks = [&](OriginExchange& exchange) {
    std::string got;
    for (std::string more; !got.ends_with("\r\n\r\n"); got += more) {
      more = exchange.stream().receive();
      if (more.empty()) break;
    }
    {
      const std::lock_guard lock(mutex);
      if (got == "PROXY UNKNOWN\r\n") ++looks;
      if (!got.starts_with("PROXY ")) others.push_back(got);
    }
    exchange.reset();
  };
  OriginOptions raw;
  raw.raw = true;
  const Origin first(breaks, raw);
  const Origin second(breaks, raw);
  const Daemon daemon(balance_over({first.url(), second.url()},
                                   "proxy_protocol: v1, retry: { budget: 0% }", "workers: 1\n"));
  EXPECT_TRUE(wait_until([&] {
    EXPECT_EQ(fetch(daemon.port()).status, 502);
    const std::lock_guard lock(mutex);
    return looks > 2 || !others.empty();
  }));
  EXPECT_EQ(others, std::vector<std::string>());
}

TEST(Failover, GetIsRepeatedWhenTheServerDiesBeforeItsAnswer) {
  const Origin dying(read_and_close);
  const Origin living("living");
  const Daemon daemon(first_of({dying.url(), living.url()}));
  for (const char* method : {"GET", "HEAD", "OPTIONS"}) {
    SCOPED_TRACE(method);
    RawClient client(daemon.port());
    client.send(std::string(method) + " /" + method + " HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(client.response(method).status, 200);
  }
  const AccessEntry entry = daemon.wait_access_of("/GET");
  EXPECT_EQ(entry.number("retries"), 1);
  EXPECT_EQ(entry.text("server"), living.url());
}

TEST(Failover, GetIsRepeatedWhenTheServerResets) {
  const Origin dying([](OriginExchange& exchange) { exchange.reset(); });
  const Origin living("living");
  const Daemon daemon(first_of({dying.url(), living.url()}));
  EXPECT_EQ(fetch(daemon.port()).body, "living");
}

TEST(Failover, PostIsNotRepeatedOnceBytesWereSent) {
  const Origin dying(read_and_close);
  const Origin living("living");
  const Daemon daemon(first_of({dying.url(), living.url()}));
  RawClient client(daemon.port());
  client.send(kPost);
  EXPECT_EQ(client.response().status, 502);
  EXPECT_EQ(dying.request_count(), 1U);
  EXPECT_EQ(living.request_count(), 0U);
}

TEST(Failover, DeleteAndUnknownMethodsAreNotRepeatedOnceBytesWereSent) {
  const Origin dying(read_and_close);
  const Origin living("living");
  const Daemon daemon(first_of({dying.url(), living.url()}));
  for (const char* method : {"DELETE", "PUT", "PATCH", "BREW"}) {
    SCOPED_TRACE(method);
    RawClient client(daemon.port());
    client.send(std::string(method) + " / HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(client.response().status, 502);
  }
  EXPECT_EQ(living.request_count(), 0U);
}

TEST(Failover, PostIsRepeatedWhenNoConnectionWasMade) {
  const Origin living("living");
  const Daemon daemon(first_of({dead_url(), living.url()}));
  RawClient client(daemon.port());
  client.send(kPost);
  EXPECT_EQ(client.response().body, "living");
  EXPECT_EQ(living.request().body, "body");
}

TEST(Failover, WhatWasNotSentIsRepeatedWhateverTheConditions) {
  const Origin living("living");
  for (const char* conditions : {"[]", "[ reset ]", "[ 503 ]"}) {
    const Daemon daemon(first_of({dead_url(), living.url()},
                                 "retry: { conditions: " + std::string(conditions) + " }"));
    EXPECT_EQ(fetch(daemon.port()).body, "living") << conditions;
  }
}

TEST(Failover, GetIsNotRepeatedOnceTheAnswerBegan) {
  const Origin dying([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    exchange.close();
  });
  const Origin living("living");
  const Daemon daemon(first_of({dying.url(), living.url()}));
  RawClient client(daemon.port());
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THROW(client.response(), Disconnected);
  EXPECT_EQ(living.request_count(), 0U);
}

TEST(Failover, OneAttemptMeansOneAttempt) {
  const Origin dying(read_and_close);
  const Origin living("living");
  const Daemon daemon(first_of({dying.url(), living.url()}, "retry: { attempts: 1 }"));
  EXPECT_EQ(fetch(daemon.port()).status, 502);
  EXPECT_EQ(living.request_count(), 0U);
}

TEST(Failover, AttemptsGoToDifferentServers) {
  const Origin a(read_and_close);
  const Origin b(read_and_close);
  const Origin c("c");
  const Daemon daemon(first_of({a.url(), b.url(), c.url()}, "retry: { attempts: 3 }"));
  EXPECT_EQ(fetch(daemon.port()).body, "c");
  EXPECT_EQ(a.request_count(), 1U);
  EXPECT_EQ(b.request_count(), 1U);
}

TEST(Failover, KeptConnectionsThatWentStaleCostNoRequest) {
  // Every connection answers one request and breaks off at the next one, as a server does whose
  // idle time is over.
  const Origin origin([](OriginExchange& exchange) { exchange.respond("ok"); });
  std::mutex mutex;
  std::vector<std::size_t> used;
  Origin stale([&](OriginExchange& exchange) {
    const std::lock_guard lock(mutex);
    const bool again = std::find(used.begin(), used.end(), exchange.connection()) != used.end();
    if (again) return exchange.close();
    used.push_back(exchange.connection());
    exchange.respond("ok");
  });
  const Daemon daemon(balance_over({stale.url()}, "", "workers: 1\n"));
  RawClient client(daemon.port());
  for (int i = 0; i < 4; ++i) EXPECT_EQ(client.get("/").status, 200);
}

TEST(Failover, SeveralKeptConnectionsThatWentStaleCostNoRequest) {
  std::mutex mutex;
  std::set<std::size_t> used;
  Gate both;
  Origin stale([&](OriginExchange& exchange) {
    {
      const std::lock_guard lock(mutex);
      if (!used.insert(exchange.connection()).second) return exchange.close();
    }
    both.wait();
    exchange.respond("ok");
  });
  const Daemon daemon(balance_over({stale.url()}, "", "workers: 1\n"));
  RawClient one(daemon.port());
  RawClient other(daemon.port());
  for (RawClient* client : {&one, &other}) client->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(stale.wait_requests(2));
  both.open();
  for (RawClient* client : {&one, &other}) EXPECT_EQ(client->response().status, 200);
  EXPECT_EQ(one.get("/").status, 200);
}

TEST(Failover, WhatIsNotRepeatedUsesNoConnectionThatHasBeenIdleForLong) {
  for (const std::string method : {"POST", "PUT", "DELETE"}) {
    std::atomic<bool> closing = false;
    Origin origin([&](OriginExchange& exchange) {
      exchange.read_body();
      if (closing && exchange.connection() == 0) return exchange.close();
      exchange.respond("ok");
    });
    const Daemon daemon(balance_over({origin.url()}, "", "workers: 1\n"));
    RawClient client(daemon.port());
    EXPECT_EQ(client.get("/").status, 200);
    closing = true;
    EXPECT_TRUE(client.stays_quiet(Milliseconds(1300)));
    client.send(method + " / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    EXPECT_EQ(client.response().status, 200) << method;
  }
}

TEST(Failover, StatusesAreRepeatedOnlyWhenListed) {
  const Origin sick([](OriginExchange& exchange) {
    exchange.read_body();
    exchange.respond("sick", 503);
  });
  const Origin living("living");
  const Daemon unlisted(first_of({sick.url(), living.url()}));
  EXPECT_EQ(fetch(unlisted.port()).body, "sick");
  const Daemon listed(
      first_of({sick.url(), living.url()}, "retry: { conditions: [ connect, reset, 503 ] }"));
  EXPECT_EQ(fetch(listed.port()).body, "living");
}

TEST(Failover, RelaysTheLastAnswerWhenEveryServerIsSick) {
  const auto sick = [](OriginExchange& exchange) { exchange.respond("sick", 503); };
  const Origin a(sick);
  const Origin b(sick);
  const Daemon daemon(balance_over({a.url(), b.url()}, "retry: { conditions: [ connect, 503 ] }"));
  const Response response = fetch(daemon.port());
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body, "sick");
}

TEST(Failover, SaysBadGatewayWhenNobodyListens) {
  const Daemon daemon(balance_over({dead_url(), dead_url()}));
  EXPECT_EQ(fetch(daemon.port()).status, 502);
}

TEST(Failover, TheLastServerIsTriedEvenAfterItRefused) {
  Origin origin;
  origin.stop();
  const Daemon daemon(balance_over({origin.url()}));
  EXPECT_EQ(fetch(daemon.port()).status, 502);
  origin.start();
  EXPECT_EQ(fetch(daemon.port()).status, 200);
}

TEST(Failover, ANameThatDoesNotResolveDoesNotStopTheStart) {
  const Origin origin;
  const Daemon daemon(
      std::string(kPlainListener) +
      "routes:\n  - { path: /lost, to: 'http://no-such-host.invalid:80' }\n  - { to: '" +
      origin.url() + "' }\n");
  EXPECT_EQ(fetch(daemon.port()).status, 200);
  const int status = fetch(daemon.port(), "/lost").status;
  EXPECT_TRUE(status == 502 || status == 503) << status;
}

TEST(Failover, NamesAreResolved) {
  const Origin origin;
  const Daemon daemon(balance_over({"http://localhost:" + std::to_string(origin.port())}));
  EXPECT_TRUE(wait_until([&] { return fetch(daemon.port()).status == 200; }));
}

}  // namespace revproxyd::testing

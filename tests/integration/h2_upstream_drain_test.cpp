// Servers of HTTP/2 that leave under load: what they had not begun is asked elsewhere, and no
// client sees anything of it (RFC 9113 sections 6.8 and 8.7).

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>

#include <gtest/gtest.h>

#include "tests/support/h2_load.h"
#include "tests/support/h2_upstream.h"
#include "tests/support/load.h"

namespace revproxyd::testing {

namespace {

constexpr std::uint32_t kAnyStream = 0x7fffffff;

/// Ends each connection after so many requests. Streams behind the last one it never looks at.
class Leaving {
 public:
  /// `announces`: says first that it is going to.
  Leaving(std::size_t requests, bool announces) : requests_(requests), announces_(announces) {}

  void answer(const H2Request& request) {
    if (!takes(request)) return;
    request->read_body();
    request->respond("taken");
  }
  std::size_t left() const {
    const std::lock_guard lock(mutex_);
    return left_;
  }

 private:
  struct Connection {
    std::size_t requests = 0;
    std::uint32_t highest = 0;
    std::optional<std::uint32_t> last;
  };

  bool takes(const H2Request& request) {
    const std::lock_guard lock(mutex_);
    Connection& connection = connections_[request->link().number()];
    if (connection.last && request->stream() > *connection.last) return false;
    connection.highest = std::max(connection.highest, request->stream());
    if (++connection.requests != requests_) return true;
    ++left_;
    connection.last = announces_ ? kAnyStream : connection.highest;
    request->link().goaway(*connection.last);
    return true;
  }

  const std::size_t requests_;
  const bool announces_;
  mutable std::mutex mutex_;
  std::map<std::size_t, Connection> connections_;
  std::size_t left_ = 0;
};

/// Clients of both versions, with GET and, if they shall, POST.
struct Clients {
  explicit Clients(std::uint16_t port, bool post = true)
      : h1({{.port = port}, {.port = port, .keep = false}}), h2(plans(port, post)) {}

  static std::vector<H2LoadPlan> plans(std::uint16_t port, bool post) {
    std::vector<H2LoadPlan> out{{.port = port, .depth = 8}, {.port = port, .depth = 4}};
    if (post) out.push_back({.port = port, .depth = 6, .body = "content"});
    return out;
  }
  bool wait_more(std::size_t count) const { return h2.wait_more(count) && h1.wait_more(20); }
  void stop() {
    h1.stop();
    h2.stop();
  }
  void expect_no_failure() const {
    EXPECT_EQ(h1.failed(), 0U) << h1.failures() << " of " << h1.done();
    EXPECT_EQ(h2.failed() + h2.refused(), 0U) << h2.report();
  }

  Load h1;
  H2Load h2;
};

void expect_unnoticed(bool announces, const H2UpstreamOptions& options) {
  Leaving leaving(50, announces);
  const H2Upstream proxy([&](const H2Request& request) { leaving.answer(request); }, options);
  Clients clients(proxy.daemon.port());
  EXPECT_TRUE(clients.wait_more(1000)) << clients.h2.report();
  clients.stop();
  clients.expect_no_failure();
  EXPECT_GE(leaving.left(), 10U);
  EXPECT_TRUE(wait_until([&] { return proxy.origin.open_connections() <= 2; }))
      << "one for each worker; those that were left are closed";
}

/// Every further one is met by GOAWAY.
H2Script one_request_a_connection(const std::string& body) {
  return [body](const H2Request& request) {
    if (request->stream() != 1) return request->link().goaway(1);
    request->respond(body);
  };
}

}  // namespace

TEST(H2UpstreamDrain, GoawayUnderLoadFailsNoRequest) { expect_unnoticed(false, {}); }

TEST(H2UpstreamDrain, GoawayThatIsAnnouncedUnderLoadFailsNoRequest) { expect_unnoticed(true, {}); }

TEST(H2UpstreamDrain, GoawayUnderLoadAndTlsFailsNoRequest) {
  Certificates authority;
  expect_unnoticed(false, under_tls(authority));
}

TEST(H2UpstreamDrain, GoawayCostsNoRetries) {
  H2UpstreamOptions options;
  options.settings = "retry: { budget: 0% }";
  expect_unnoticed(false, options);
}

TEST(H2UpstreamDrain, WhatAServerHasNotLookedAtStaysWithIt) {
  for (const char* balance : {"balance: first", "balance: { method: hash, key: uri }"}) {
    SCOPED_TRACE(balance);
    H2Origin first(one_request_a_connection("first"));
    H2Origin second(one_request_a_connection("second"));
    const Daemon daemon(balance_over({first.url(), second.url()}, balance, "workers: 1\n"));
    const std::string owner = fetch(daemon.port()).body;
    for (int i = 0; i < 10; ++i) EXPECT_EQ(fetch(daemon.port()).body, owner);
    EXPECT_EQ(first.request_count() * second.request_count(), 0U) << "one of them is not asked";
  }
}

TEST(H2UpstreamDrain, WhatAServerHasNotLookedAtIsNoFailureOfIt) {
  const H2Upstream proxy(one_request_a_connection("answer"), {{}, "workers: 1\n", {}});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(proxy.get().body, "answer");
  EXPECT_EQ(proxy.origin.connections(), 3U);
  EXPECT_NE(proxy.daemon.ctl("status").out.find(" in all, 0 failed\n"), std::string::npos)
      << proxy.daemon.ctl("status").out;
  EXPECT_EQ(proxy.daemon.log().find("server " + proxy.origin.url()), std::string::npos)
      << proxy.daemon.log();
}

TEST(H2UpstreamDrain, WhatCanGoNowhereElseIsAFailureOfTheServerThatLeft) {
  constexpr std::size_t kMoreThanIsHeld = 128 * 1024;
  const H2Upstream proxy(
      [](const H2Request& request) {
        if (request->stream() == 1) return request->respond("answer");
        request->wait([](const H2Message& asked) { return asked.body.size() > kMoreThanIsHeld; });
        request->link().goaway(1);
      },
      {{}, "workers: 1\n", {}});
  EXPECT_EQ(proxy.get().body, "answer");
  RawClient client = proxy.connect();
  client.send(post_text("/", std::string(8 * kMoreThanIsHeld, 'b')));
  EXPECT_EQ(client.response().status, 502);
  proxy.daemon.wait_log("server " + proxy.origin.url() + ": reset");
  EXPECT_NE(proxy.daemon.ctl("status").out.find(" in all, 1 failed\n"), std::string::npos)
      << proxy.daemon.ctl("status").out;
}

TEST(H2UpstreamDrain, AServerThatDoesNotLookAgainIsLeft) {
  H2Origin leaving([](const H2Request& request) {
    if (request->link().number() != 0) return request->link().goaway(0);
    if (request->stream() != 1) return request->link().goaway(1);
    request->respond("leaving");
  });
  H2Origin other("other");
  const Daemon daemon(balance_over({leaving.url(), other.url()}, "balance: first", "workers: 1\n"));
  EXPECT_EQ(fetch(daemon.port()).body, "leaving");
  EXPECT_EQ(fetch(daemon.port()).body, "other");
}

TEST(H2UpstreamDrain, AServerThatIsKilledAndComesBackUnderLoadFailsNoGet) {
  // Answers of one frame: one that has begun when its server dies is lost with it.
  const H2Script in_one = [](const H2Request& request) {
    request->head(200, {{"content-length", "0"}}, true);
  };
  H2Origin first(in_one);
  H2Origin second(in_one);
  const Daemon daemon(balance_over({first.url(), second.url()}, "timeouts: { connect: 1s }"));
  Clients clients(daemon.port(), false);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(clients.wait_more(400)) << clients.h2.report();
    second.stop();
    ASSERT_TRUE(clients.wait_more(400)) << clients.h2.report();
    second.start();
  }
  clients.stop();
  clients.expect_no_failure();
}

TEST(H2UpstreamDrain, AServerThatDoesNotListenFailsNoRequest) {
  H2Origin first([](const H2Request& request) { H2Upstream::echo(request); });
  H2Origin second([](const H2Request& request) { H2Upstream::echo(request); });
  const Daemon daemon(balance_over({first.url(), second.url()}, "timeouts: { connect: 1s }"));
  second.stop();
  for (int i = 0; i < 3; ++i) {
    Clients clients(daemon.port());
    EXPECT_TRUE(clients.wait_more(200)) << clients.h2.report();
    second.start();
    EXPECT_TRUE(clients.wait_more(200)) << clients.h2.report();
    clients.stop();
    clients.expect_no_failure();
    second.stop();
  }
}

TEST(H2UpstreamDrain, CallsUnderWayOutliveTheGoawayOfTheirServer) {
  // As with the restart of a gRPC server: the stream goes on, what is new goes to a new connection.
  H2Upstream proxy([](const H2Request& request) {
    if (request->request().path() != "/call") return H2Upstream::echo(request);
    request->head(200, {{"content-type", "application/grpc"}});
    request->data("one ");
    request->link().goaway(request->stream());
    const std::string all = request->read_body();
    request->data(all);
    request->trailers({{"grpc-status", "0"}});
  });
  H2Client client = proxy.connect_h2();
  const std::uint32_t call = client.open(
      client.fields("POST", "/call", {{"content-type", "application/grpc"}, {"te", "trailers"}}),
      false);
  ASSERT_TRUE(
      client.read_until([&](const H2State& state) { return state.message(call).body == "one "; }));
  ASSERT_TRUE(wait_until([&] {
    EXPECT_EQ(client.get("/other").status(), 200);
    return proxy.origin.connections() == 2;
  }));
  client.send_body(call, "two");
  const H2Message answer = client.response(call);
  EXPECT_EQ(answer.body, "one two");
  EXPECT_EQ(answer.trailer("grpc-status"), "0");
}

// Keep-alive.

TEST(H2UpstreamDrain, SilentServersArePingedAndLeftWhenTheyDoNotAnswer) {
  constexpr Milliseconds kLong{60000};
  Gate over;
  H2OriginOptions deaf;
  deaf.state.answer = false;
  H2Origin dead([&](const H2Request&) { over.wait(kLong); }, deaf);
  H2Origin slow([&](const H2Request& request) {
    over.wait(kLong);
    request->respond("late");
  });
  const Daemon daemon(std::string(kPlainListener) + "upstreams: { dead: { servers: [ { url: '" +
                      dead.url() +
                      "' } ], timeouts: { idle: 10s } } }\n"
                      "routes: [ { path: /dead, to: dead }, { path: /slow, to: '" +
                      slow.url() + "' } ]\n");
  RawClient living(daemon.port());
  living.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
  RawClient client(daemon.port());
  client.send("POST /dead HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(slow.wait_requests(1) && dead.wait_requests(1));
  const auto pinged = [](const H2State& state) { return state.frames(h2::kPing) != 0; };
  EXPECT_TRUE(dead.links().front()->wait(pinged, kLong));
  EXPECT_TRUE(slow.links().front()->wait(pinged, kLong));
  client.stream().set_patience(kLong);
  EXPECT_EQ(client.response().status, 502);
  EXPECT_TRUE(wait_until([&] { return dead.links().front()->is_closed(); }));
  EXPECT_FALSE(slow.links().front()->is_closed());
  over.open();
  EXPECT_EQ(living.response().body, "late") << "who answers PING may be slow";
}

}  // namespace revproxyd::testing

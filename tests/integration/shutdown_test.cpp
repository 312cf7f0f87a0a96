// The end: what runs may finish, what is new is refused, what takes too long is cut.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kHandshake =
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
constexpr std::string_view kSwitch =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

}  // namespace

TEST(Shutdown, EndsAtOnceWhenIdle) {
  Proxy proxy("shutdown: { drain: 20s }\n");
  RawClient idle = proxy.connect();
  EXPECT_EQ(idle.get("/").status, 200);
  EXPECT_EQ(proxy.daemon.stop(Milliseconds(5000)), 0);
  EXPECT_TRUE(idle.closes());
}

// RFC 9112 section 2.2: old clients send one behind a body.
TEST(Shutdown, DoesNotWaitForWhatFollowsAnEmptyLine) {
  Proxy proxy("timeouts: { header: 30s }\nshutdown: { drain: 20s }\n");
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\n");
  EXPECT_EQ(client.response().status, 200);
  EXPECT_EQ(proxy.daemon.stop(Milliseconds(5000)), 0);
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(proxy.daemon.access_entries().size(), 1U);
}

// Bodies of these sizes fill what they are read into, and no event tells that nothing follows.
TEST(Shutdown, DoesNotWaitForWhatFollowsAnUpload) {
  Proxy proxy("timeouts: { header: 30s }\nshutdown: { drain: 20s }\n");
  std::vector<RawClient> clients;
  for (const std::size_t size : {32U * 1024U, 64U * 1024U, 128U * 1024U}) {
    RawClient& client = clients.emplace_back(proxy.connect());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: " +
                std::to_string(size) + "\r\n\r\n");
    ASSERT_EQ(client.response_head().status, 100);
    client.send(std::string(size, 'u'));
    EXPECT_EQ(client.response().status, 200);
  }
  EXPECT_EQ(proxy.daemon.stop(Milliseconds(5000)), 0);
  for (RawClient& client : clients) EXPECT_TRUE(client.closes());
}

// Scanners, and balancers that ask whether the port is open.
TEST(Shutdown, DoesNotWaitForClientsThatHaveYetToIntroduceThemselves) {
  Daemon daemon(
      "listeners: [ { name: tls, address: '127.0.0.1:0', tls: internal }, { name: proxied, "
      "address: "
      "'127.0.0.1:0', proxy_protocol: { from: [ 127.0.0.1 ] } } ]\n"
      "timeouts: { handshake: 60s }\n"
      "shutdown: { drain: 60s }\n"
      "routes: [ { respond: { body: x } } ]\n");
  const RawClient in_handshake(daemon.port("tls"));
  const RawClient before_header(daemon.port("proxied"));
  ASSERT_TRUE(comes_to(daemon, "connections_active", 2));
  EXPECT_EQ(daemon.stop(Milliseconds(10000)), 0);
}

TEST(Shutdown, LetsRequestsUnderWayFinishAndRefusesNewConnections) {
  Gate answer;
  Proxy proxy(
      [&](OriginExchange& exchange) {
        answer.wait();
        exchange.respond("finished");
      },
      "shutdown: { drain: 10s }\n");
  const std::uint16_t port = proxy.daemon.port();
  RawClient client = proxy.connect();
  client.send(kGet);
  ASSERT_TRUE(proxy.origin.wait_requests(1));
  proxy.daemon.signal(SIGTERM);
  EXPECT_TRUE(wait_until([&] { return refuses(port); }));
  answer.open();
  const Response response = client.response();
  EXPECT_EQ(response.body, "finished");
  EXPECT_TRUE(equal_ignoring_case(response.field("Connection"), "close"));
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(proxy.daemon.wait_exit(), 0);
}

TEST(Shutdown, IntIsAsGracefulAsTerm) {
  Proxy proxy;
  EXPECT_EQ(proxy.get().status, 200);
  proxy.daemon.signal(SIGINT);
  EXPECT_EQ(proxy.daemon.wait_exit(), 0);
}

TEST(Shutdown, CutsWhatTakesLongerThanTheDrain) {
  Gate never;
  Proxy proxy([&](OriginExchange&) { never.wait(Milliseconds(15000)); },
              "shutdown: { drain: 500ms }\n");
  RawClient client = proxy.connect();
  client.send(kGet);
  ASSERT_TRUE(proxy.origin.wait_requests(1));
  const Stopwatch watch;
  EXPECT_EQ(proxy.daemon.stop(), 0);
  EXPECT_GE(watch.elapsed(), Milliseconds(450));
  EXPECT_EQ(proxy.daemon.wait_access_of("/").why(), "drain_timeout");
  EXPECT_EQ(client.response().status, 503) << "of what has not begun the client is told";
  EXPECT_TRUE(client.closes());
  never.open();
}

TEST(Shutdown, EndsAtOnceAtTheSecondSignal) {
  Gate never;
  Proxy proxy([&](OriginExchange&) { never.wait(Milliseconds(30000)); },
              "shutdown: { drain: 20s }\n");
  RawClient client = proxy.connect();
  client.send(kGet);
  ASSERT_TRUE(proxy.origin.wait_requests(1));
  proxy.daemon.signal(SIGTERM);
  proxy.daemon.wait_log("stopping");
  proxy.daemon.signal(SIGTERM);
  EXPECT_NE(proxy.daemon.wait_exit(Milliseconds(5000)), -1);
  never.open();
}

TEST(Shutdown, SignalsUpToItsVeryEndChangeNothing) {
  for (int i = 0; i < 5; ++i) {
    Daemon daemon(std::string(kPlainListener) + "routes: [ { respond: { body: x } } ]\n");
    siginfo_t ended{};
    do {
      daemon.signal(SIGTERM);
      ::usleep(200);
      ASSERT_EQ(
          ::waitid(P_PID, static_cast<id_t>(daemon.pid()), &ended, WEXITED | WNOHANG | WNOWAIT), 0);
    } while (ended.si_pid == 0);
    EXPECT_EQ(daemon.wait_exit(), 0);
  }
}

TEST(Shutdown, CtlDrainEndsTheDaemon) {
  Proxy proxy;
  EXPECT_EQ(proxy.get().status, 200);
  EXPECT_EQ(proxy.daemon.ctl("drain").status, 0);
  EXPECT_EQ(proxy.daemon.wait_exit(), 0);
}

TEST(Shutdown, WritesTheLastLinesOfTheAccessLog) {
  Proxy proxy;
  EXPECT_EQ(proxy.get("/last").status, 200);
  EXPECT_EQ(proxy.daemon.stop(), 0);
  ASSERT_EQ(proxy.daemon.access_entries().size(), 1U);
  EXPECT_EQ(proxy.daemon.access_entries().front().path(), "/last");
}

TEST(Shutdown, LetsTunnelsGoOnForTheDrain) {
  Proxy proxy(
      [](OriginExchange& exchange) {
        exchange.send(kSwitch);
        for (std::string bytes = exchange.stream().receive(); !bytes.empty();
             bytes = exchange.stream().receive()) {
          exchange.send(bytes);
        }
        exchange.close();
      },
      "shutdown: { drain: 1500ms }\n");
  RawClient client = proxy.connect();
  client.send(kHandshake);
  EXPECT_EQ(client.response().status, 101);
  const Stopwatch watch;
  proxy.daemon.signal(SIGTERM);
  EXPECT_TRUE(client.stays_quiet(Milliseconds(500)));
  client.send("still there");
  EXPECT_EQ(client.bytes(11), "still there");
  EXPECT_EQ(proxy.daemon.wait_exit(), 0);
  EXPECT_GE(watch.elapsed(), Milliseconds(1400));
  EXPECT_TRUE(client.closes());
}

TEST(Shutdown, ServesTheRequestsThatAreAlreadyThere) {
  Proxy proxy("shutdown: { drain: 5s }\n");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(proxy.get().status, 200);
  std::vector<RawClient> clients;
  for (int i = 0; i < 30; ++i) {
    clients.push_back(proxy.connect());
    clients.back().send(kGet);
  }
  proxy.daemon.signal(SIGTERM);
  for (RawClient& client : clients) EXPECT_EQ(client.response().status, 200);
  EXPECT_EQ(proxy.daemon.wait_exit(), 0);
}

TEST(Shutdown, EndsAlsoRightBehindAReload) {
  for (int i = 0; i < 3; ++i) {
    Proxy proxy;
    EXPECT_EQ(proxy.get().status, 200);
    proxy.daemon.signal(SIGHUP);
    EXPECT_EQ(proxy.daemon.stop(), 0);
  }
}

}  // namespace revproxyd::testing

// Each time-out with its answer and its word in the log.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include <gtest/gtest.h>

#include "tests/support/h2_upstream.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr Milliseconds kSoon{6000};
constexpr std::string_view kAnyUpload = "limits: { max_body: 0 }\n";

/// A port whose queue of connections is full, so that further ones are not answered.
class DeafPort {
 public:
  DeafPort() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
    ::listen(listener_, 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    for (int& caller : callers_) {
      caller = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      ::connect(caller, reinterpret_cast<sockaddr*>(&address), size);
    }
  }
  DeafPort(const DeafPort&) = delete;
  DeafPort& operator=(const DeafPort&) = delete;
  ~DeafPort() {
    for (const int caller : callers_) ::close(caller);
    ::close(listener_);
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  int listener_;
  int callers_[4] = {};
  std::uint16_t port_ = 0;
};

const std::string kLargeAnswer(1024 * 1024, 'd');
constexpr std::string_view kHalfASecond = "timeouts: { idle: 500ms }";

/// A client uploads as much as is taken of it, and takes a window of the answer, then nothing for
/// three times the server's `timeouts.idle`.
void expect_whole_after_taking_nothing(std::uint16_t port) {
  H2ClientOptions options;
  options.state.give_window = false;
  H2Client client(port, options);
  const std::uint32_t stream = client.open(client.fields("POST", "/both"), false);
  while (client.read_until([&](const H2State& state) { return state.window(stream) > 0; },
                           Milliseconds(200)))
    client.send_body(stream, std::string(client.state().window(stream), 'u'), false);
  std::this_thread::sleep_for(Milliseconds(1500));
  const auto room = static_cast<std::uint32_t>(kLargeAnswer.size());
  client.send(h2::window_update(0, room) + h2::window_update(stream, room));
  const H2Message got = client.response(stream);
  EXPECT_TRUE(got.ended);
  EXPECT_TRUE(got.body == kLargeAnswer) << got.body.size();
}

void silent(OriginExchange& exchange) {
  exchange.peer_closes();
  exchange.close();
}

}  // namespace

TEST(Timeouts, SlowHeadsGet408) {
  const Proxy proxy("timeouts: { header: 500ms }\n");
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n");
  EXPECT_EQ(client.response().status, 408);
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(proxy.daemon.wait_access_why("header_timeout").status(), 408);
}

TEST(Timeouts, HeadsThatTrickleGet408) {
  const Proxy proxy("timeouts: { header: 700ms }\n");
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\nX-A: ");
  const Stopwatch watch;
  while (!client.stream().readable(Milliseconds(100)) && watch.elapsed() < kSoon) client.send("a");
  EXPECT_LT(watch.elapsed(), Milliseconds(3000));
  EXPECT_EQ(client.response().status, 408);
}

TEST(Timeouts, LaterHeadsOfAConnectionCountToo) {
  const Proxy proxy("timeouts: { header: 500ms }\n");
  RawClient client = proxy.connect();
  EXPECT_EQ(client.get("/").status, 200);
  client.send("GET / HT");
  EXPECT_EQ(client.response().status, 408);
}

TEST(Timeouts, AnEmptyLineBehindARequestIsNoLaterHead) {
  const Proxy proxy("timeouts: { header: 300ms, keepalive: 1500ms }\n");
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\n");
  EXPECT_EQ(client.response().status, 200);
  EXPECT_TRUE(client.stays_quiet(Milliseconds(800)));
  EXPECT_EQ(client.get("/next").status, 200);
  client.send("\r\n");
  EXPECT_TRUE(client.closes()) << "without a word, after the keep-alive time";
  EXPECT_EQ(proxy.daemon.access_entries().size(), 2U);
}

TEST(Timeouts, SlowBodiesGet408) {
  Gate cancelled;
  const Proxy proxy(
      [&](OriginExchange& exchange) {
        if (exchange.peer_closes()) cancelled.open();
        exchange.close();
      },
      "timeouts: { body: 500ms }\n");
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
  EXPECT_EQ(client.response().status, 408);
  EXPECT_TRUE(client.closes());
  EXPECT_TRUE(cancelled.wait());
  EXPECT_EQ(proxy.daemon.wait_access_why("body_timeout").status(), 408);
}

TEST(Timeouts, BodiesThatKeepMovingAreLeftAlone) {
  const Proxy proxy("timeouts: { body: 800ms }\n");
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n");
  for (const char byte : std::string("abcdef")) {
    EXPECT_TRUE(client.stays_quiet(Milliseconds(250)));
    client.send(std::string_view(&byte, 1));
  }
  EXPECT_EQ(client.response().status, 200);
}

TEST(Timeouts, BodiesThatStopBesideTheirAnswerDoNotCutIt) {
  Gate release;
  const Proxy proxy(
      [&](OriginExchange& exchange) {
        exchange.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\nhalf");
        release.wait();
        exchange.send("half");
        exchange.close();
      },
      "timeouts: { body: 300ms }\n");
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin");
  EXPECT_EQ(client.response_head().status, 413);
  EXPECT_EQ(client.bytes(4), "half");
  H2Client multiplexed(proxy.daemon.port());
  const std::uint32_t upload = multiplexed.open(multiplexed.fields("POST", "/"), false);
  multiplexed.send_body(upload, "begin", false);
  EXPECT_EQ(multiplexed.response_head(upload).status(), 413);
  EXPECT_TRUE(client.stays_quiet(Milliseconds(900)));
  release.open();
  EXPECT_EQ(client.bytes(4), "half");
  EXPECT_EQ(multiplexed.response(upload).body, "halfhalf");
}

TEST(Timeouts, RoutesHaveBodyTimeoutsOfTheirOwn) {
  const Origin origin;
  const Daemon daemon(std::string(kPlainListener) + "routes: [ { timeouts: { body: 300ms }, to: '" +
                      origin.url() + "' } ]\n");
  RawClient client(daemon.port());
  const Stopwatch watch;
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
  EXPECT_EQ(client.response().status, 408);
  EXPECT_LT(watch.elapsed(), kSoon);
}

TEST(Timeouts, BodiesBelowTheMinimumRateGet408) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
  const Stopwatch watch;
  while (!client.stream().readable(Milliseconds(400)) && watch.elapsed() < Milliseconds(20000))
    client.send("a");
  EXPECT_GE(watch.elapsed(), Milliseconds(9000));
  EXPECT_EQ(client.response().status, 408);
  EXPECT_EQ(proxy.daemon.wait_access_why("body_too_slow").status(), 408);
}

TEST(Timeouts, IdleConnectionsAreClosedWithoutAWord) {
  const Proxy proxy("timeouts: { keepalive: 400ms }\n");
  RawClient client = proxy.connect();
  EXPECT_EQ(client.get("/").status, 200);
  EXPECT_TRUE(client.closes(kSoon));
}

TEST(Timeouts, ConnectionsThatNeverSendAreClosed) {
  const Proxy proxy("timeouts: { header: 400ms, keepalive: 400ms }\n");
  RawClient client = proxy.connect();
  client.stream().set_patience(kSoon);
  const std::string answer = client.until_end();
  EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 408")) << answer;
}

TEST(Timeouts, SlowReadersAreCut) {
  Gate cancelled;
  const Proxy proxy(
      [&](OriginExchange& exchange) {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        const std::string block(65536, 'd');
        try {
          for (;;) exchange.send(block);
        } catch (const Disconnected&) {
          cancelled.open();
        }
        exchange.close();
      },
      "timeouts: { write: 700ms }\n");
  RawClient client = RawClient::slow_reader(proxy.daemon.port());
  client.send(kGet);
  EXPECT_TRUE(cancelled.wait(kSoon));
  EXPECT_EQ(proxy.daemon.wait_access_why("write_timeout").path(), "/");
  pollfd entry{client.stream().fd(), 0, 0};
  EXPECT_EQ(::poll(&entry, 1, static_cast<int>(kSoon.count())), 1);
  EXPECT_NE(entry.revents & POLLERR, 0) << "megabytes stay in the kernel for minutes";
}

// What was on its way when the client stopped is acknowledged by its kernel, and is no progress.
TEST(Timeouts, ReadersThatStopAreCutInTime) {
  const std::string answer(12 * 1024 * 1024, 'd');
  const Proxy proxy([&](OriginExchange& exchange) { exchange.respond(answer); },
                    "timeouts: { write: 3s }\n");
  RawClient client = RawClient::slow_reader(proxy.daemon.port());
  client.send(kGet);
  const double took = proxy.daemon.wait_access_why("write_timeout").number("t_total");
  EXPECT_GE(took, 3000);
  EXPECT_LT(took, 5500) << "twice the time, as without this, is 6000";
}

// The kernel's buffer of the sender holds megabytes, and tells of room when a third is free: a
// client that takes less than that within the time is slow, but it reads.
TEST(Timeouts, SteadyReadersAreLeftAlone) {
  const std::string answer(64 * 1024 * 1024, 'd');
  const Proxy proxy([&](OriginExchange& exchange) { exchange.respond(answer); },
                    "timeouts: { write: 500ms }\n");
  RawClient client = RawClient::slow_reader(proxy.daemon.port());
  client.send(kGet);
  for (const Stopwatch watch; watch.elapsed() < Milliseconds(3000);) {
    ASSERT_FALSE(client.stream().receive(4096).empty()) << "cut off";
    std::this_thread::sleep_for(Milliseconds(20));  // the pace of the reader
  }
  EXPECT_TRUE(proxy.daemon.access_entries().empty());
}

TEST(Timeouts, ServersThatDoNotAnswerGet504) {
  const Origin origin(silent);
  const Daemon daemon(balance_over({origin.url()}, "timeouts: { first_byte: 400ms }"));
  EXPECT_EQ(fetch(daemon.port()).status, 504);
  EXPECT_EQ(daemon.wait_access_of("/").why(), "first_byte_timeout");
  EXPECT_TRUE(wait_until([&] { return origin.open_connections() == 0; }));
}

TEST(Timeouts, FirstByteCountsFromTheEndOfTheRequest) {
  const Origin origin;
  const Daemon daemon(balance_over({origin.url()}, "timeouts: { first_byte: 600ms }"));
  RawClient client(daemon.port());
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
  for (const char byte : std::string("body")) {
    EXPECT_TRUE(client.stays_quiet(Milliseconds(300)));
    client.send(std::string_view(&byte, 1));
  }
  EXPECT_EQ(client.response().status, 200);
}

TEST(Timeouts, ServersThatDoNotAcceptGet504) {
  const DeafPort deaf;
  const Daemon daemon(balance_over({deaf.url()}, "timeouts: { connect: 400ms }"));
  EXPECT_EQ(fetch(daemon.port()).status, 504);
  EXPECT_EQ(daemon.wait_access_of("/").why(), "connect_timeout");
}

TEST(Timeouts, ServersThatDoNotAcceptAreReplaced) {
  const DeafPort deaf;
  const Origin origin;
  const Daemon daemon(
      balance_over({deaf.url(), origin.url()}, "balance: first, timeouts: { connect: 300ms }"));
  RawClient client(daemon.port());
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
  EXPECT_EQ(client.response().status, 200);
}

TEST(Timeouts, ServersThatPauseInsideTheirAnswerAreCut) {
  const Origin origin([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    silent(exchange);
  });
  const Daemon daemon(balance_over({origin.url()}, "timeouts: { idle: 400ms }"));
  RawClient client(daemon.port());
  client.send(kGet);
  EXPECT_THROW(client.response(), Disconnected);
  EXPECT_EQ(daemon.wait_access_of("/").why(), "idle_timeout");
}

// They send before they take an upload, and can do neither while the client takes nothing.
TEST(Timeouts, ServersThatWaitForTheClientAreNotCut) {
  Gate taken;
  OriginOptions little_room;
  little_room.receive_buffer = 4096;
  const Origin origin(
      [&](OriginExchange& exchange) {
        exchange.send(response_text(kLargeAnswer));
        taken.wait();
        exchange.close();
      },
      little_room);
  const Daemon daemon(balance_over({origin.url()}, kHalfASecond, kAnyUpload));
  expect_whole_after_taking_nothing(daemon.port());
  taken.open();
}

TEST(Timeouts, ServersOfHttp2ThatWaitForTheClientAreNotCut) {
  H2UpstreamOptions options{std::string(kHalfASecond), std::string(kAnyUpload), {}};
  options.origin.state.give_window = false;
  const H2Upstream proxy([](const H2Request& request) { request->respond(kLargeAnswer); }, options);
  expect_whole_after_taking_nothing(proxy.daemon.port());
}

TEST(Timeouts, EventStreamsHaveTheTimeOfTunnels) {
  const auto script = [](OriginExchange& exchange) {
    exchange.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    silent(exchange);
  };
  const Origin origin(script);
  const Daemon daemon(
      balance_over({origin.url()}, "timeouts: { idle: 300ms }", "timeouts: { tunnel: 1200ms }\n"));
  RawClient client(daemon.port());
  client.send(kGet);
  EXPECT_EQ(client.response_head().status, 200);
  EXPECT_TRUE(client.stays_quiet(Milliseconds(800)));
  EXPECT_TRUE(client.closes(kSoon));
  EXPECT_EQ(daemon.wait_access_of("/").why(), "tunnel_timeout");
}

TEST(Timeouts, ClientsThatAreNotWaitedForAreLeftAlone) {
  const Origin origin([](OriginExchange& exchange) {
    exchange.peer_closes(Milliseconds(1200));
    exchange.respond("late");
  });
  const Daemon daemon(forward_to(
      origin.url(), "timeouts: { header: 300ms, body: 300ms, write: 300ms, keepalive: 300ms }\n"));
  EXPECT_EQ(fetch(daemon.port()).body, "late");
}

TEST(Timeouts, KeptConnectionsToServersAreClosedInTime) {
  const Origin origin;
  const Daemon daemon(balance_over({origin.url()}, "keepalive: { idle: 300ms }"));
  EXPECT_EQ(fetch(daemon.port()).status, 200);
  EXPECT_TRUE(wait_until([&] { return origin.open_connections() == 0; }, kSoon));
}

TEST(Timeouts, NoConnectionToServersIsKeptWhenNoneMayBeIdle) {
  const Origin origin;
  const Daemon daemon(balance_over({origin.url()}, "keepalive: { max_idle: 0 }"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(fetch(daemon.port()).status, 200);
  EXPECT_EQ(origin.connections(), 3U);
}

TEST(Timeouts, FirstByteRunsAlsoBehindInterimResponses) {
  const Origin origin([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n");
    silent(exchange);
  });
  const Daemon daemon(balance_over({origin.url()}, "timeouts: { first_byte: 500ms }"));
  RawClient client(daemon.port());
  EXPECT_EQ(client.get("/").status, 103);
  EXPECT_EQ(client.response().status, 504);
}

TEST(Timeouts, FirstByteRunsAlsoBehindHalfAHead) {
  const Origin origin([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nX-");
    silent(exchange);
  });
  const Daemon daemon(balance_over({origin.url()}, "timeouts: { first_byte: 500ms, idle: 500ms }"));
  EXPECT_EQ(fetch(daemon.port()).status, 504);
}

}  // namespace revproxyd::testing

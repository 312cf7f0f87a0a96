// The end of a connection whose client has more to send than is taken: its answer arrives all the
// same, however slowly it reads.

#include <signal.h>

#include <thread>

#include <gtest/gtest.h>

#include "tests/support/h2_client.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

// The proxy's kernel holds most of it for a client with a small buffer, and has all of it long
// before that client does.
const std::string kAnswer(3 * 1024 * 1024, 'd');
// As much as fits there at once.
const std::string kSmallAnswer(1024 * 1024, 'd');
const std::string kUpload(64 * 1024, 'u');
constexpr std::string_view kPost =
    "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n";
// How long a close waits for clients that have acknowledged everything.
constexpr Milliseconds kShortLinger{2000};

/// A server that answers at once and takes nothing of the upload, and the daemon in front of it.
struct Uninterested {
  explicit Uninterested(const std::string& answer, const std::string& more = {})
      : origin([this, &answer](OriginExchange& exchange) {
          exchange.respond(answer, 200, "Connection: close\r\n");
          over.wait(Milliseconds(60000));
          exchange.close();
        }),
        daemon(
            "listeners: [ { name: web, address: '127.0.0.1:0' }, { name: tls, address: "
            "'127.0.0.1:0', tls: internal } ]\n"
            "limits: { max_body: 0 }\nroutes: [ { to: '" +
            origin.url() + "' } ]\n" + more) {}
  ~Uninterested() { over.open(); }

  Gate over;
  Origin origin;
  Daemon daemon;
};

/// Everything up to the end, by a client that uploads while it reads.
std::string read_slowly(Stream& stream) {
  constexpr std::size_t kBytesPerMillisecond = 400;
  const auto begun = std::chrono::steady_clock::now();
  std::string got;
  for (bool sends = true;;) {
    const std::string piece = stream.receive(16384);
    if (piece.empty()) break;
    got += piece;
    try {
      if (sends) stream.send_some(kUpload, Milliseconds(1));
    } catch (const Disconnected&) {
      sends = false;
    }
    // The pace of the reader.
    std::this_thread::sleep_until(begun + Milliseconds(got.size() / kBytesPerMillisecond));
  }
  EXPECT_GT(std::chrono::steady_clock::now() - begun, kShortLinger + Milliseconds(1000))
      << "too fast to show anything";
  return got;
}

/// The first half of the answer at least.
std::string half_of(Stream& stream) {
  std::string got;
  while (got.size() < kAnswer.size() / 2) {
    const std::string piece = stream.receive();
    if (piece.empty()) throw Disconnected("inside the first half");
    got += piece;
  }
  return got;
}

void expect_whole(const std::string& got, const std::string& answer = kAnswer) {
  EXPECT_EQ(got.size() - got.find("\r\n\r\n") - 4, answer.size());
  EXPECT_TRUE(got.ends_with("\r\n\r\n" + answer));
}

/// All of its answer is in the proxy's kernel, and it takes nothing of it, inside of its upload.
RawClient reads_nothing(const Daemon& daemon) {
  RawClient client = RawClient::slow_reader(daemon.port());
  client.send(kPost);
  client.send(kUpload);
  EXPECT_EQ(daemon.wait_access_of("/upload").status(), 200);
  return client;
}

}  // namespace

TEST(Linger, ASlowReaderGetsAllOfItsAnswerThoughItsUploadIsNotTaken) {
  const Uninterested test(kAnswer);
  RawClient client = RawClient::slow_reader(test.daemon.port());
  client.send(kPost);
  expect_whole(read_slowly(client.stream()));
}

TEST(Linger, SoDoesOneOverTls) {
  const Uninterested test(kAnswer);
  RawClient client = RawClient::slow_reader(test.daemon.port("tls"));
  client.stream().start_client_tls({});
  client.send(kPost);
  expect_whole(read_slowly(client.stream()));
}

// An answer is due to a KeyUpdate, and cannot be given behind close_notify.
TEST(Linger, SoDoesOneThatAsksForNewKeysMeanwhile) {
  Uninterested test(kAnswer);
  RawClient client = RawClient::slow_reader(test.daemon.port("tls"));
  client.stream().start_client_tls({});
  client.send(kPost);
  std::string got = half_of(client.stream());
  client.stream().update_keys();
  got += read_slowly(client.stream());
  expect_whole(got);
}

// A line end too many behind a body is common (RFC 9112 section 2.2), and a request on its way as
// well.
TEST(Linger, SoDoesOneOfWhichMoreComesWhenTheAnswerIsOnItsWay) {
  const Proxy proxy([](OriginExchange& exchange) { exchange.respond(kSmallAnswer); });
  for (const char* more : {"\r\n", "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"}) {
    RawClient client = RawClient::slow_reader(proxy.daemon.port());
    const std::string target = more[0] == 'G' ? "/next-to" : "/line-end";
    client.send("GET " + target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(proxy.daemon.wait_access_of(target).status(), 200);
    client.send(more);
    std::string got;
    for (;;) {
      const std::string piece = client.stream().receive(64 * 1024);
      if (piece.empty()) break;
      got += piece;
    }
    expect_whole(got, kSmallAnswer);
  }
}

// What was pipelined behind it is not read any more: a close would answer it with a reset, which
// takes what is on its way.
TEST(Linger, AnswersArriveThoughTheServerBreaksOffALaterOne) {
  const Proxy proxy([](OriginExchange& exchange) {
    if (exchange.request().target == "/whole") return exchange.respond(kSmallAnswer);
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\npart");
    exchange.close();
  });
  RawClient client = RawClient::slow_reader(proxy.daemon.port());
  client.send("GET /whole HTTP/1.1\r\nHost: a\r\n\r\nGET /cut HTTP/1.1\r\nHost: a\r\n\r\n");
  for (int i = 0; i < 9; ++i) {
    client.send("GET /more HTTP/1.1\r\nHost: a\r\nX: " + std::string(7000, 'x') + "\r\n\r\n");
  }
  EXPECT_EQ(proxy.daemon.wait_access_of("/cut").why(), "end_of_stream");
  EXPECT_TRUE(client.response().body == kSmallAnswer);
  EXPECT_EQ(client.response_head().status, 200);
  EXPECT_EQ(client.until_end(), "part");
}

// Its frames come in until the very end: they are what a close would answer with a reset.
TEST(Linger, SoDoesOneOverHttp2AfterGoaway) {
  constexpr std::size_t kInKernel = 160 * 1024;
  const Proxy proxy([](OriginExchange& exchange) { exchange.respond(kSmallAnswer); },
                    "limits: { requests_per_connection: 1 }\n");
  H2ClientOptions options;
  options.settings = {{h2::kInitialWindowSize, 16 * 1024 * 1024}};
  H2Client client(RawClient::slow_reader(proxy.daemon.port()), options);
  client.send(h2::window_update(0, 16 * 1024 * 1024));
  const std::uint32_t stream = client.open(client.fields("GET", "/"));
  ASSERT_TRUE(client.read_until([&](const H2State& state) {
    return state.message(stream).body.size() >= kSmallAnswer.size() - kInKernel;
  }));
  const Stopwatch watch;
  for (bool sends = true; !client.state().message(stream).ended;) {
    ASSERT_TRUE(client.read_frame());
    try {
      if (sends) client.send(h2::ping("12345678"));
    } catch (const Disconnected&) {
      sends = false;  // its kernel has had everything for two seconds
    }
    std::this_thread::sleep_for(Milliseconds(400));  // the pace of the reader
  }
  EXPECT_GT(watch.elapsed(), kShortLinger);
  EXPECT_TRUE(client.response(stream).body == kSmallAnswer);
  EXPECT_TRUE(client.closes());
}

TEST(Linger, AClientThatTakesNothingIsLetGoAfterTheWriteTime) {
  const Uninterested test(kSmallAnswer, "timeouts: { write: 5s }\n");
  RawClient client = reads_nothing(test.daemon);
  const Stopwatch watch;
  EXPECT_TRUE(comes_to(test.daemon, "connections_active", 1)) << "it counts";
  EXPECT_TRUE(comes_to(test.daemon, "connections_active", 0));
  EXPECT_GT(watch.elapsed(), Milliseconds(4500));
  EXPECT_LT(watch.elapsed(), Milliseconds(8000));
}

// Nothing is expected of the server of a gRPC answer any more when it is over.
TEST(Linger, TheTimeOfTunnelsIsNoneForTheEndOfAnAnswer) {
  const Proxy proxy([](OriginExchange& exchange) { exchange.respond(kSmallAnswer); },
                    "timeouts: { write: 2s }\n");
  RawClient client = RawClient::slow_reader(proxy.daemon.port());
  client.send(
      "GET /rpc HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n"
      "Connection: close\r\n\r\n");
  EXPECT_EQ(proxy.daemon.wait_access_of("/rpc").status(), 200);
  EXPECT_TRUE(comes_to(proxy.daemon, "connections_active", 1));
  EXPECT_TRUE(comes_to(proxy.daemon, "connections_active", 0));
}

TEST(Linger, AClientThatLeavesIsNotWaitedFor) {
  const Uninterested test(kSmallAnswer);
  RawClient client = reads_nothing(test.daemon);
  client.stream().reset();
  EXPECT_TRUE(comes_to(test.daemon, "connections_active", 0));
}

TEST(Linger, AStopWaitsNoLongerThanItsLimit) {
  Uninterested test(kSmallAnswer, "shutdown: { drain: 500ms }\n");
  const RawClient client = reads_nothing(test.daemon);
  const Stopwatch watch;
  EXPECT_EQ(test.daemon.stop(), 0);
  EXPECT_GE(watch.elapsed(), Milliseconds(450));
  EXPECT_LT(watch.elapsed(), Milliseconds(5000));
}

TEST(Linger, AnUpgradeOfTheBinaryLetsASlowReaderHaveTheEnd) {
  Uninterested test(kAnswer);
  for (const bool tls : {false, true}) {
    RawClient client = RawClient::slow_reader(test.daemon.port(tls ? "tls" : "web"));
    if (tls) client.stream().start_client_tls({});
    client.send(kPost);
    std::string got = half_of(client.stream());
    ASSERT_EQ(test.daemon.upgrade().status, 0);
    got += read_slowly(client.stream());
    expect_whole(got);
    client.stream().close();
    EXPECT_EQ(test.daemon.wait_former(), 0);
  }
}

TEST(Linger, AStopLetsASlowReaderHaveTheEnd) {
  Uninterested test(kAnswer, "shutdown: { drain: 60s }\n");
  RawClient client = RawClient::slow_reader(test.daemon.port());
  client.send(kPost);
  std::string got = half_of(client.stream());
  test.daemon.signal(SIGTERM);
  got += read_slowly(client.stream());
  expect_whole(got);
  client.stream().close();
  EXPECT_EQ(test.daemon.wait_exit(), 0);
}

}  // namespace revproxyd::testing

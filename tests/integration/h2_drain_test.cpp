// GOAWAY at the end of the daemon and of a connection: what was taken is answered, what was not is
// the client's to ask elsewhere (RFC 9113 section 6.8).

#include <signal.h>

#include <gtest/gtest.h>

#include "tests/support/h2_load.h"
#include "tests/support/h2_proxy.h"

namespace revproxyd::testing {

namespace {

// "The last stream identifier set to 2^31-1": more may still come.
constexpr std::uint32_t kAnyStream = 0x7fffffff;

constexpr std::string_view kLongDrain = "shutdown: { drain: 60s }\n";

/// In front of a server that answers `/held` only after release(), sends half of `/half`, switches
/// `/tunnel` and echoes there, and answers everything else at once.
struct HeldProxy {
  explicit HeldProxy(std::string_view more)
      : proxy([this](OriginExchange& exchange) { answer(exchange); }, more) {}
  HeldProxy(const HeldProxy&) = delete;
  HeldProxy& operator=(const HeldProxy&) = delete;
  ~HeldProxy() { release(); }

  void release() { held.open(); }
  std::uint32_t open_held(H2Client& client) const {
    const std::size_t before = proxy.origin.request_count();
    const std::uint32_t stream = client.open(client.fields("GET", "/held"));
    EXPECT_TRUE(proxy.origin.wait_requests(before + 1));
    return stream;
  }
  void stop() const { proxy.daemon.signal(SIGTERM); }

  Gate held;
  H2Proxy proxy;

 private:
  void answer(OriginExchange& exchange) {
    const std::string path = exchange.request().target;
    if (path == "/held") held.wait(3 * kPatience);
    if (path == "/half") {
      exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
      held.wait(3 * kPatience);
      return exchange.close();
    }
    if (path == "/tunnel") return echo_frames(exchange);
    H2Proxy::echo(exchange);
  }

  static void echo_frames(OriginExchange& exchange) {
    exchange.send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    for (std::string bytes = exchange.stream().receive(); !bytes.empty();
         bytes = exchange.stream().receive())
      exchange.send(bytes);
    exchange.close();
  }
};

/// Takes frames, answers none: the test says when the client has heard the announcement.
H2ClientOptions silent() {
  H2ClientOptions options;
  options.state.answer = false;
  return options;
}

/// Reads up to both parts of the announcement, GOAWAY and PING; what PING holds.
std::string announcement(H2Client& client) {
  std::string mark;
  while (mark.empty() || !client.state().goaway()) {
    const auto frame = client.read_frame();
    if (!frame) throw Disconnected("no announcement");
    if (frame->type == h2::kPing && !frame->has(h2::kAck)) mark = frame->payload;
  }
  return mark;
}

/// GOAWAY with another last stream than the announcement's.
bool parted(H2Client& client) {
  return client.read_until(
      [](const H2State& state) { return state.goaway() && state.goaway()->last != kAnyStream; });
}

}  // namespace

// Two steps.

TEST(H2Drain, AnnouncesTheEndAndServesWhatWasOnItsWay) {
  HeldProxy test(kLongDrain);
  H2Client client = test.proxy.connect(silent());
  client.send(h2::settings_ack());
  const std::uint32_t held = test.open_held(client);
  test.stop();
  const std::string mark = announcement(client);
  EXPECT_EQ(client.goaway().last, kAnyStream);
  EXPECT_EQ(client.goaway().code, h2::kNoError);
  // Sent, as far as the daemon can know, before the announcement was seen.
  const H2Message late = client.get("/late");
  EXPECT_EQ(late.status(), 200);
  EXPECT_EQ(late.body, "GET /late ");
  EXPECT_FALSE(late.has("connection"));
  client.send(h2::ping(mark, true));
  ASSERT_TRUE(parted(client));
  EXPECT_EQ(client.goaway().last, held + 2);
  EXPECT_EQ(client.goaway().code, h2::kNoError);
  test.release();
  EXPECT_EQ(client.response(held).body, "GET /held ");
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(test.proxy.daemon.wait_exit(), 0);
}

TEST(H2Drain, AClientThatAnswersNoPingGetsTheSecondGoawayToo) {
  HeldProxy test(kLongDrain);
  H2Client client = test.proxy.connect(silent());
  const std::uint32_t held = test.open_held(client);
  test.stop();
  EXPECT_EQ(client.goaway().last, kAnyStream);
  ASSERT_TRUE(parted(client));
  EXPECT_EQ(client.goaway().last, held);
  test.release();
  EXPECT_EQ(client.response(held).body, "GET /held ");
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(test.proxy.daemon.wait_exit(), 0);
}

TEST(H2Drain, RequestsBehindTheLastStreamAreNotServed) {
  HeldProxy test(kLongDrain);
  H2Client client = test.proxy.connect();
  const std::uint32_t held = test.open_held(client);
  test.stop();
  ASSERT_TRUE(parted(client));
  const std::uint32_t late = client.open(client.fields("GET", "/late"));
  EXPECT_TRUE(client.round_trip());
  test.release();
  EXPECT_EQ(client.response(held).body, "GET /held ");
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(client.goaway().last, held);
  EXPECT_FALSE(client.state().message(late).has_head());
  EXPECT_EQ(test.proxy.origin.request_count(), 1U) << "the client may ask it elsewhere";
  EXPECT_EQ(test.proxy.daemon.wait_exit(), 0);
}

TEST(H2Drain, UploadsUnderWayAreTakenToTheirEnd) {
  HeldProxy test(kLongDrain);
  H2Client client = test.proxy.connect_tls();
  const std::uint32_t stream = client.open(client.fields("POST", "/upload"), false);
  client.send_body(stream, "first ", false);
  ASSERT_TRUE(test.proxy.origin.wait_requests(1));
  test.stop();
  ASSERT_TRUE(parted(client));
  const std::string rest(300000, 'r');
  client.send_body(stream, rest);
  EXPECT_EQ(client.response(stream).body, "POST /upload first " + rest);
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(test.proxy.daemon.wait_exit(), 0);
}

// The end of the daemon.

TEST(H2Drain, WhatAClientSendsBehindItsLastAnswerDoesNotResetIt) {
  constexpr std::uint32_t kWindow = 65535;
  const std::string expected = "POST /upload " + std::string(100000, 'r');
  const auto came = [](std::uint32_t stream, std::size_t size) {
    return [=](const H2State& state) { return state.message(stream).body.size() == size; };
  };
  HeldProxy test(kLongDrain);
  H2ClientOptions options;
  options.state.give_window = false;
  H2Client client = test.proxy.connect(options);
  const std::uint32_t stream = client.open(client.fields("POST", "/upload"), false);
  client.send_body(stream, std::string(100000, 'r'));
  ASSERT_TRUE(client.read_until(came(stream, kWindow)));
  test.stop();
  ASSERT_TRUE(parted(client));
  // Its last byte waits for the window when all else is done.
  client.send(h2::window_update(0, kWindow) +
              h2::window_update(stream, static_cast<std::uint32_t>(expected.size()) - kWindow - 1));
  ASSERT_TRUE(client.read_until(came(stream, expected.size() - 1)));
  client.send(h2::window_update(stream, 1));
  EXPECT_EQ(client.response(stream).body, expected);
  EXPECT_TRUE(client.closes());
  // It reads on for two seconds.
  EXPECT_FALSE(wait_until(
      [&] {
        try {
          client.send(h2::ping("12345678"));
          return false;
        } catch (const Disconnected&) {
          return true;
        }
      },
      Milliseconds(300)));
}

TEST(H2Drain, StoppingRefusesNewConnectionsWhileStreamsEnd) {
  HeldProxy test(kLongDrain);
  H2Client clear = test.proxy.connect();
  H2Client tls = test.proxy.connect_tls();
  const std::uint32_t first = test.open_held(clear);
  const std::uint32_t second = test.open_held(tls);
  test.stop();
  for (const char* listener : {"web", "tls"}) {
    const std::uint16_t port = test.proxy.daemon.port(listener);
    EXPECT_TRUE(wait_until([&] { return refuses(port); })) << listener;
  }
  ASSERT_TRUE(parted(clear));
  ASSERT_TRUE(parted(tls));
  test.release();
  EXPECT_EQ(clear.response(first).body, "GET /held ");
  EXPECT_EQ(tls.response(second).body, "GET /held ");
  EXPECT_TRUE(clear.closes());
  EXPECT_TRUE(tls.closes());
  EXPECT_EQ(test.proxy.daemon.wait_exit(), 0) << "long before shutdown.drain is over";
}

TEST(H2Drain, StoppingUnderLoadLosesNoRequest) {
  for (int round = 0; round < 3; ++round) {
    H2Proxy proxy(kLongDrain);
    const std::uint16_t web = proxy.daemon.port("web");
    const std::uint16_t tls = proxy.daemon.port("tls");
    H2Load load({{.port = web, .until_gone = true},
                 {.port = web, .depth = 50, .until_gone = true},
                 {.port = web, .depth = 4, .body = "content", .until_gone = true},
                 {.port = web, .depth = 4, .requests = 10, .until_gone = true},
                 {.port = tls, .tls = ClientTls(), .until_gone = true},
                 {.port = tls, .tls = ClientTls(), .body = "content", .until_gone = true}});
    ASSERT_TRUE(load.wait_more(300)) << load.report();
    EXPECT_EQ(proxy.daemon.stop(3 * kPatience), 0);
    EXPECT_TRUE(wait_until([&] { return load.running() == 0; })) << load.report();
    load.stop();
    EXPECT_EQ(load.failed(), 0U) << load.report();
    EXPECT_GE(load.goaways(), 4U) << load.report();
  }
}

TEST(H2Drain, TunnelsGoOnForTheTimeOfTheDrain) {
  HeldProxy test("shutdown: { drain: 2s }\n");
  H2Client client = test.proxy.connect();
  ASSERT_TRUE(client.read_until([](const H2State& state) { return state.settings_came(); }));
  const std::uint32_t stream =
      client.open(client.fields("CONNECT", "/tunnel", {{":protocol", "websocket"}}), false);
  EXPECT_EQ(client.response_head(stream).status(), 200);
  const Stopwatch watch;
  test.stop();
  ASSERT_TRUE(parted(client));
  client.send_body(stream, "still there", false);
  EXPECT_TRUE(client.read_until(
      [&](const H2State& state) { return state.message(stream).body == "still there"; }));
  EXPECT_TRUE(client.closes());
  EXPECT_GE(watch.elapsed(), Milliseconds(1900));
  EXPECT_EQ(test.proxy.daemon.wait_exit(), 0);
  EXPECT_EQ(test.proxy.daemon.wait_access_of("/tunnel").why(), "drain_timeout");
}

TEST(H2Drain, WhatTakesLongerThanTheDrainIsCut) {
  HeldProxy test("shutdown: { drain: 700ms }\n");
  H2Client client = test.proxy.connect();
  const std::uint32_t held = test.open_held(client);
  const std::uint32_t half = client.open(client.fields("GET", "/half"));
  EXPECT_EQ(client.response_head(half).status(), 200);
  const Stopwatch watch;
  test.stop();
  EXPECT_TRUE(client.closes());
  EXPECT_GE(watch.elapsed(), Milliseconds(600));
  EXPECT_EQ(test.proxy.daemon.wait_exit(), 0);
  EXPECT_FALSE(client.state().message(half).ended) << "it must not pass for whole";
  EXPECT_EQ(client.state().message(held).status(), 503) << "of what has not begun it is told";
  EXPECT_TRUE(client.state().message(held).ended);
  for (const char* path : {"/held", "/half"})
    EXPECT_EQ(test.proxy.daemon.wait_access_of(path).why(), "drain_timeout") << path;
}

TEST(H2Drain, ADrainOfNoTimeCutsAtOnce) {
  HeldProxy test("shutdown: { drain: 0 }\n");
  H2Client client = test.proxy.connect();
  test.open_held(client);
  test.stop();
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(test.proxy.daemon.wait_exit(), 0);
  EXPECT_EQ(test.proxy.daemon.wait_access_of("/held").why(), "drain_timeout");
}

TEST(H2Drain, TheSecondSignalEndsWhatIsLeft) {
  HeldProxy test(kLongDrain);
  H2Client client = test.proxy.connect();
  test.open_held(client);
  test.stop();
  ASSERT_TRUE(parted(client));
  test.stop();
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(test.proxy.daemon.wait_exit(), 0);
}

// The end of one connection.

TEST(H2Drain, ConnectionsThatHaveServedEnoughLoseNoRequest) {
  const H2Proxy proxy("limits: { requests_per_connection: 40 }\n");
  const std::uint16_t web = proxy.daemon.port("web");
  const std::uint16_t tls = proxy.daemon.port("tls");
  H2Load load({{.port = web},
               {.port = web, .depth = 1},
               {.port = web, .depth = 60},
               {.port = web, .depth = 3, .body = "content"},
               {.port = tls, .tls = ClientTls()},
               {.port = tls, .tls = ClientTls(), .depth = 30, .body = "content"}});
  EXPECT_TRUE(load.wait_more(2000)) << load.report();
  load.stop();
  EXPECT_EQ(load.failed(), 0U) << load.report();
  // The client of 60 streams may have as many on their way when it is told.
  EXPECT_GE(load.goaways(), 2000U / 100) << load.report();
}

TEST(H2Drain, CurlSeesNothingOfConnectionsThatHaveServedEnough) {
  const H2Proxy proxy("limits: { requests_per_connection: 20 }\n");
  for (const char* at_once : {"1", "10"}) {
    const CommandResult result = run_command(
        {"curl", "-sSk", "-Z", "--parallel-max", at_once, "-f", "--http2", "-w",
         "%{http_version} %{http_code}\\n", "-o", "/dev/null", proxy.url("tls") + "/[1-300]"},
        6 * kPatience);
    EXPECT_EQ(result.status, 0) << result.out;
    std::size_t answers = 0;
    for (std::size_t at = 0; (at = result.out.find("2 200\n", at)) != std::string::npos; ++at)
      ++answers;
    EXPECT_EQ(answers, 300U) << result.out;
  }
}

TEST(H2Drain, IdleConnectionsAreToldBeforeTheyEnd) {
  const H2Proxy proxy("timeouts: { keepalive: 300ms, header: 300ms }\n");
  H2Client used = proxy.connect_tls();
  EXPECT_EQ(used.get("/").status(), 200);
  H2Client unused = proxy.connect_tls();
  EXPECT_EQ(used.goaway().code, h2::kNoError);
  EXPECT_EQ(used.goaway().last, 1U);
  EXPECT_TRUE(used.closes());
  EXPECT_EQ(unused.goaway().code, h2::kNoError);
  EXPECT_EQ(unused.goaway().last, 0U);
  EXPECT_TRUE(unused.closes());
}

}  // namespace revproxyd::testing

// Clients of HTTP/2 that ask for much at once or take what they get slowly.

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/support/h2_abuse.h"

namespace revproxyd::testing {

namespace {

constexpr std::size_t kStreams = 100;
constexpr std::uint32_t kLargeWindow = 0x7fff0000;

// A field that stays in the dynamic table, where it is the newest entry.
std::string kept_field(const std::string& name, const std::string& value) {
  std::string out = h2::literals({{name, value}});
  out.front() = '\x40';
  return out;
}

// A GET whose one large field is repeated by references of one byte each.
std::string bomb(H2Client& client, std::size_t references) {
  std::string block =
      h2::literals(client.fields("GET", "/bomb")) + kept_field("x-large", std::string(4000, 'a'));
  block.append(references, '\xbe');
  return h2::headers_block(client.next_stream(), block);
}

void send_large(OriginExchange& exchange) {
  exchange.respond(exchange.request().target == "/large" ? std::string(300000, 'x') : "small");
}

H2ClientOptions without_window() {
  H2ClientOptions options;
  options.settings = {{h2::kInitialWindowSize, 0}};
  options.state.give_window = false;
  return options;
}

// A client that says nothing of its own accord once it has been served: it is in the middle of a
// block of fields, where no other frame may stand.
H2Client quiet(const AbusedProxy& abused) {
  H2ClientOptions options;
  options.state.give_window = false;
  H2Client client = abused.connect(options);
  EXPECT_EQ(client.get("/first").status(), 200);
  return client;
}

std::string large_windows() { return h2::window_update(0, kLargeWindow); }

std::size_t answers_cut(const Daemon& daemon, const std::string& why) {
  const auto entries = daemon.access_entries();
  return static_cast<std::size_t>(std::count_if(
      entries.begin(), entries.end(),
      [&](const AccessEntry& entry) { return entry.has("why") && entry.why() == why; }));
}

}  // namespace

TEST(H2AbuseLimits, FieldsThatReferencesBlowUpAreRefused) {
  const AbusedProxy abused;
  H2Client client = abused.connect();
  client.send(bomb(client, 10));
  EXPECT_EQ(client.response(1).status(), 431);
  EXPECT_EQ(client.get("/after").status(), 200);
  EXPECT_EQ(abused.proxy.origin.request_count(), 1U);
}

TEST(H2AbuseLimits, FieldsThatReferencesBlowUpWithoutMeasureEndTheConnection) {
  const AbusedProxy abused;
  H2Client other = abused.connect();
  EXPECT_EQ(other.get("/before").status(), 200);
  const std::size_t before = abused.proxy.daemon.rss_kib();
  constexpr std::size_t kClients = 10;
  for (std::size_t i = 0; i < kClients; ++i) {
    H2Client client = abused.connect();
    client.send(bomb(client, 12000));
    EXPECT_EQ(client.goaway().code, h2::kEnhanceYourCalm);
    EXPECT_TRUE(client.closes());
  }
  EXPECT_TRUE(blamed(abused.proxy.daemon, "header_flood", kClients));
  EXPECT_EQ(other.get("/after").status(), 200);
  if (!sanitized()) {
    EXPECT_LT(abused.proxy.daemon.rss_kib(), before + 16 * 1024);
  }
}

TEST(H2AbuseLimits, FieldsInManyFramesHaveTheLimitOfOthers) {
  const AbusedProxy abused;
  H2Client client = abused.connect();
  h2::Fields many;
  for (int i = 0; i < 9; ++i) many.emplace_back("x-" + std::to_string(i), std::string(4000, 'a'));
  EXPECT_EQ(client.get("/large", many).status(), 431);
  many.resize(7);
  EXPECT_EQ(client.get("/fits", many).status(), 200);
  EXPECT_EQ(client.get("/many", h2::Fields(101, {"x-a", "1"})).status(), 431);
  EXPECT_EQ(client.get("/fits", h2::Fields(90, {"x-a", "1"})).status(), 200);
}

TEST(H2AbuseLimits, StreamsWithoutWindowEndInTime) {
  const H2Proxy proxy(send_large, "timeouts: { write: 500ms }\n");
  H2Client other = proxy.connect();
  EXPECT_EQ(other.get("/small").body, "small");
  const std::size_t before = proxy.daemon.rss_kib();
  H2Client client = proxy.connect(without_window());
  std::vector<std::uint32_t> streams;
  for (std::size_t i = 0; i < kStreams; ++i)
    streams.push_back(client.open(client.fields("GET", "/large")));
  EXPECT_EQ(other.get("/small").body, "small");
  for (const std::uint32_t stream : streams)
    EXPECT_EQ(client.reset_code(stream), h2::kEnhanceYourCalm);
  EXPECT_TRUE(wait_until([&] { return answers_cut(proxy.daemon, "write_timeout") == kStreams; }));
  EXPECT_EQ(other.get("/small").body, "small");
  if (!sanitized()) {
    EXPECT_LT(proxy.daemon.rss_kib(), before + 16 * 1024);
  }
  // Who mends its ways is served on.
  client.settings({{h2::kInitialWindowSize, 1000}});
  EXPECT_EQ(client.get("/small").body, "small");
}

TEST(H2AbuseLimits, AStreamWithoutWindowHoldsNoSibling) {
  const H2Proxy proxy(send_large);
  H2Client client = proxy.connect(without_window());
  client.send(large_windows());
  std::vector<std::uint32_t> held;
  for (int i = 0; i < 50; ++i) held.push_back(client.open(client.fields("GET", "/large")));
  for (int i = 0; i < 10; ++i) {
    const std::uint32_t stream = client.open(client.fields("GET", "/large"));
    client.send(h2::window_update(stream, 300000));
    EXPECT_EQ(client.response(stream).body.size(), 300000U);
  }
  for (const std::uint32_t stream : held) EXPECT_TRUE(client.state().message(stream).body.empty());
  client.send(h2::window_update(held.back(), 300000));
  EXPECT_EQ(client.response(held.back()).body.size(), 300000U);
}

TEST(H2AbuseLimits, AClientThatReadsNothingIsCutOffInTime) {
  const H2Proxy proxy(
      [](OriginExchange& exchange) {
        if (exchange.request().target == "/small") return exchange.respond("small");
        exchange.respond(std::string(8000000, 'x'));
      },
      "timeouts: { write: 500ms, header: 60s }\n");
  H2Client other = proxy.connect();
  H2ClientOptions options;
  options.settings = {{h2::kInitialWindowSize, kLargeWindow}};
  H2Client client(RawClient::slow_reader(proxy.daemon.port("web")), options);
  client.send(large_windows());
  for (int i = 0; i < 10; ++i) client.open(client.fields("GET", "/large"));
  EXPECT_EQ(proxy.daemon.wait_access_of("/large").why(), "write_timeout");
  EXPECT_TRUE(wait_until([&] { return failed_connections(proxy.daemon, "write_timeout") == 1; }));
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(other.get("/small").body, "small");
}

TEST(H2AbuseLimits, WindowsOfOneByteForALargeBodyAreAFlood) {
  const H2Proxy proxy(send_large);
  H2Client other = proxy.connect();
  H2Client client = proxy.connect(without_window());
  const std::uint32_t stream = client.open(client.fields("GET", "/large"));
  for (std::size_t i = 1; i <= 2000 && !client.state().goaway(); ++i) {
    client.send(h2::window_update(stream, 1));
    ASSERT_TRUE(client.read_until([&](const H2State& state) {
      return state.goaway() || state.message(stream).body.size() == i;
    }));
  }
  EXPECT_EQ(client.goaway().code, h2::kEnhanceYourCalm);
  EXPECT_EQ(other.get("/small").body, "small");
}

TEST(H2AbuseLimits, WindowsOfOneByteThatNothingAnswersAreAFlood) {
  expect_sent_away("window_update_flood", [](H2Client& client) {
    std::string batch;
    for (int i = 0; i < 40; ++i) batch += h2::window_update(1, 1);
    client.send(batch);
  });
}

TEST(H2AbuseLimits, HeadsThatNeverEndAreAnsweredInTime) {
  AbusedProxy abused("timeouts: { header: 300ms }\n");
  H2Client client = quiet(abused);
  const std::uint32_t under_way = abused.open_held(client);
  const Stopwatch watch;
  client.send(h2::headers(client.next_stream(), client.fields("GET", "/slow"), h2::kEndStream));
  EXPECT_EQ(abused.proxy.daemon.wait_access_why("header_timeout").status(), 408);
  EXPECT_GE(watch.elapsed(), Milliseconds(250));
  EXPECT_EQ(abused.connect().get("/other").status(), 200);
  abused.release();
  EXPECT_EQ(client.response(under_way).status(), 200);
}

TEST(H2AbuseLimits, HeadsThatComeInDripsAreAnsweredInTime) {
  AbusedProxy abused("timeouts: { header: 300ms }\n");
  H2Client client = quiet(abused);
  const std::uint32_t stream = client.next_stream();
  client.send(h2::headers(stream, client.fields("GET", "/slow"), h2::kEndStream));
  const std::string drip = h2::continuation(stream, h2::literals({{"x-a", "1"}}), h2::kNone);
  bool over = false;
  try {
    for (int i = 0; i < 8 && !over; ++i) {
      client.send(drip);
      over =
          client.read_until([&](const H2State& state) { return state.message(stream).has_head(); },
                            Milliseconds(100));
    }
  } catch (const Disconnected&) {
    over = true;
  }
  EXPECT_TRUE(over);
  EXPECT_EQ(abused.proxy.daemon.wait_access_why("header_timeout").status(), 408);
  EXPECT_EQ(abused.proxy.origin.request_count(), 1U);
}

TEST(H2AbuseLimits, BodiesThatStallAreAnsweredInTime) {
  const AbusedProxy abused("timeouts: { body: 300ms }\n");
  H2Client client = abused.connect();
  const std::uint32_t stalled = client.open(client.fields("POST", "/stalled"), false);
  client.send(h2::data(stalled, "a"));
  EXPECT_EQ(client.response(stalled).status(), 408);
  EXPECT_EQ(client.get("/sibling").status(), 200);
}

TEST(H2AbuseLimits, BodiesThatCrawlAreCutOff) {
  // Within timeouts.body each, but below min_rate once the time of grace is over.
  const AbusedProxy abused;
  H2Client client = abused.connect();
  const std::uint32_t stream = client.open(client.fields("POST", "/crawl"), false);
  const Stopwatch watch;
  bool over = false;
  while (!over && watch.elapsed() < Milliseconds(15000)) {
    client.send(h2::data(stream, "a"));
    over = client.read_until([&](const H2State& state) { return state.message(stream).ended; },
                             Milliseconds(400));
  }
  EXPECT_EQ(client.state().message(stream).status(), 408);
  EXPECT_GE(watch.elapsed(), Milliseconds(10000));
  EXPECT_EQ(abused.proxy.daemon.wait_access_of("/crawl").why(), "body_too_slow");
  EXPECT_EQ(client.get("/sibling").status(), 200);
}

TEST(H2AbuseLimits, PriorityThatDependsOnItselfBreaksTheProtocol) {
  const AbusedProxy abused;
  H2Client client = abused.connect();
  client.send(h2::priority(1, 1));
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(client.goaway().code, h2::kProtocolError);
  EXPECT_TRUE(blamed(abused.proxy.daemon, "protocol_error"));
  EXPECT_EQ(abused.connect().get("/other").status(), 200);
}

TEST(H2AbuseLimits, RequestsThatDependOnThemselvesAreNotServed) {
  const AbusedProxy abused;
  H2Client client = abused.connect();
  const std::uint32_t stream = client.next_stream();
  const std::string dependency{'\0', '\0', '\0', '\1', '\x0f'};
  client.send(h2::frame(h2::kHeaders, h2::kEndBoth | h2::kHasPriority, stream,
                        dependency + h2::literals(client.fields("GET", "/"))));
  EXPECT_TRUE(client.read_until([&](const H2State& state) {
    const bool cut = state.goaway() && state.goaway()->code == h2::kProtocolError;
    return cut || state.message(stream).reset == h2::kProtocolError;
  }));
  EXPECT_EQ(abused.proxy.origin.request_count(), 0U);
  EXPECT_EQ(abused.connect().get("/other").status(), 200);
}

TEST(H2AbuseLimits, LoopsOfDependenciesAreOfNoImportance) {
  const AbusedProxy abused;
  H2Client client = abused.connect();
  client.send(h2::priority(1, 3) + h2::priority(3, 5) + h2::priority(5, 1, 255, true));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.get("/").status(), 200);
  client.send(h2::priority(7, 9) + h2::priority(9, 7));
  EXPECT_EQ(client.get("/").status(), 200);
}

}  // namespace revproxyd::testing

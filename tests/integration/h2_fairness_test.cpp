// Well-behaved clients of HTTP/2 whose streams, windows and fields are many: nothing that the proxy
// itself causes is held against them.

#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/h2_proxy.h"

namespace revproxyd::testing {

namespace {

constexpr std::size_t kLarge = 200000;

void large(OriginExchange& exchange) { exchange.respond(std::string(kLarge, 'd')); }

std::size_t received(const H2State& state) {
  std::size_t sum = 0;
  for (const std::uint32_t stream : state.streams()) sum += state.message(stream).body.size();
  return sum;
}

}  // namespace

TEST(H2Fairness, StreamsThatWaitForTheirSiblingsAreNotSlow) {
  const H2Proxy proxy(large, "timeouts: { write: 600ms }\nlimits: { min_rate: 10000B/s }\n");
  H2ClientOptions options;
  options.state.give_window = false;
  options.settings = {{h2::kInitialWindowSize, 1000000}};
  H2Client client = proxy.connect(options);
  constexpr std::size_t kStreams = 5;
  for (std::size_t i = 0; i < kStreams; ++i) client.open(client.fields("GET", "/large"));
  // Takes 32 KiB every 100 ms, the streams one after the other.
  for (std::size_t taken = 0; taken < kStreams * kLarge;) {
    const std::size_t next = std::min(taken + 32768, kStreams * kLarge);
    ASSERT_TRUE(client.read_until([&](const H2State& state) { return received(state) >= next; }))
        << taken;
    std::this_thread::sleep_for(Milliseconds(100));  // the line's speed
    client.send(h2::window_update(0, static_cast<std::uint32_t>(next - taken)));
    taken = next;
  }
  for (const std::uint32_t stream : client.state().streams()) {
    EXPECT_FALSE(client.state().message(stream).reset);
    EXPECT_EQ(client.response(stream).body.size(), kLarge);
  }
}

TEST(H2Fairness, UploadsThatAreNotTakenMakeNoOtherLate) {
  Gate read;
  const H2Proxy proxy(
      [&](OriginExchange& exchange) {
        if (exchange.request().target == "/held") read.wait();
        H2Proxy::echo(exchange);
      },
      "timeouts: { body: 2s }\nlimits: { max_body: 0 }\n");
  H2Client client = proxy.connect();
  const std::string piece(16000, 'x');
  std::vector<std::uint32_t> held;
  // Until the window of the connection is closed.
  for (bool open = true; open && held.size() < 90;) {
    held.push_back(
        client.open(client.fields("POST", "/held", {{"content-length", "100000000"}}), false));
    open = client.read_until(
        [&](const H2State& state) { return state.window(held.back()) >= piece.size(); },
        Milliseconds(300));
    while (client.read_until(
        [&](const H2State& state) { return state.window(held.back()) >= piece.size(); },
        Milliseconds(50)))
      client.send_body(held.back(), piece, false);
  }
  const std::uint32_t good =
      client.open(client.fields("POST", "/good", {{"content-length", "16000"}}), false);
  // Longer than timeouts.body.
  EXPECT_FALSE(client.read_until(
      [&](const H2State& state) { return state.message(good).has_head(); }, Milliseconds(3000)));
  read.open();
  for (const std::uint32_t stream : held) client.send(h2::rst_stream(stream, h2::kCancel));
  client.send_body(good, piece, true);
  EXPECT_EQ(client.response(good).status(), 200);
}

TEST(H2Fairness, SmallWindowsThatAreGivenBackAtOnceAreNoFlood) {
  const H2Proxy proxy(
      [](OriginExchange& exchange) { exchange.respond(std::string(700 * 1000, 'd')); });
  H2ClientOptions options;
  options.settings = {{h2::kInitialWindowSize, 700}};
  H2Client client = proxy.connect(options);
  EXPECT_EQ(client.get("/large").body.size(), 700U * 1000);
  EXPECT_FALSE(client.state().goaway());
}

TEST(H2Fairness, CookiesInManyCrumbsAreOneField) {
  const H2Proxy proxy;
  H2Client client = proxy.connect();
  h2::Fields crumbs;
  for (int i = 0; i < 150; ++i) crumbs.emplace_back("cookie", "c" + std::to_string(i) + "=v");
  EXPECT_EQ(client.get("/", crumbs).status(), 200);
  EXPECT_EQ(proxy.origin.request().count("Cookie"), 1U);
  EXPECT_TRUE(proxy.origin.request().field("Cookie").ends_with("; c149=v"));
}

TEST(H2Fairness, HeadsThatNobodyReadsHoldLittleMemory) {
  if (sanitized()) GTEST_SKIP() << "memory is not the product's";
  const H2Proxy proxy(
      [](OriginExchange& exchange) {
        exchange.respond("", 200, "X-Large: " + std::string(40000, 'h') + "\r\n");
      },
      "workers: 1\nlimits: { h2_resets: 0, h2_streams: 20 }\n");
  const std::size_t before = proxy.daemon.rss_kib();
  H2Client client(RawClient::slow_reader(proxy.daemon.port("web")));
  // The answers are on their way when the streams are reset.
  for (int i = 0; i < 100; ++i) {
    std::string resets;
    for (int k = 0; k < 20; ++k) {
      const std::uint32_t stream = client.open(client.fields("GET", "/"));
      resets += h2::rst_stream(stream, h2::kCancel);
    }
    proxy.origin.wait_requests(static_cast<std::size_t>(i) * 20 + 10, Milliseconds(50));
    client.send(resets);
  }
  EXPECT_LT(proxy.daemon.rss_kib(), before + 12 * 1024);
  EXPECT_EQ(proxy.connect().get("/other").status(), 200);
}

}  // namespace revproxyd::testing

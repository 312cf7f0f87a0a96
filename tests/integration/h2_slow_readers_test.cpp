// Clients of HTTP/2 with windows wide open that do not take what TCP holds for them, or take it
// slowly.

#include <thread>

#include <gtest/gtest.h>

#include "tests/support/h2_client.h"
#include "tests/support/h2_proxy.h"

namespace revproxyd::testing {

namespace {

constexpr std::uint32_t kLargeWindow = 0x7fff0000;

H2ClientOptions wide_open() {
  H2ClientOptions options;
  options.settings = {{h2::kInitialWindowSize, kLargeWindow}};
  return options;
}

/// Asks for `path` and reads nothing.
H2Client unread(const Daemon& daemon, const std::string& path, const h2::Fields& more = {}) {
  H2Client client(RawClient::slow_reader(daemon.port("web")), wide_open());
  client.send(h2::window_update(0, kLargeWindow));
  client.open(client.fields("GET", path, more));
  return client;
}

/// How long an answer was sent for that was cut.
double sent_for(const Daemon& daemon, const std::string& path) {
  const AccessEntry entry = daemon.wait_access_of(path);
  EXPECT_EQ(entry.why(), "write_timeout");
  return entry.number("t_total") - entry.number("t_ttfb");
}

}  // namespace

// What was on its way when the client stopped is acknowledged by its kernel, and is no progress.
TEST(H2SlowReaders, AreCutWhenTheTimeOfTheirRequestIsOver) {
  const std::string answer(4 * 1024 * 1024, 'd');
  const Origin origin([&](OriginExchange& exchange) { exchange.respond(answer); });
  const Daemon daemon(
      "listeners: [ { name: web, address: '127.0.0.1:0', timeouts: { write: 8s } } ]\n"
      "routes:\n"
      "  - { match: { path: /long }, timeouts: { write: 60s }, to: '" +
      origin.url() +
      "' }\n"
      "  - { match: { path: /short }, timeouts: { write: 3s }, to: '" +
      origin.url() +
      "' }\n"
      "  - { to: '" +
      origin.url() + "' }\n");
  const H2Client longer = unread(daemon, "/long");
  const H2Client call = unread(daemon, "/call", {{"content-type", "application/grpc"}});
  const H2Client shorter = unread(daemon, "/short");
  const H2Client usual = unread(daemon, "/usual");
  const double took_short = sent_for(daemon, "/short");
  EXPECT_GE(took_short, 3000);
  EXPECT_LT(took_short, 5700) << "twice the time is 6000";
  const double took_usual = sent_for(daemon, "/usual");
  EXPECT_GE(took_usual, 8000);
  EXPECT_LT(took_usual, 15000) << "twice the time is 16000";
  EXPECT_FALSE(wait_until([&] { return daemon.access_entries().size() > 2; }, Milliseconds(4000)));
}

TEST(H2SlowReaders, ThatCrawlAreCut) {
  const std::string answer(64 * 1024 * 1024, 'd');
  const H2Proxy proxy([&](OriginExchange& exchange) { exchange.respond(answer); },
                      "limits: { min_rate: 1000000B/s }\n");
  H2Client client = unread(proxy.daemon, "/crawl");
  const auto cut = [&] { return !proxy.daemon.access_entries().empty(); };
  for (const Stopwatch watch; !cut() && watch.elapsed() < Milliseconds(20000);) {
    client.stream().receive(4096);
    std::this_thread::sleep_for(Milliseconds(50));  // the pace of the reader
  }
  const AccessEntry entry = proxy.daemon.wait_access_of("/crawl");
  EXPECT_EQ(entry.why(), "body_too_slow");
  EXPECT_GE(entry.number("t_total"), 10000);
  EXPECT_LT(entry.number("t_total"), 18000);
}

}  // namespace revproxyd::testing

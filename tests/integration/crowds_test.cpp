// Thousands of connections that never come to a request: others are served meanwhile, each ends by
// its time-out, and nothing is left of them.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "tests/support/process.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

// Beside those of a crowd.
constexpr std::size_t kOtherDescriptors = 500;
// Below what the front of a handshake may take.
constexpr Milliseconds kPromptly{3000};

// The front of a ClientHello.
const std::string kHalfHello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);

// A whole one.
std::string client_hello() {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  SSL_CTX_free);
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
  BIO* const out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
  SSL_connect(ssl.get());  // has nobody to hear from yet
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

std::vector<RawClient> crowd_of(std::size_t size, const Daemon& daemon, std::string_view words) {
  std::vector<RawClient> crowd;
  for (std::size_t i = 0; i < size; ++i) {
    crowd.emplace_back(daemon.port());
    if (!words.empty()) crowd.back().send(words);
  }
  return crowd;
}

// Answers over TLS and waits long for handshakes.
const std::string kPatientTls =
    "listeners: [ { name: tls, address: '127.0.0.1:0', tls: internal } ]\n"
    "timeouts: { handshake: 60s }\nroutes: [ { respond: { body: ok } } ]\n";

// Why the memory that such a crowd takes cannot be measured here.
std::optional<std::string_view> unmeasurable(std::size_t crowd) {
  if (sanitized()) return "a sanitizer has its own idea of memory";
  if (raise_descriptor_limit() < crowd + kOtherDescriptors)
    return "too few descriptors are allowed here";
  return std::nullopt;
}

// With a connection of its own for each request.
void expect_prompt(const std::function<RawClient()>& connect) {
  for (int i = 0; i < 20; ++i) {
    const Stopwatch watch;
    EXPECT_EQ(connect().get("/").status, 200);
    EXPECT_LT(watch.elapsed().count(), kPromptly.count());
  }
}

// The crowd has left nothing open.
void expect_descriptors(const Daemon& daemon, std::size_t before) {
  EXPECT_TRUE(wait_until([&] { return daemon.descriptors() <= before; }))
      << daemon.descriptors() << " of " << before;
}

// A crowd that sends `words` to a plain listener; `ends` is how each of it is to end.
void hold_nobody_up_and_end(std::size_t count, std::string_view words,
                            const std::function<bool(RawClient&)>& ends) {
  if (raise_descriptor_limit() < count + kOtherDescriptors)
    GTEST_SKIP() << "too few descriptors are allowed here";
  const Proxy proxy("timeouts: { header: 5s, keepalive: 5s }\n");
  const auto connect = [&] { return proxy.connect(); };
  expect_prompt(connect);
  const std::size_t before = proxy.daemon.descriptors();
  std::vector<RawClient> crowd = crowd_of(count, proxy.daemon, words);
  expect_prompt(connect);
  for (RawClient& client : crowd) ASSERT_TRUE(ends(client));
  expect_descriptors(proxy.daemon, before);
  expect_prompt(connect);
}

}  // namespace

TEST(Crowds, TwoThousandHalfHandshakesHoldNobodyUpAndEnd) {
  constexpr std::size_t kCrowd = 2000;
  if (raise_descriptor_limit() < kCrowd + kOtherDescriptors)
    GTEST_SKIP() << "too few descriptors are allowed here";
  const Daemon daemon(
      "listeners: [ { name: tls, address: '127.0.0.1:0', tls: internal } ]\n"
      "timeouts: { handshake: 5s }\nroutes: [ { respond: { body: ok } } ]\n");
  const auto connect = [&] { return RawClient(daemon.port(), ClientTls{}); };
  expect_prompt(connect);
  const std::size_t before = daemon.descriptors();
  std::vector<RawClient> crowd = crowd_of(kCrowd, daemon, kHalfHello);
  expect_prompt(connect);
  for (RawClient& client : crowd) ASSERT_TRUE(client.closes());
  expect_descriptors(daemon, before);
  expect_prompt(connect);
}

TEST(Crowds, HalfAClientHelloHoldsLittleMemory) {
  constexpr std::size_t kCrowd = 2000;
  constexpr std::size_t kMostEach = 5;  // KiB
  if (const auto why = unmeasurable(kCrowd)) GTEST_SKIP() << *why;
  const Daemon daemon(kPatientTls);
  EXPECT_EQ(RawClient(daemon.port(), ClientTls{}).get("/").status, 200);
  const std::size_t before = daemon.rss_kib();
  const std::string hello = client_hello();
  std::vector<RawClient> crowd = crowd_of(kCrowd, daemon, hello.substr(0, hello.size() - 1));
  ASSERT_TRUE(comes_to(daemon, "connections_active", kCrowd));
  EXPECT_TRUE(crowd.back().stays_quiet(Milliseconds(200)));  // so that all have been looked at
  EXPECT_LE(daemon.rss_kib(), before + kCrowd * kMostEach);
  // And it is a beginning like any other.
  crowd.front().send(hello.substr(hello.size() - 1));
  EXPECT_FALSE(crowd.front().stays_quiet(kPromptly));
}

TEST(Crowds, FiveThousandThatNeverSayAWordHoldNobodyUpAndEnd) {
  hold_nobody_up_and_end(5000, {}, [](RawClient& client) { return client.closes(); });
}

TEST(Crowds, FiveThousandHalfHeadsHoldNobodyUpAndEnd) {
  hold_nobody_up_and_end(5000, "GET / HTTP/1.1\r\nHost: a\r\n", [](RawClient& client) {
    return client.last_words().starts_with("HTTP/1.1 408 ");
  });
}

// The library's frame of 16 KiB and what belongs to it, not a power of two.
TEST(Crowds, AnHttp2ConnectionAtRestHoldsLittleMoreThanItsFrame) {
  constexpr std::size_t kCrowd = 1000;
  constexpr std::size_t kMostEach = 25;  // KiB
  if (const auto why = unmeasurable(kCrowd)) GTEST_SKIP() << *why;
  const Proxy proxy;
  EXPECT_EQ(proxy.connect().get("/").status, 200);
  const std::size_t before = proxy.daemon.rss_kib();
  std::string beginning = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  beginning.append({0, 0, 0, 4, 0, 0, 0, 0, 0});  // SETTINGS
  std::vector<RawClient> crowd = crowd_of(kCrowd, proxy.daemon, beginning);
  for (RawClient& client : crowd) ASSERT_EQ(client.bytes(9).size(), 9U);
  EXPECT_LE(proxy.daemon.rss_kib(), before + kCrowd * kMostEach);
}

TEST(Crowds, MemoryThatTheyTookGoesBackToTheSystem) {
  constexpr std::size_t kCrowd = 2000;
  constexpr std::size_t kLeftover = 4 * 1024;  // KiB
  if (const auto why = unmeasurable(kCrowd)) GTEST_SKIP() << *why;
  const Daemon daemon(kPatientTls);
  EXPECT_EQ(RawClient(daemon.port(), ClientTls{}).get("/").status, 200);
  const std::size_t before = daemon.rss_kib();
  {
    const std::vector<RawClient> crowd = crowd_of(kCrowd, daemon, client_hello());
    ASSERT_TRUE(wait_until([&] { return daemon.rss_kib() > before + 2 * kLeftover; }));
    ASSERT_TRUE(comes_to(daemon, "connections_active", kCrowd));
  }
  EXPECT_TRUE(
      wait_until([&] { return daemon.rss_kib() < before + kLeftover; }, Milliseconds(60000)))
      << daemon.rss_kib() << " KiB, at first " << before;
}

// What they took is given back when they are gone: nobody else is refused for it for good.
TEST(Crowds, MemoryThatTheyTookIsFreeAgain) {
  constexpr std::size_t kCrowd = 2000;
  if (const auto why = unmeasurable(kCrowd)) GTEST_SKIP() << *why;
  const Daemon daemon(kPatientTls + "limits: { memory: 64MiB }\n");
  RawClient kept(daemon.port(), ClientTls{});
  EXPECT_EQ(kept.get("/").status, 200);
  {
    const std::vector<RawClient> crowd = crowd_of(kCrowd, daemon, client_hello());
    daemon.wait_log("limits.memory is exceeded");
    EXPECT_EQ(kept.get("/").status, 503);
    EXPECT_ANY_THROW(RawClient(daemon.port(), ClientTls{})) << "handshakes take memory";
  }
  daemon.wait_log("memory is below limits.memory again");
  EXPECT_EQ(kept.get("/").status, 200);
}

}  // namespace revproxyd::testing

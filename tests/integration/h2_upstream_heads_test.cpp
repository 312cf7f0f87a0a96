// Heads of answers that end their connection: nothing behind them can be decoded.

#include <cstdint>
#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/h2_upstream.h"

namespace revproxyd::testing {

namespace {

using Block = std::function<std::string(std::uint32_t stream)>;

/// Asks for it once a GET and a POST wait on the same connection.
void expect_others_are_only_lost(const Block& head) {
  const H2Upstream proxy(
      [&](const H2Request& request) {
        if (request->request().path() == "/bad")
          return request->link().send(head(request->stream()));
        if (request->link().number() != 0) H2Upstream::echo(request);
      },
      {.settings = "retry: { budget: 0% }", .more = "workers: 1\n", .origin = {}});
  RawClient get = proxy.connect();
  RawClient post = proxy.connect();
  get.send("GET /get HTTP/1.1\r\nHost: test\r\n\r\n");
  post.send(post_text("/post", "body"));
  ASSERT_TRUE(proxy.origin.wait_requests(2));
  EXPECT_EQ(proxy.get("/bad").status, 502);
  EXPECT_EQ(get.response().body, "GET /get ");
  EXPECT_EQ(post.response().status, 502);
  EXPECT_EQ(proxy.daemon.wait_access_of("/bad").why(), "malformed_response");
  EXPECT_EQ(proxy.daemon.wait_access_of("/post").why(), "reset");
  proxy.daemon.wait_log("a head that cannot be decoded, or has a field beyond 64 KiB");
}

}  // namespace

TEST(H2UpstreamHeads, AFieldBeyondWhatCanBeDecodedIsBlamedOnItsOwnRequestAlone) {
  expect_others_are_only_lost([](std::uint32_t stream) {
    return h2::headers(stream, {{":status", "200"}, {"x-large", std::string(70'000, 'v')}});
  });
}

TEST(H2UpstreamHeads, OneThatIsNoHpackFailsItsOwnRequestAlone) {
  // Entry 127 of a table that has none.
  expect_others_are_only_lost(
      [](std::uint32_t stream) { return h2::headers_block(stream, std::string("\x88\xFF\0", 3)); });
}

TEST(H2UpstreamHeads, AFieldJustBelowIsTaken) {
  const H2Upstream proxy(
      [](const H2Request& request) {
        request->respond("ok", 200, {{"x-large", std::string(65'000, 'v')}});
      },
      {.settings = "limits: { response_header_bytes: 128KiB }", .more = {}, .origin = {}});
  EXPECT_EQ(proxy.get().field("x-large").size(), 65'000U);
}

}  // namespace revproxyd::testing

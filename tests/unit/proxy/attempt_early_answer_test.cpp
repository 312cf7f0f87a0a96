// An answer that comes before the upload has ended, and a client that is slow with the rest of it.

#include <string>

#include <gtest/gtest.h>

#include "tests/unit/proxy/relay_fixture.h"

namespace revproxyd::proxy {
namespace {

using std::chrono::seconds;

class EarlyAnswer : public testing::Relay {};

// RFC 9112 section 9.5: so it is told to do when the head says that the connection will be closed.
TEST_F(EarlyAnswer, AClientThatStopsSendingBesideItsAnswerGetsAllOfThat) {
  body_rules.stall = seconds(10);
  request(post(1'000'000, "abc"));
  respond("HTTP/1.1 413 Content Too Large\r\nDate: d\r\nContent-Length: 6\r\n\r\nABC");
  runner.pass(seconds(25));
  EXPECT_FALSE(ended);
  respond("DEF");
  EXPECT_EQ(body(), "ABCDEF");
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::none);
  EXPECT_FALSE(server_is_kept()) << "the server still waits for the rest";
}

TEST_F(EarlyAnswer, AnUploadThatPausesBesideItsAnswerGoesOn) {
  body_rules.stall = seconds(10);
  request(post(6, "abc"));
  respond("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 6\r\n\r\nABC");
  runner.pass(seconds(25));
  client_sends("def");
  EXPECT_EQ(upload(), "abcdef");
  respond("DEF");
  EXPECT_EQ(body(), "ABCDEF");
  EXPECT_TRUE(server_is_kept());
}

TEST_F(EarlyAnswer, AnUploadMayBeSlowBesideItsAnswer) {
  body_rules.min_rate = 240;
  request(post(1'000'000, "abc"));
  respond("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 6\r\n\r\nABC");
  for (int i = 0; i < 20; ++i) {
    runner.pass(seconds(1));
    client_sends("x");
  }
  EXPECT_FALSE(ended);
  EXPECT_EQ(upload(), "abc" + std::string(20, 'x'));
}

TEST_F(EarlyAnswer, AClientThatHasStoppedSendingBesideItsAnswerAndLeavesEndsTheAttempt) {
  body_rules.stall = seconds(10);
  request(post(1'000'000, "abc"));
  respond("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 6\r\n\r\nABC");
  runner.pass(seconds(25));
  client.end();
  runner.settle();
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::client_gone);
  EXPECT_FALSE(server_is_kept());
}

}  // namespace
}  // namespace revproxyd::proxy

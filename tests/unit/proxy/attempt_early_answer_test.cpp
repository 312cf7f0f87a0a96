// An answer that comes before the upload has ended, and a client that is slow with the rest of it.

#include <string>

#include <gtest/gtest.h>

#include "tests/unit/proxy/relay_fixture.h"

namespace revproxyd::proxy {
namespace {

using std::chrono::seconds;

class EarlyAnswer : public testing::Relay {
 protected:
  /// An upload of so many bytes, of which the server takes 200.
  void upload_that_is_not_taken(std::size_t size) {
    times.idle = seconds(10);
    origin.take_only(200);
    request(post(size, std::string(size, 'x')));
  }
};

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

TEST_F(EarlyAnswer, AServerThatTakesNoMoreOfTheUploadMayAnswerAsLongAsItSends) {
  upload_that_is_not_taken(300'000);
  for (int i = 0; i < 8; ++i) {
    respond(i == 0 ? "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 8\r\n\r\nA" : "A");
    runner.pass(seconds(6));
    EXPECT_EQ(ended, i == 7) << i;
  }
  EXPECT_EQ(body(), "AAAAAAAA");
  EXPECT_EQ(outcome, Code::none);
}

TEST_F(EarlyAnswer, AServerThatTakesTheUploadAgainBesideItsAnswerGetsAllOfIt) {
  upload_that_is_not_taken(3000);
  respond("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 8\r\n\r\nA");
  for (const char* more : {"BC", "DE"}) {
    runner.pass(seconds(6));
    respond(more);
  }
  origin.take_all();
  runner.settle();
  EXPECT_EQ(upload(), std::string(3000, 'x'));
  respond("FGH");
  EXPECT_EQ(body(), "ABCDEFGH");
  EXPECT_TRUE(server_is_kept());
}

TEST_F(EarlyAnswer, AServerThatNeitherTakesNorSendsEndsTheAttempt) {
  upload_that_is_not_taken(300'000);
  respond("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 8\r\n\r\nA");
  runner.pass(seconds(11));
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::idle_timeout);
}

// The server waits for the client, which waits for itself: it writes before it reads, say.
TEST_F(EarlyAnswer, AnUploadThatIsNotTakenWhileTheClientTakesNothingEndsNoAnswer) {
  upload_that_is_not_taken(300'000);
  client.take_only(0);
  respond("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 8\r\n\r\nABCD");
  runner.pass(seconds(25));
  EXPECT_FALSE(ended);
  client.take_all();
  runner.pass(seconds(9));
  EXPECT_FALSE(ended) << "the server has its time from when the client takes again";
  respond("EFGH");
  EXPECT_EQ(body(), "ABCDEFGH");
  EXPECT_EQ(outcome, Code::none);
}

TEST_F(EarlyAnswer, AServerThatNeitherTakesNorSendsOnceTheClientTakesAgainEndsTheAttempt) {
  upload_that_is_not_taken(300'000);
  client.take_only(0);
  respond("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 8\r\n\r\nABCD");
  runner.pass(seconds(25));
  client.take_all();
  runner.pass(seconds(11));
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::idle_timeout);
}

TEST_F(EarlyAnswer, AStreamOfEventsThatFlowsIsNotCutEither) {
  upload_that_is_not_taken(300'000);
  respond("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Type: text/event-stream\r\n\r\nA");
  for (int i = 0; i < 5; ++i) {
    runner.pass(seconds(6));
    respond("A");
    EXPECT_FALSE(ended) << i;
  }
  runner.pass(seconds(12));
  EXPECT_EQ(outcome, Code::idle_timeout);
}

// The server waits for the rest of the upload before it goes on.
TEST_F(EarlyAnswer, AClientThatStopsSendingBesideAnAnswerThatStopsAsWellIsToBlame) {
  body_rules.stall = seconds(10);
  times.idle = seconds(30);
  request(post(1'000'000, "abc"));
  respond("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 6\r\n\r\nABC");
  runner.pass(seconds(31));
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::body_timeout);
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

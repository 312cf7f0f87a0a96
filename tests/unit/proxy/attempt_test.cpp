#include "proxy/attempt.h"

#include <string>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tests/unit/proxy/relay_fixture.h"

namespace revproxyd::proxy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 5\r\n\r\nhello";
constexpr std::string_view kEmptyOk = "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 0\r\n\r\n";

class AttemptRelay : public testing::Relay {};

TEST_F(AttemptRelay, ASmallExchangeIsOneWriteToEachSide) {
  request(post(4, "body"));
  EXPECT_EQ(origin.received(), post(4, "body"));
  EXPECT_EQ(origin.writes(), 1U);
  respond(kOk);
  EXPECT_EQ(client.received(), kOk);
  EXPECT_EQ(client.writes(), 1U);
  EXPECT_TRUE(ended);
  EXPECT_TRUE(server_is_kept());
}

TEST_F(AttemptRelay, TheHeadGoesAheadOfABodyThatIsNotThereYet) {
  request(post(4, ""));
  EXPECT_EQ(origin.received(), post(4, ""));
  client_sends("body");
  EXPECT_EQ(upload(), "body");
}

TEST_F(AttemptRelay, BytesOfUnknownLengthPassAtOnce) {
  request(kGet);
  respond("HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_TRUE(client.received().ends_with("\r\n\r\n")) << "the head does not wait for the body";
  client.take_received();
  respond("5\r\nhello\r\n");
  EXPECT_EQ(client.take_received(), "5\r\nhello\r\n");
  respond("1\r\n!\r\n");
  EXPECT_EQ(client.take_received(), "1\r\n!\r\n");
  respond("0\r\n\r\n");
  EXPECT_EQ(client.take_received(), "0\r\n\r\n");
  EXPECT_TRUE(ended);
}

TEST_F(AttemptRelay, ChunksAndTrailersPassBothWays) {
  request(
      "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Up: "
      "1\r\n\r\n");
  EXPECT_EQ(upload(), "3\r\nabc\r\n0\r\nX-Up: 1\r\n\r\n");
  respond(
      "HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\nX-Down: "
      "2\r\n\r\n");
  EXPECT_TRUE(got("\r\n\r\n2\r\nde\r\n0\r\nX-Down: 2\r\n\r\n")) << client.received();
}

TEST_F(AttemptRelay, BodiesStreamBothWaysAtOnce) {
  request(post(6, "abc"));
  respond("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 6\r\n\r\nABC");
  EXPECT_EQ(body(), "ABC");
  EXPECT_EQ(upload(), "abc");
  client_sends("def");
  EXPECT_EQ(upload(), "abcdef");
  EXPECT_FALSE(ended);
  respond("DEF");
  EXPECT_EQ(body(), "ABCDEF");
  EXPECT_TRUE(ended);
}

TEST_F(AttemptRelay, AnEarlyResponseEndsTheUpload) {
  request(post(1'000'000, "abc"));
  respond("HTTP/1.1 413 Content Too Large\r\nDate: d\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(ended);
  EXPECT_TRUE(got("HTTP/1.1 413 "));
  EXPECT_FALSE(server_is_kept()) << "the server still waits for the rest";
  client_sends("def");
  EXPECT_EQ(upload(), "abc");
}

TEST_F(AttemptRelay, AnUploadThatTheServerDoesNotTakeDoesNotHideItsAnswer) {
  request(post(1'000'000, "abc"));
  origin.refuse_writes();
  client_sends(std::string(100'000, 'x'));
  EXPECT_FALSE(ended) << "the answer may still come";
  respond("HTTP/1.1 413 Content Too Large\r\nDate: d\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(got("HTTP/1.1 413 "));
  EXPECT_TRUE(ended);
}

TEST_F(AttemptRelay, AnUploadThatTheServerDoesNotTakeFailsWhenNoAnswerComes) {
  request(post(1'000'000, "abc"));
  origin.refuse_writes();
  client_sends(std::string(100'000, 'x'));
  origin.end();
  runner.settle();
  EXPECT_TRUE(got("HTTP/1.1 502 "));
  EXPECT_EQ(outcome, Code::end_of_stream);
}

TEST_F(AttemptRelay, AnUploadThatTheServerDoesNotTakeFailsAfterTheFirstByteTime) {
  request(post(1'000'000, "abc"));
  origin.refuse_writes();
  client_sends(std::string(100'000, 'x'));
  runner.pass(seconds(60));
  EXPECT_TRUE(got("HTTP/1.1 504 "));
}

TEST_F(AttemptRelay, TheServersTimeRunsFromTheLastByteOfTheRequest) {
  request(post(3, "a"));
  runner.pass(seconds(90));
  client_sends("b");
  runner.pass(seconds(90));
  EXPECT_FALSE(ended);
  client_sends("c");
  runner.pass(seconds(59));
  EXPECT_FALSE(ended);
  runner.pass(seconds(1));
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::first_byte_timeout);
  EXPECT_TRUE(got("HTTP/1.1 504 "));
}

TEST_F(AttemptRelay, AResponseThatFallsSilentIsCutOff) {
  request(kGet);
  respond("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 6\r\n\r\nABC");
  runner.pass(seconds(59));
  EXPECT_FALSE(ended);
  runner.pass(seconds(1));
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::idle_timeout);
}

TEST_F(AttemptRelay, AStreamOfEventsMayBeSilentAsLongAsATunnel) {
  request(kGet);
  respond(
      "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: "
      "chunked\r\n\r\n");
  runner.pass(seconds(3500));
  EXPECT_FALSE(ended);
  runner.pass(seconds(100));
  EXPECT_TRUE(ended);
}

TEST_F(AttemptRelay, WhatIsNotAnsweredBeforeTheDeadlineIsAnsweredHere) {
  times.deadline = seconds(10);
  request(post(10, "abc"));
  runner.pass(seconds(9));
  EXPECT_FALSE(ended);
  runner.pass(seconds(1));
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::deadline_exceeded);
  EXPECT_TRUE(got("HTTP/1.1 504 ")) << client.received();
  EXPECT_FALSE(server_is_kept());
}

TEST_F(AttemptRelay, AResponseThatHasNotEndedBeforeTheDeadlineIsCutOff) {
  times.deadline = seconds(10);
  request(kGet);
  respond("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 6\r\n\r\nABC");
  runner.pass(seconds(9));
  EXPECT_FALSE(ended);
  runner.pass(seconds(1));
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::deadline_exceeded);
  EXPECT_EQ(body(), "ABC");
  EXPECT_FALSE(server_is_kept());
}

TEST_F(AttemptRelay, AClientThatTakesNothingOfTheResponseIsCutOffAtTheDeadlineToo) {
  times.deadline = seconds(10);
  request(kGet);
  client.take_only(1000);
  respond("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 100000\r\n\r\n" +
          std::string(100'000, 'x'));
  runner.pass(seconds(9));
  EXPECT_FALSE(ended);
  runner.pass(seconds(1));
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::deadline_exceeded);
}

TEST_F(AttemptRelay, TheClientThatLeavesEndsTheAttempt) {
  request(kGet);
  EXPECT_FALSE(ended);
  client.end();
  runner.settle();
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::client_gone);
  EXPECT_FALSE(server_is_kept());
}

TEST_F(AttemptRelay, TheClientThatLeavesWithinItsBodyEndsTheAttempt) {
  request(post(10, "abc"));
  client.end();
  runner.settle();
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::client_gone);
  EXPECT_FALSE(server_is_kept());
}

TEST_F(AttemptRelay, TheClientThatLeavesDuringTheResponseEndsTheAttempt) {
  request(kGet);
  respond("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 6\r\n\r\nABC");
  client.end();
  runner.settle();
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::client_gone);
  EXPECT_FALSE(server_is_kept());
}

TEST_F(AttemptRelay, AClientThatStopsSendingIsTheClientsFailure) {
  body_rules.stall = seconds(30);
  request(post(10, "abc"));
  runner.pass(seconds(30));
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::body_timeout);
  EXPECT_TRUE(got("HTTP/1.1 408 "));
}

TEST_F(AttemptRelay, AMalformedUploadIsTheClientsFailure) {
  request("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n");
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::malformed_request);
  EXPECT_TRUE(got("HTTP/1.1 400 "));
  EXPECT_EQ(upload().find("zz"), std::string::npos);
  EXPECT_FALSE(server_is_kept());
}

TEST_F(AttemptRelay, InterimHeadsPassInFrontOfTheAnswer) {
  request(kGet);
  respond("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\nX: 1\r\n\r\n");
  EXPECT_EQ(client.take_received(), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
  respond(kOk);
  EXPECT_EQ(client.received(), kOk);
}

TEST_F(AttemptRelay, AHeadThatTheServerDoesNotTakeWholeDoesNotHideItsAnswer) {
  origin.take_only(10);
  request(kGet);
  origin.send("HTTP/1.1 431 Too Large\r\nDate: d\r\nContent-Length: 0\r\n\r\n");
  origin.end();
  origin.refuse_writes();
  runner.settle();
  EXPECT_TRUE(got("HTTP/1.1 431 ")) << client.received();
}

class ExpectRelay : public AttemptRelay {
 protected:
  static constexpr std::string_view kExpect =
      "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
};

TEST_F(ExpectRelay, The100OfTheServerReachesTheClientWhichThenSends) {
  request(kExpect);
  EXPECT_NE(origin.received().find("Expect: 100-continue\r\n"), std::string::npos);
  EXPECT_EQ(client.received(), "");
  respond(kContinue);
  EXPECT_EQ(client.take_received(), kContinue);
  client_sends("body");
  EXPECT_EQ(upload(), "body");
  respond(kEmptyOk);
  EXPECT_EQ(client.received(), kEmptyOk);
  EXPECT_TRUE(ended);
  EXPECT_TRUE(server_is_kept());
}

TEST_F(ExpectRelay, AServerWithoutAWordIsAnsweredForAfterASecond) {
  request(kExpect);
  runner.pass(limits::kContinueDelay - milliseconds(100));
  EXPECT_EQ(client.received(), "");
  runner.pass(milliseconds(100));
  EXPECT_EQ(client.take_received(), kContinue);
  client_sends("body");
  EXPECT_EQ(upload(), "body");
  respond(std::string(kContinue) + std::string(kEmptyOk));
  EXPECT_EQ(client.received(), kEmptyOk) << "a second 100 is of no use";
}

TEST_F(ExpectRelay, AFinalStatusThatComesFirstIsTheAnswerAndNoBodyIsAskedFor) {
  request(kExpect);
  respond("HTTP/1.1 401 Unauthorized\r\nDate: d\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(ended);
  EXPECT_TRUE(client.received().starts_with("HTTP/1.1 401 "));
  EXPECT_TRUE(got("Connection: close\r\n"))
      << "what the client sends next may be the body after all";
  EXPECT_EQ(upload(), "");
  EXPECT_FALSE(server_is_kept());
}

TEST_F(ExpectRelay, AfterAFinalHeadTheBodyIsNotAskedForHoweverLongTheAnswerTakes) {
  request(kExpect);
  respond("HTTP/1.1 401 Unauthorized\r\nDate: d\r\nContent-Length: 5\r\n\r\n");
  client_sends("body");
  runner.pass(2 * limits::kContinueDelay);
  EXPECT_EQ(upload(), "");
  respond("sorry");
  EXPECT_TRUE(client.received().ends_with("\r\n\r\nsorry"));
  EXPECT_TRUE(ended);
}

TEST_F(ExpectRelay, AServerThatGoesSilentAfterIts100IsCutOff) {
  request(kExpect);
  respond(kContinue);
  client_sends("body");
  runner.pass(seconds(60));
  EXPECT_EQ(outcome, Code::first_byte_timeout);
}

class BackPressure : public AttemptRelay {};

TEST_F(BackPressure, TheClientIsNotReadWhileTheServerDoesNotTake) {
  constexpr std::size_t kSize = 4'000'000;
  origin.take_only(1000);
  request(post(kSize, ""));
  client_sends(std::string(kSize, 'x'));
  EXPECT_GE(client.unread(), kSize - 200'000);
  const std::size_t reads = client.reads();
  origin.take_more(1000);
  runner.settle();
  EXPECT_LE(client.reads(), reads + 1);
  origin.take_all();
  runner.settle();
  EXPECT_EQ(client.unread(), 0U);
  EXPECT_EQ(upload().size(), kSize);
}

TEST_F(BackPressure, TheServerIsNotReadWhileTheClientDoesNotTake) {
  constexpr std::size_t kSize = 4'000'000;
  client.take_only(1000);
  request(kGet);
  respond("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 4000000\r\n\r\n" +
          std::string(kSize, 'x'));
  EXPECT_GE(origin.unread(), kSize - 200'000);
  client.take_all();
  runner.settle();
  EXPECT_EQ(origin.unread(), 0U);
  EXPECT_EQ(body().size(), kSize);
  EXPECT_TRUE(ended);
}

TEST_F(BackPressure, ByteByByteOnEverySideLosesNothing) {
  client.limit_calls(1);
  origin.limit_calls(1);
  request(post(4, "body"));
  EXPECT_EQ(origin.received(), post(4, "body"));
  respond(kOk);
  EXPECT_EQ(client.received(), kOk);
  EXPECT_TRUE(ended);
}

TEST_F(BackPressure, AnEndlessStreamThatIsAlwaysReadyGivesOthersTheirTurn) {
  client.discard_received();
  request(kGet);
  origin.send("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 10000000000\r\n\r\n");
  origin.send_endlessly();
  // The neighbour needs a few turns of its own: it counts them.
  static constexpr int kTurns = 5 * static_cast<int>(limits::kTurnCompletions);
  struct Neighbour {
    static Task<void> run(int& turns) {
      for (int i = 0; i < kTurns; ++i) {
        auto code = co_await Fair{};
        if (code != Code::none) co_return;
        ++turns;
      }
    }
  };
  int turns = 0;
  runner.launch(Neighbour::run(turns));
  std::size_t resumptions = 0;
  while (turns < kTurns && resumptions < 1000) {
    const std::uint64_t before = client.received_bytes();
    runner.step(1);
    ++resumptions;
    EXPECT_LE(client.received_bytes() - before, limits::kTurnBytes + limits::kStreamRead)
        << "bytes of one turn";
  }
  EXPECT_LE(resumptions, 20U);
  EXPECT_GT(client.received_bytes(), limits::kTurnBytes);
  client.reset();
}

}  // namespace
}  // namespace revproxyd::proxy

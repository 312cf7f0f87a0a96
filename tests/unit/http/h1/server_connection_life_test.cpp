// What ends a client connection and what it may hold: limits, times, the client that leaves,
// draining.

#include <string>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tests/unit/http/h1/server_connection_fixture.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define REVPROXYD_TEST_ASAN
#endif
#endif

namespace revproxyd::http::h1 {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::kGet;

class H1ServerConnectionLife : public testing::ServerConnectionTest {};

TEST_F(H1ServerConnectionLife, ReadsNoMoreThanHeaderBytesAheadOfTheRequestThatIsServed) {
  open({.header_bytes = 8 * 1024});
  const auto first = next_stream_of(kGet);
  for (int i = 0; i < 100; ++i) {
    peer_.send(std::string(1024, 'x'));
    runner_.settle();
  }
  EXPECT_GE(peer_.unread(), 100 * 1024 - 8 * 1024 - limits::kFirstRead);
  EXPECT_FALSE(first->scope().cancelled());
}

TEST_F(H1ServerConnectionLife, SeesTheClientLeaveBehindMoreThanItKeeps) {
  open({.header_bytes = 8 * 1024});
  const auto first = next_stream_of(kGet);
  peer_.send(std::string(100 * 1024, 'x'));
  peer_.end();
  EXPECT_EQ(first->scope().reason(), Code::client_gone);
}

TEST_F(H1ServerConnectionLife, ClosesAfterTheLastRequestThatALimitAllows) {
  open({.requests = 2});
  answer(next_stream_of(kGet), "1");
  answer(next_stream_of(kGet), "2");
  EXPECT_EQ(peer_.received(), answered("1") + answered("2", false));
  ask();
  EXPECT_TRUE(drained());
}

TEST_F(H1ServerConnectionLife, AHeadOverItsLimitIsRefusedBeforeItEnds) {
  open({.header_bytes = 1000});
  const auto stream = next_stream_of("GET / HTTP/1.1\r\nX: " + std::string(2000, 'x'));
  ASSERT_TRUE(stream->refusal());
  EXPECT_EQ(stream->refusal()->code(), Code::header_too_large);
}

TEST_F(H1ServerConnectionLife, ASlowHeadIsAStreamThatIsRefusedWithATimeout) {
  open({.header = seconds(10)});
  peer_.send("GET / HTTP/1.1\r\n");
  ask();
  for (int i = 0; i < 9; ++i) {
    runner_.pass(seconds(1));
    peer_.send("X: 1\r\n");
    runner_.settle();
    ASSERT_FALSE(next_);
  }
  runner_.pass(seconds(1));
  const auto late = stream();
  ASSERT_TRUE(late->refusal());
  EXPECT_EQ(late->refusal()->code(), Code::header_timeout);
}

TEST_F(H1ServerConnectionLife, AHeadWhoseBeginningTheTransportHeldHasTheHeaderTimeToo) {
  open({.header = seconds(10)});
  peer_.hold("GET / HTTP/1.1\r\n");
  ask();
  runner_.pass(seconds(9));
  EXPECT_FALSE(next_);
  runner_.pass(seconds(1));
  const auto late = stream();
  ASSERT_TRUE(late->refusal());
  EXPECT_EQ(late->refusal()->code(), Code::header_timeout);
}

TEST_F(H1ServerConnectionLife, ARequestThatTheTransportHoldsIsServedWithoutAnEdge) {
  open();
  peer_.hold(kGet);
  ask();
  answer(stream(), "1");
  EXPECT_EQ(peer_.received(), answered("1"));
}

TEST_F(H1ServerConnectionLife, AConnectionThatNeverSaysAWordIsClosedAfterTheHeaderTime) {
  open({.header = seconds(10), .keepalive = seconds(60)});
  ask();
  runner_.pass(seconds(9));
  EXPECT_FALSE(next_);
  runner_.pass(seconds(1));
  EXPECT_TRUE(drained());
}

TEST_F(H1ServerConnectionLife, AnIdleConnectionIsClosedAfterTheKeepaliveTime) {
  open({.header = seconds(10), .keepalive = seconds(60)});
  answer(next_stream_of(kGet), "1");
  ask();
  runner_.pass(seconds(59));
  EXPECT_FALSE(next_);
  runner_.pass(seconds(1));
  EXPECT_TRUE(drained());
}

TEST_F(H1ServerConnectionLife, TheClockOfALaterHeadRunsFromItsFirstByte) {
  open({.header = seconds(10), .keepalive = seconds(60)});
  answer(next_stream_of(kGet), "1");
  ask();
  runner_.pass(seconds(50));
  peer_.send("GET / HT");
  runner_.settle();
  runner_.pass(seconds(9));
  EXPECT_FALSE(next_);
  peer_.send("TP/1.1\r\nHost: a\r\n\r\n");
  runner_.settle();
  EXPECT_FALSE(stream()->refusal());
}

// RFC 9112 section 2.2: old clients send it behind a body.
TEST_F(H1ServerConnectionLife, AnEmptyLineBehindARequestBeginsNoOther) {
  open({.header = seconds(10), .keepalive = seconds(60)});
  answer(next_stream_of(std::string(kGet) + "\r\n"), "1");
  ask();
  runner_.pass(seconds(50));
  ASSERT_FALSE(next_);
  peer_.send(kGet);
  runner_.settle();
  answer(stream(), "2");
  EXPECT_EQ(peer_.received(), answered("1") + answered("2"));
}

TEST_F(H1ServerConnectionLife, AnEmptyLineThatComesWhileTheRequestIsServedBeginsNoOther) {
  open({.header = seconds(10), .keepalive = seconds(60)});
  auto first = next_stream_of(kGet);
  peer_.send("\r\n");
  runner_.settle();
  answer(std::move(first), "1");
  ask();
  runner_.pass(seconds(59));
  EXPECT_FALSE(next_);
  runner_.pass(seconds(1));
  EXPECT_TRUE(drained());
  EXPECT_EQ(peer_.received(), answered("1"));
}

TEST_F(H1ServerConnectionLife, EmptyLinesGiveAnIdleConnectionNoMoreTime) {
  open({.header = seconds(10), .keepalive = seconds(60)});
  answer(next_stream_of(kGet), "1");
  ask();
  for (int i = 0; i < 3; ++i) {
    runner_.pass(seconds(19));
    peer_.send("\r\n");
    runner_.settle();
    ASSERT_FALSE(next_);
  }
  runner_.pass(seconds(3));
  EXPECT_TRUE(drained());
  EXPECT_EQ(peer_.received(), answered("1"));
}

TEST_F(H1ServerConnectionLife, MoreThanFourEmptyLinesAreRefusedThoughTheyComeOneByOne) {
  open();
  answer(next_stream_of(std::string(kGet) + "\r\n"), "1");
  ask();
  for (int i = 0; i < 3; ++i) {
    peer_.send("\r\n");
    runner_.settle();
    ASSERT_FALSE(next_);
  }
  peer_.send("\r\n");
  runner_.settle();
  EXPECT_EQ(stream()->refusal()->code(), Code::malformed_request);
}

TEST_F(H1ServerConnectionLife, EmptyLinesInFrontOfOneRequestDoNotCountForTheNext) {
  open();
  for (int i = 0; i < 6; ++i) {
    peer_.send("\r\n\r\n");
    answer(next_stream_of(kGet), "1");
  }
}

TEST_F(H1ServerConnectionLife, TheClockOfAHeadRunsFromTheByteBehindTheEmptyLines) {
  open({.header = seconds(10), .keepalive = seconds(60)});
  answer(next_stream_of(std::string(kGet) + "\r\n"), "1");
  ask();
  runner_.pass(seconds(20));
  peer_.send("\r\nGET");
  runner_.settle();
  runner_.pass(seconds(9));
  EXPECT_FALSE(next_);
  runner_.pass(seconds(1));
  EXPECT_EQ(stream()->refusal()->code(), Code::header_timeout);
}

TEST_F(H1ServerConnectionLife, AClientThatEndsBetweenRequestsIsAnEndWithoutAnAnswer) {
  open();
  answer(next_stream_of(kGet), "1");
  peer_.take_received();
  ask();
  peer_.end();
  runner_.settle();
  ASSERT_TRUE(next_);
  EXPECT_FALSE(next_->has_stream());
  EXPECT_EQ(peer_.received(), "");
}

TEST_F(H1ServerConnectionLife, AClientThatEndsBehindAnEmptyLineLeavesInOrder) {
  open();
  answer(next_stream_of(kGet), "1");
  peer_.send("\r\n");
  peer_.end();
  ask();
  EXPECT_TRUE(drained());
}

TEST_F(H1ServerConnectionLife, TheEndOfTheClientCancelsTheExchange) {
  open();
  const auto stream = next_stream_of(kGet);
  EXPECT_FALSE(stream->scope().cancelled());
  peer_.end();
  EXPECT_EQ(stream->scope().reason(), Code::client_gone);
}

TEST_F(H1ServerConnectionLife, AClientThatHasItsAnswerLeavesInOrderThoughTheStreamIsThere) {
  open();
  auto stream = next_stream_of(kGet);
  stream->stage_head(head_of(200, *stream, 1));
  ASSERT_TRUE(runner_.run(stream->send_body(Piece("1", true))));
  peer_.end();
  EXPECT_FALSE(stream->scope().cancelled());
  stream.reset();
  ask();
  runner_.settle();
  EXPECT_TRUE(drained());
}

TEST_F(H1ServerConnectionLife, AResetByTheClientCancelsTheExchange) {
  open();
  const auto stream = next_stream_of(kGet);
  peer_.reset();
  EXPECT_EQ(stream->scope().reason(), Code::client_gone);
}

TEST_F(H1ServerConnectionLife, AnEndThatCameWithTheRequestIsNotOverlooked) {
  open();
  peer_.send(kGet);
  peer_.end();
  ask();
  EXPECT_EQ(stream()->scope().reason(), Code::client_gone);
}

TEST_F(H1ServerConnectionLife, AnEndWithinTheBodyFailsItsReader) {
  open();
  const auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  const Request request = stream->take_request();
  peer_.end();
  EXPECT_EQ(read_all(*request.body), "abc<client_gone>");
}

TEST_F(H1ServerConnectionLife, DoesNotReadTheClientWhileNobodyTakesTheBody) {
  open();
  const auto stream =
      next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
  const Request request = stream->take_request();
  peer_.send(std::string(1000000, 'x'));
  runner_.settle();
  EXPECT_EQ(peer_.unread(), 1000000U);
  ASSERT_TRUE(runner_.run(request.body->read()));
  EXPECT_GE(peer_.unread(), 1000000U - limits::kStreamRead);
}

TEST_F(H1ServerConnectionLife, DrainingEndsAnIdleConnectionAtOnce) {
  open();
  answer(next_stream_of(kGet), "1");
  ask();
  EXPECT_FALSE(next_);
  connection_->drain();
  runner_.settle();
  EXPECT_TRUE(drained());
}

TEST_F(H1ServerConnectionLife, DrainingDoesNotWaitForWhatFollowsAnEmptyLine) {
  open();
  answer(next_stream_of(std::string(kGet) + "\r\n"), "1");
  ask();
  EXPECT_FALSE(next_);
  connection_->drain();
  runner_.settle();
  ASSERT_TRUE(drained());
  runner_.spawn(connection_->finish());
  EXPECT_EQ(runner_.running(), 0U);
}

TEST_F(H1ServerConnectionLife, DrainingDoesNotWaitForWhatFollowsAnEmptyLineThatIsYetToBeRead) {
  open();
  answer(next_stream_of(kGet), "1");
  ask();
  peer_.send("\r\n");
  connection_->drain();
  runner_.settle();
  EXPECT_TRUE(drained());
}

TEST_F(H1ServerConnectionLife, DrainingLetsAnExchangeEndAndTellsTheClient) {
  open();
  auto stream = next_stream_of(std::string(kGet) + std::string(kGet));
  connection_->drain();
  answer(std::move(stream), "1");
  ask();
  EXPECT_TRUE(drained());
  EXPECT_EQ(peer_.received(), answered("1", false));
}

TEST_F(H1ServerConnectionLife, RetiringTellsTheClientWithTheNextAnswer) {
  open();
  answer(next_stream_of(kGet), "1");
  ask();
  connection_->retire();
  runner_.settle();
  EXPECT_FALSE(drained());
  EXPECT_EQ(peer_.take_received(), answered("1"));
  peer_.send(kGet);
  runner_.settle();
  answer(stream(), "2");
  ask();
  EXPECT_TRUE(drained());
  EXPECT_EQ(peer_.received(), answered("2", false));
}

TEST_F(H1ServerConnectionLife, FinishEndsOurSideAndReadsOnSoThatTheAnswerIsNotLost) {
  open();
  answer(next_stream_of("GET / HTTP/1.1\r\n\r\n"), "bad");
  ask();
  std::optional<Result<void>> finished;
  const auto finish = [](ServerConnection& connection) -> Task<Result<void>> {
    co_await connection.finish();
    co_return Result<void>();
  };
  runner_.start(finish(*connection_), finished);
  EXPECT_TRUE(peer_.saw_end());
  EXPECT_FALSE(finished);
  peer_.send(std::string(10000, 'x'));
  runner_.settle();
  EXPECT_EQ(peer_.unread(), 0U);
  EXPECT_FALSE(finished);
  peer_.end();
  runner_.settle();
  EXPECT_TRUE(finished);
}

TEST_F(H1ServerConnectionLife, FinishWaitsForTheClientNoLongerThanTheLingerTime) {
  open();
  answer(next_stream_of("GET / HTTP/1.1\r\n\r\n"), "bad");
  ask();
  runner_.spawn(connection_->finish());
  EXPECT_EQ(runner_.running(), 1U);
  runner_.pass(limits::kLingerTime);
  EXPECT_EQ(runner_.running(), 0U);
}

TEST_F(H1ServerConnectionLife, FinishDoesNotWaitForAClientThatHasSaidAll) {
  open();
  answer(next_stream_of("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "1");
  ask();
  runner_.spawn(connection_->finish());
  EXPECT_EQ(runner_.running(), 0U);
  EXPECT_TRUE(peer_.saw_end());
}

TEST_F(H1ServerConnectionLife, AnIdleConnectionHoldsNoBuffer) {
  open();
  auto first = next_stream_of(kGet);
  peer_.send(kGet);
  runner_.settle();
  answer(std::move(first), "1");
  ask();
  answer(stream(), "2");
  ask();
  EXPECT_FALSE(next_);
  EXPECT_GE(peer_.buffers().size(), 3U) << "for requests, for what came ahead, for answers";
#if defined(REVPROXYD_TEST_ASAN)
  for (const void* buffer : peer_.buffers()) EXPECT_TRUE(__asan_address_is_poisoned(buffer));
#endif  // elsewhere the slab may have handed the same memory out again
}

TEST_F(H1ServerConnectionLife, AClientThatTakesNothingIsCutOffAfterTheWriteTime) {
  open({.write = seconds(30)});
  auto stream = next_stream_of(kGet);
  peer_.take_only(20);
  stream->stage_head(head_of(200, *stream, 5));
  std::optional<Result<void>> sent;
  runner_.start(stream->send_body(Piece("hello", true)), sent);
  runner_.pass(seconds(29));
  EXPECT_FALSE(sent);
  peer_.take_more(1);
  runner_.settle();
  runner_.pass(seconds(29));
  EXPECT_FALSE(sent) << "each step forward gives the client its time again";
  runner_.pass(seconds(1));
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->error().code(), Code::write_timeout);
}

}  // namespace
}  // namespace revproxyd::http::h1

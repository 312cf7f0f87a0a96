#include "http/h1/server_connection.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http/h1/server_stream.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/base/slab.h"
#include "tests/support/hand_runner.h"
#include "tests/support/memory_transport.h"

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

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

class H1ServerConnection : public ::testing::Test {
 protected:
  void open(const ServerConnectionSettings& settings = {}) {
    connection_ = std::make_unique<ServerConnection>(peer_.transport(), settings, runner_.scope());
  }
  /// Asks for the next stream; its arrival can be awaited with stream().
  void ask() {
    next_.reset();
    runner_.start(connection_->next_stream(), next_);
  }
  /// The stream that ask() has brought.
  std::unique_ptr<http::ServerStream> stream() {
    if (!next_ || !next_->has_stream()) {
      ADD_FAILURE() << "no stream came";
      std::abort();
    }
    return next_->take();
  }
  std::unique_ptr<http::ServerStream> next_stream_of(std::string_view bytes) {
    peer_.send(bytes);
    ask();
    return stream();
  }
  bool drained() const { return next_ && !next_->has_stream() && !next_->failed(); }
  bool failed() const { return next_ && next_->failed(); }

  static ResponseHead head_of(std::uint16_t status, http::ServerStream& stream, std::uint64_t length) {
    ResponseHead head(stream.arena());
    head.status = status;
    head.fields.add(FieldName::date, "now");
    head.length = {Framing::length, length};
    return head;
  }
  /// Answers with a body in one piece and ends the exchange.
  void answer(std::unique_ptr<http::ServerStream> stream, std::string_view text) {
    stream->stage_head(head_of(200, *stream, text.size()));
    const auto sent = runner_.run(stream->send_body(Piece(text, true)));
    EXPECT_TRUE(sent);
  }
  static std::string answered(std::string_view text, bool keep_alive = true) {
    return "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: " + std::to_string(text.size()) + "\r\n" +
           (keep_alive ? "" : "Connection: close\r\n") + "\r\n" + std::string(text);
  }
  std::string read_all(Body& body) {
    std::string out;
    for (;;) {
      const auto piece = runner_.run(body.read());
      if (!piece) return out + "<" + std::string(name(piece.error().code())) + ">";
      out += piece->bytes;
      if (piece->last) return out;
    }
  }

  test::MemoryPeer peer_;
  test::HandRunner runner_;
  std::optional<Next> next_;
  std::unique_ptr<ServerConnection> connection_;
};

TEST_F(H1ServerConnection, YieldsARequestWithItsHead) {
  open();
  const auto stream = next_stream_of("GET /a?b HTTP/1.1\r\nHost: example\r\nX-A: 1\r\n\r\n");
  const Request request = stream->take_request();
  EXPECT_FALSE(stream->refusal());
  EXPECT_EQ(request.head.path, "/a");
  EXPECT_EQ(request.head.host, "example");
  EXPECT_EQ(request.head.fields.get("X-A"), "1");
  EXPECT_EQ(request.body, nullptr);
}

TEST_F(H1ServerConnection, YieldsTheSameRequestWhenItComesByteByByte) {
  open();
  ask();
  for (const char c : std::string_view("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")) {
    EXPECT_FALSE(next_);
    peer_.send({&c, 1});
    runner_.settle();
  }
  const auto got = stream();
  const Request request = got->take_request();
  EXPECT_EQ(request.head.path, "/x");
  peer_.send("abc");
  EXPECT_EQ(read_all(*request.body), "abc");
}

TEST_F(H1ServerConnection, WritesASmallAnswerWithOneGatheredWrite) {
  open();
  answer(next_stream_of(kGet), "hello");
  EXPECT_EQ(peer_.received(), answered("hello"));
  EXPECT_EQ(peer_.writes(), 1U);
}

TEST_F(H1ServerConnection, WritesAChunkedAnswerThatIsAtHandWithOneWrite) {
  open();
  auto stream = next_stream_of(kGet);
  ResponseHead head = head_of(200, *stream, 0);
  head.length = {Framing::chunked, 0};
  stream->stage_head(head);
  ASSERT_TRUE(runner_.run(stream->send_body(Piece("ab", false))));
  ASSERT_TRUE(runner_.run(stream->send_body(Piece("cd", true))));
  EXPECT_EQ(peer_.received(),
            "HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n");
  EXPECT_EQ(peer_.writes(), 1U);
}

TEST_F(H1ServerConnection, KeepsTheConnectionForTheNextRequest) {
  open();
  answer(next_stream_of(kGet), "1");
  answer(next_stream_of(kGet), "2");
  EXPECT_EQ(peer_.received(), answered("1") + answered("2"));
  EXPECT_FALSE(peer_.saw_end());
}

TEST_F(H1ServerConnection, ServesPipelinedRequestsOneAfterTheOtherInTheirOrder) {
  open();
  peer_.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
  for (const char* path : {"/1", "/2", "/3"}) {
    ask();
    auto got = stream();
    EXPECT_EQ(got->take_request().head.path, path);
    answer(std::move(got), path);
  }
  EXPECT_EQ(peer_.received(), answered("/1") + answered("/2") + answered("/3"));
}

TEST_F(H1ServerConnection, DoesNotYieldTheNextRequestBeforeTheStreamIsGone) {
  open();
  auto first = next_stream_of(std::string(kGet) + std::string(kGet));
  ask();
  EXPECT_FALSE(next_);
  answer(std::move(first), "1");
  EXPECT_TRUE(next_ && next_->has_stream());
}

TEST_F(H1ServerConnection, KeepsWhatIsPipelinedWhileTheFirstRequestIsServed) {
  open();
  auto first = next_stream_of(kGet);
  peer_.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
  runner_.settle();
  EXPECT_EQ(peer_.unread(), 0U);
  answer(std::move(first), "1");
  ask();
  EXPECT_EQ(stream()->take_request().head.path, "/late");
}

TEST_F(H1ServerConnection, ReadsNoMoreThanHeaderBytesAheadOfTheRequestThatIsServed) {
  open({.header_bytes = 8 * 1024});
  const auto first = next_stream_of(kGet);
  for (int i = 0; i < 100; ++i) {
    peer_.send(std::string(1024, 'x'));
    runner_.settle();
  }
  EXPECT_GE(peer_.unread(), 100 * 1024 - 8 * 1024 - limits::kFirstRead);
  EXPECT_FALSE(first->scope().cancelled());
}

TEST_F(H1ServerConnection, SeesTheClientLeaveBehindMoreThanItKeeps) {
  open({.header_bytes = 8 * 1024});
  const auto first = next_stream_of(kGet);
  peer_.send(std::string(100 * 1024, 'x'));
  peer_.end();
  EXPECT_EQ(first->scope().reason(), Code::client_gone);
}

TEST_F(H1ServerConnection, ClosesAfterARequestThatAsksForIt) {
  open();
  answer(next_stream_of("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "1");
  ask();
  EXPECT_TRUE(drained());
  EXPECT_EQ(peer_.received(), answered("1", false));
}

TEST_F(H1ServerConnection, ClosesAfterAnHttp10RequestAndKeepsItWhenAsked) {
  open();
  answer(next_stream_of("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), "1");
  EXPECT_NE(peer_.take_received().find("Connection: keep-alive\r\n"), std::string::npos);
  answer(next_stream_of("GET / HTTP/1.0\r\n\r\n"), "2");
  ask();
  EXPECT_TRUE(drained());
  EXPECT_EQ(peer_.received(), answered("2", false));
}

TEST_F(H1ServerConnection, ClosesAnHttp10ConnectionAfterABodyWithoutALength) {
  open();
  auto stream = next_stream_of("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  ResponseHead head = head_of(200, *stream, 0);
  head.length = {Framing::chunked, 0};
  stream->stage_head(head);
  ASSERT_TRUE(runner_.run(stream->send_body(Piece("all", true))));
  stream.reset();
  ask();
  EXPECT_TRUE(drained());
  EXPECT_EQ(peer_.received(), "HTTP/1.1 200 OK\r\nDate: now\r\nConnection: close\r\n\r\nall");
}

TEST_F(H1ServerConnection, ClosesAfterTheLastRequestThatALimitAllows) {
  open({.requests = 2});
  answer(next_stream_of(kGet), "1");
  answer(next_stream_of(kGet), "2");
  EXPECT_EQ(peer_.received(), answered("1") + answered("2", false));
  ask();
  EXPECT_TRUE(drained());
}

TEST_F(H1ServerConnection, AnAnswerThatWasNotFinishedEndsTheConnection) {
  open();
  auto stream = next_stream_of(kGet);
  stream->stage_head(head_of(200, *stream, 10));
  ASSERT_TRUE(runner_.run(stream->send_body(Piece("half", false))));
  stream->reset(Code::reset);
  stream.reset();
  ask();
  EXPECT_TRUE(failed());
  EXPECT_TRUE(peer_.aborted());
}

TEST_F(H1ServerConnection, ReadsTheRestOfABodyThatNobodyWanted) {
  open();
  auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n");
  answer(std::move(stream), "1");
  peer_.send(std::string(40000, 'x'));
  answer(next_stream_of(kGet), "2");
  EXPECT_EQ(peer_.received(), answered("1") + answered("2"));
}

TEST_F(H1ServerConnection, ClosesInsteadOfReadingMoreThan64KiBOfAnUnreadBody) {
  open();
  auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n");
  answer(std::move(stream), "1");
  ask();
  EXPECT_TRUE(drained());
  EXPECT_EQ(peer_.received(), answered("1", false));
}

TEST_F(H1ServerConnection, ClosesWhenAnUnreadChunkedBodyGoesBeyond64KiB) {
  open();
  auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  answer(std::move(stream), "1");
  ask();
  peer_.send("FFFF\r\n" + std::string(0xffff, 'x') + "\r\n");
  runner_.settle();
  EXPECT_FALSE(next_);
  peer_.send("2\r\nxx\r\n");
  runner_.settle();
  EXPECT_TRUE(drained());
}

TEST_F(H1ServerConnection, ClosesWhenTheRestOfABodyDoesNotComeWithinASecond) {
  open();
  auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
  answer(std::move(stream), "1");
  ask();
  runner_.pass(limits::kDrainTime - milliseconds(100));
  EXPECT_FALSE(next_);
  runner_.pass(milliseconds(100));
  EXPECT_TRUE(drained());
}

TEST_F(H1ServerConnection, ClosesWhenTheClientStillWaitsToBeAskedForTheBody) {
  open();
  auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  answer(std::move(stream), "1");
  ask();
  EXPECT_TRUE(drained());
  EXPECT_EQ(peer_.received(), answered("1", false));
}

TEST_F(H1ServerConnection, ReadingTheBodyAsksAClientThatWaitsForAWord) {
  open();
  const auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  const Request request = stream->take_request();
  EXPECT_EQ(peer_.received(), "");
  std::optional<Result<Piece>> piece;
  runner_.start(request.body->read(), piece);
  EXPECT_EQ(peer_.received(), "HTTP/1.1 100 Continue\r\n\r\n");
  peer_.send("body");
  runner_.settle();
  ASSERT_TRUE(piece && *piece);
  EXPECT_EQ((*piece)->bytes, "body");
}

TEST_F(H1ServerConnection, A100IsSentOnceAndOnlyToWhoWaitsForIt) {
  open();
  auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody");
  ResponseHead go_on(stream->arena());
  go_on.status = 100;
  ASSERT_TRUE(runner_.run(stream->send_interim(go_on)));
  ASSERT_TRUE(runner_.run(stream->send_interim(go_on)));
  const Request request = stream->take_request();
  EXPECT_EQ(read_all(*request.body), "body");
  EXPECT_EQ(peer_.take_received(), "HTTP/1.1 100 Continue\r\n\r\n");
  answer(std::move(stream), "1");
  auto plain = next_stream_of(kGet);
  ResponseHead again(plain->arena());
  again.status = 100;
  ASSERT_TRUE(runner_.run(plain->send_interim(again)));
  EXPECT_EQ(peer_.received(), answered("1"));
}

TEST_F(H1ServerConnection, PassesOtherInterimHeadsButNotToHttp10) {
  open();
  auto stream = next_stream_of(kGet);
  ResponseHead hints(stream->arena());
  hints.status = 103;
  hints.fields.add("Link", "</a>");
  ASSERT_TRUE(runner_.run(stream->send_interim(hints)));
  EXPECT_EQ(peer_.take_received(), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
  answer(std::move(stream), "1");
  peer_.take_received();
  auto old = next_stream_of("GET / HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(runner_.run(old->send_interim(hints)));
  EXPECT_EQ(peer_.received(), "");
}

TEST_F(H1ServerConnection, AnInterimHeadThatDoesNotFitGoesOutInFrontOfTheFinalOne) {
  open();
  auto stream = next_stream_of(kGet);
  ResponseHead hints(stream->arena());
  hints.status = 103;
  peer_.take_only(10);
  ASSERT_TRUE(runner_.run(stream->send_interim(hints)));
  EXPECT_EQ(peer_.received(), "HTTP/1.1 1");
  peer_.take_all();
  answer(std::move(stream), "1");
  EXPECT_EQ(peer_.received(), "HTTP/1.1 103 Early Hints\r\n\r\n" + answered("1"));
}

TEST_F(H1ServerConnection, ARefusedHeadIsAStreamWithWhatCouldBeRead) {
  open();
  const auto stream = next_stream_of("GET /here HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
  ASSERT_TRUE(stream->refusal());
  EXPECT_EQ(stream->refusal()->code(), Code::malformed_request);
  const Request request = stream->take_request();
  EXPECT_EQ(request.head.method_text, "GET");
  EXPECT_EQ(request.head.raw_target, "/here");
}

TEST_F(H1ServerConnection, AHeadOverItsLimitIsRefusedBeforeItEnds) {
  open({.header_bytes = 1000});
  const auto stream = next_stream_of("GET / HTTP/1.1\r\nX: " + std::string(2000, 'x'));
  ASSERT_TRUE(stream->refusal());
  EXPECT_EQ(stream->refusal()->code(), Code::header_too_large);
}

TEST_F(H1ServerConnection, NothingIsReadBehindARefusedHead) {
  open();
  answer(next_stream_of("GET / HTTP/1.1\r\n\r\n" + std::string(kGet)), "bad");
  ask();
  EXPECT_TRUE(drained());
  EXPECT_EQ(peer_.received(), answered("bad", false));
}

TEST_F(H1ServerConnection, ASlowHeadIsAStreamThatIsRefusedWithATimeout) {
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

TEST_F(H1ServerConnection, AConnectionThatNeverSaysAWordIsClosedAfterTheHeaderTime) {
  open({.header = seconds(10), .keepalive = seconds(60)});
  ask();
  runner_.pass(seconds(9));
  EXPECT_FALSE(next_);
  runner_.pass(seconds(1));
  EXPECT_TRUE(drained());
}

TEST_F(H1ServerConnection, AnIdleConnectionIsClosedAfterTheKeepaliveTime) {
  open({.header = seconds(10), .keepalive = seconds(60)});
  answer(next_stream_of(kGet), "1");
  ask();
  runner_.pass(seconds(59));
  EXPECT_FALSE(next_);
  runner_.pass(seconds(1));
  EXPECT_TRUE(drained());
}

TEST_F(H1ServerConnection, TheClockOfALaterHeadRunsFromItsFirstByte) {
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

TEST_F(H1ServerConnection, AClientThatEndsBetweenRequestsIsAnEndWithoutAnAnswer) {
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

TEST_F(H1ServerConnection, TheEndOfTheClientCancelsTheExchange) {
  open();
  const auto stream = next_stream_of(kGet);
  EXPECT_FALSE(stream->scope().cancelled());
  peer_.end();
  EXPECT_EQ(stream->scope().reason(), Code::client_gone);
}

TEST_F(H1ServerConnection, AResetByTheClientCancelsTheExchange) {
  open();
  const auto stream = next_stream_of(kGet);
  peer_.reset();
  EXPECT_EQ(stream->scope().reason(), Code::client_gone);
}

TEST_F(H1ServerConnection, AnEndThatCameWithTheRequestIsNotOverlooked) {
  open();
  peer_.send(kGet);
  peer_.end();
  ask();
  EXPECT_EQ(stream()->scope().reason(), Code::client_gone);
}

TEST_F(H1ServerConnection, AnEndWithinTheBodyFailsItsReader) {
  open();
  const auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  const Request request = stream->take_request();
  peer_.end();
  EXPECT_EQ(read_all(*request.body), "abc<client_gone>");
}

TEST_F(H1ServerConnection, DoesNotReadTheClientWhileNobodyTakesTheBody) {
  open();
  const auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
  const Request request = stream->take_request();
  peer_.send(std::string(1000000, 'x'));
  runner_.settle();
  EXPECT_EQ(peer_.unread(), 1000000U);
  ASSERT_TRUE(runner_.run(request.body->read()));
  EXPECT_GE(peer_.unread(), 1000000U - limits::kStreamRead);
}

TEST_F(H1ServerConnection, DrainingEndsAnIdleConnectionAtOnce) {
  open();
  answer(next_stream_of(kGet), "1");
  ask();
  EXPECT_FALSE(next_);
  connection_->drain();
  runner_.settle();
  EXPECT_TRUE(drained());
}

TEST_F(H1ServerConnection, DrainingLetsAnExchangeEndAndTellsTheClient) {
  open();
  auto stream = next_stream_of(std::string(kGet) + std::string(kGet));
  connection_->drain();
  answer(std::move(stream), "1");
  ask();
  EXPECT_TRUE(drained());
  EXPECT_EQ(peer_.received(), answered("1", false));
}

TEST_F(H1ServerConnection, FinishEndsOurSideAndReadsOnSoThatTheAnswerIsNotLost) {
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

TEST_F(H1ServerConnection, FinishWaitsForTheClientNoLongerThanTheLingerTime) {
  open();
  answer(next_stream_of("GET / HTTP/1.1\r\n\r\n"), "bad");
  ask();
  runner_.spawn(connection_->finish());
  EXPECT_EQ(runner_.running(), 1U);
  runner_.pass(limits::kLingerTime);
  EXPECT_EQ(runner_.running(), 0U);
}

TEST_F(H1ServerConnection, FinishDoesNotWaitForAClientThatHasSaidAll) {
  open();
  answer(next_stream_of("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "1");
  ask();
  runner_.spawn(connection_->finish());
  EXPECT_EQ(runner_.running(), 0U);
  EXPECT_TRUE(peer_.saw_end());
}

TEST_F(H1ServerConnection, AnUpgradeTurnsTheBodyIntoATunnelThatBeginsWithWhatCameAlong) {
  open();
  auto stream = next_stream_of("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfirst");
  const Request request = stream->take_request();
  ASSERT_NE(request.body, nullptr);
  std::optional<Result<Piece>> piece;
  runner_.start(request.body->read(), piece);
  EXPECT_FALSE(piece) << "the tunnel is not open yet";
  ResponseHead head(stream->arena());
  head.status = 101;
  head.length = {Framing::tunnel, 0};
  stream->stage_head(head);
  ASSERT_TRUE(runner_.run(stream->flush()));
  ASSERT_TRUE(piece && *piece);
  EXPECT_EQ((*piece)->bytes, "first");
  EXPECT_FALSE((*piece)->last);
  peer_.send("second");
  const auto more = runner_.run(request.body->read());
  ASSERT_TRUE(more);
  EXPECT_EQ(more->bytes, "second");
  EXPECT_TRUE(peer_.received().starts_with("HTTP/1.1 101 "));
}

TEST_F(H1ServerConnection, ATunnelKeepsWhatComesBetweenTheHandshakeAndTheAnswer) {
  open();
  auto stream = next_stream_of("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n1");
  const Request request = stream->take_request();
  peer_.send("2");
  runner_.settle();
  ResponseHead head(stream->arena());
  head.status = 101;
  head.length = {Framing::tunnel, 0};
  stream->stage_head(head);
  ASSERT_TRUE(runner_.run(stream->flush()));
  peer_.send("3");
  peer_.end();
  EXPECT_EQ(read_all(*request.body), "123");
}

TEST_F(H1ServerConnection, ARefusedUpgradeLeavesAnOrdinaryConnection) {
  open();
  answer(next_stream_of("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), "no");
  answer(next_stream_of(kGet), "2");
  EXPECT_EQ(peer_.received(), answered("no") + answered("2"));
}

TEST_F(H1ServerConnection, AnIdleConnectionHoldsNoBuffer) {
  open();
  answer(next_stream_of(kGet), "1");
  const void* buffer = peer_.last_buffer();
  ask();
  EXPECT_FALSE(next_);
#if defined(REVPROXYD_TEST_ASAN)
  EXPECT_TRUE(__asan_address_is_poisoned(buffer));
#elif !defined(REVPROXYD_SANITIZED)
  // What was given back is what the slab hands out next.
  std::vector<void*> blocks;
  bool found = false;
  for (int i = 0; i < 64; ++i) {
    blocks.push_back(slab::allocate(limits::kFirstRead));
    found = found || blocks.back() == buffer;
  }
  for (void* block : blocks) slab::release(block, limits::kFirstRead);
  EXPECT_TRUE(found);
#endif
  static_cast<void>(buffer);
}

TEST_F(H1ServerConnection, CountsWhatWentOverTheWire) {
  open();
  auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
  const Request request = stream->take_request();
  EXPECT_EQ(read_all(*request.body), "abc");
  stream->stage_head(head_of(200, *stream, 5));
  ASSERT_TRUE(runner_.run(stream->send_body(Piece("hello", true))));
  const StreamBytes bytes = stream->bytes();
  EXPECT_EQ(bytes.body_in, 3U);
  EXPECT_EQ(bytes.body_out, 5U);
  EXPECT_EQ(bytes.in, std::string_view("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").size());
  EXPECT_EQ(bytes.out, peer_.received().size());
}

TEST_F(H1ServerConnection, AClientThatTakesNothingIsCutOffAfterTheWriteTime) {
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

TEST_F(H1ServerConnection, ShortWritesLoseNothing) {
  open();
  peer_.shorten_writes({1, 2, 3, 0, 5});
  std::optional<Result<void>> sent;
  auto stream = next_stream_of(kGet);
  stream->stage_head(head_of(200, *stream, 5));
  runner_.start(stream->send_body(Piece("hello", true)), sent);
  EXPECT_FALSE(sent);
  peer_.take_all();
  runner_.settle();
  ASSERT_TRUE(sent && *sent);
  EXPECT_EQ(peer_.received(), answered("hello"));
}

}  // namespace
}  // namespace revproxyd::http::h1

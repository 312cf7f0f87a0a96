#include "http/h1/server_connection.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/unit/http/h1/server_connection_fixture.h"

namespace revproxyd::http::h1 {
namespace {

using testing::kGet;

class H1ServerConnection : public testing::ServerConnectionTest {};

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
  for (const char c :
       std::string_view("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")) {
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
            "HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: "
            "chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n");
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
  peer_.send(
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 "
      "HTTP/1.1\r\nHost: a\r\n\r\n");
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
  runner_.settle();
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

TEST_F(H1ServerConnection, AnAnswerThatWasNotFinishedEndsTheConnection) {
  open();
  auto stream = next_stream_of(kGet);
  stream->stage_head(head_of(200, *stream, 10));
  ASSERT_TRUE(runner_.run(stream->send_body(Piece("half", false))));
  stream->reset(Code::end_of_stream);
  stream.reset();
  ask();
  EXPECT_TRUE(drained());
  runner_.spawn(connection_->finish());
  EXPECT_TRUE(peer_.saw_end()) << "the length tells that something is missing";
  EXPECT_FALSE(peer_.aborted());
}

TEST_F(H1ServerConnection, TheEndOfAnAnswerThatWasNotFinishedWaitsForAClientThatStillSends) {
  open();
  auto stream = next_stream_of(std::string(kGet) + std::string(kGet));
  stream->stage_head(head_of(200, *stream, 10));
  ASSERT_TRUE(runner_.run(stream->send_body(Piece("half", false))));
  stream->reset(Code::idle_timeout);
  stream.reset();
  ask();
  EXPECT_TRUE(drained());
  runner_.spawn(connection_->finish());
  EXPECT_EQ(runner_.running(), 1U);
  peer_.send(kGet);
  peer_.end();
  runner_.settle();
  EXPECT_EQ(runner_.running(), 0U);
  EXPECT_EQ(peer_.unread(), 0U) << "a close would reset the answers before";
}

TEST_F(H1ServerConnection, FailsWithTheReasonWhereTheClientEndsAnAnswer) {
  open();
  auto stream = next_stream_of(kGet);
  stream->stage_head(head_of(200, *stream, 10));
  stream->reset(Code::write_timeout);
  stream.reset();
  ask();
  ASSERT_TRUE(failed());
  EXPECT_EQ(next_->error().code(), Code::write_timeout);
  runner_.spawn(connection_->finish());
  EXPECT_FALSE(peer_.saw_end());
  EXPECT_TRUE(peer_.aborted()) << "the kernel would keep the rest for minutes";
  EXPECT_EQ(runner_.running(), 0U);
}

TEST_F(H1ServerConnection, AnAnswerWhoseEndIsTheConnectionsIsCutWithAResetWhenItWasNotFinished) {
  open();
  auto stream = next_stream_of("GET / HTTP/1.0\r\n\r\n");
  ResponseHead head = head_of(200, *stream, 0);
  head.length = {Framing::chunked, 0};
  stream->stage_head(head);
  ASSERT_TRUE(runner_.run(stream->send_body(Piece("half", false))));
  stream->reset(Code::reset);
  stream.reset();
  EXPECT_TRUE(peer_.aborted());
  ask();
  EXPECT_TRUE(drained());
  runner_.spawn(connection_->finish());
  EXPECT_FALSE(peer_.saw_end()) << "it would look whole";
}

TEST_F(H1ServerConnection, ClosesWhenTheClientStillWaitsToBeAskedForTheBody) {
  open();
  auto stream = next_stream_of(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  answer(std::move(stream), "1");
  ask();
  EXPECT_TRUE(drained());
  EXPECT_EQ(peer_.received(), answered("1", false));
}

TEST_F(H1ServerConnection, ReadingTheBodyAsksAClientThatWaitsForAWord) {
  open();
  const auto stream = next_stream_of(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
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
  auto stream = next_stream_of(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody");
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

TEST_F(H1ServerConnection, ARefusedHeadHasTheVersionOfItsLineIfThatNamesOne) {
  struct Line {
    std::string text;
    std::optional<Version> version;
  };
  for (const Line& line : {
           Line{"GET /%zz HTTP/1.0\r\n\r\n", Version::http10},
           Line{"GET /%zz HTTP/1.1\r\n\r\n", Version::http11},
           Line{"GET /%zz HTTP/1.7\r\nHost: a\r\n\r\n", Version::http11},
           Line{"GET  /two HTTP/1.0\r\n\r\n", Version::http10},
           Line{"GET /" + std::string(9000, 'x') + " HTTP/1.0\r\n", Version::http10},
           Line{"GET / HTTP/2.0\r\nHost: a\r\n\r\n", std::nullopt},
           Line{"GET / http/1.1\r\nHost: a\r\n\r\n", std::nullopt},
           Line{"GET /v09\r\n", std::nullopt},
           Line{"GET\r\n\r\n", std::nullopt},
       }) {
    SCOPED_TRACE(line.text.substr(0, 20));
    test::MemoryPeer peer;
    ServerConnection connection(peer.transport(), {}, runner_.scope());
    peer.send(line.text);
    auto next = runner_.run(connection.next_stream());
    ASSERT_TRUE(next.has_stream());
    const auto stream = next.take();
    ASSERT_TRUE(stream->refusal());
    const Request request = stream->take_request();
    EXPECT_EQ(request.head.version_known, line.version.has_value());
    EXPECT_EQ(request.head.version, line.version.value_or(Version::http11));
  }
}

// They are skipped, and are no part of its line (RFC 9112 section 2.2).
TEST_F(H1ServerConnection, AHeadThatIsRefusedBeforeItsEndHasItsLineBehindEmptyOnesToo) {
  open();
  const auto stream = next_stream_of("\r\n\r\nGET /v09\r\n");
  ASSERT_TRUE(stream->refusal());
  const Request request = stream->take_request();
  EXPECT_EQ(request.head.method_text, "GET");
  EXPECT_EQ(request.head.raw_target, "/v09");
}

TEST_F(H1ServerConnection, ARefusedHeadIsCounted) {
  open();
  const std::string_view head = "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
  const auto stream = next_stream_of(head);
  ASSERT_TRUE(stream->refusal());
  EXPECT_EQ(stream->bytes().in, head.size());
  EXPECT_EQ(stream->bytes().body_in, 0U);
}

TEST_F(H1ServerConnection, AHeadThatIsRefusedBeforeItsEndIsCountedAsFarAsItCame) {
  ServerConnectionSettings settings;
  settings.request_line = 100;
  open(settings);
  const std::string line = "GET /" + std::string(200, 'x');
  const auto stream = next_stream_of(line);
  ASSERT_TRUE(stream->refusal());
  EXPECT_EQ(stream->bytes().in, line.size());
}

TEST_F(H1ServerConnection, NothingIsReadBehindARefusedHead) {
  open();
  answer(next_stream_of("GET / HTTP/1.1\r\n\r\n" + std::string(kGet)), "bad");
  ask();
  EXPECT_TRUE(drained());
  EXPECT_EQ(peer_.received(), answered("bad", false));
}

TEST_F(H1ServerConnection, AnUpgradeTurnsTheBodyIntoATunnelThatBeginsWithWhatCameAlong) {
  open();
  auto stream = next_stream_of(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfirst");
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
  auto stream = next_stream_of(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n1");
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
  answer(next_stream_of(
             "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
         "no");
  answer(next_stream_of(kGet), "2");
  EXPECT_EQ(peer_.received(), answered("no") + answered("2"));
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
  EXPECT_EQ(bytes.in,
            std::string_view("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").size());
  EXPECT_EQ(bytes.out, peer_.received().size());
}

// Which is the client's to make: who takes nothing of the answers before does not stay for that.
TEST_F(H1ServerConnection, AHeadThatCannotBeReadForWantOfRoomHasTheHeaderTimeToo) {
  open({.header = std::chrono::seconds(10)});
  answer(next_stream_of(kGet), "1");
  ask();
  peer_.read_with_room();
  peer_.take_only(0);
  peer_.send(kGet);
  runner_.settle();
  runner_.pass(std::chrono::seconds(9));
  EXPECT_FALSE(next_);
  runner_.pass(std::chrono::seconds(1));
  EXPECT_TRUE(next_ && !next_->has_stream());
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

#include "http/h2/server_stream.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/unit/http/h2/server_fixture.h"

namespace revproxyd::http::h2 {
namespace {

namespace frames = revproxyd::testing::h2;
using std::chrono::seconds;

class H2ServerStream : public testing::ServerConnectionTest {
 protected:
  static frames::Fields websocket() {
    frames::Fields all = fields("CONNECT", "/chat", {{"sec-websocket-version", "13"}});
    all.insert(all.begin(), {":protocol", "websocket"});
    return all;
  }
  std::unique_ptr<http::ServerStream> open_websocket() {
    return next_stream_of(frames::headers(1, websocket(), frames::kEndHeaders));
  }
};

TEST_F(H2ServerStream, GivesBodyAndTrailers) {
  open();
  auto stream =
      next_stream_of(post(1) + frames::data(1, "abc") + frames::headers(1, {{"x-sum", "1"}}));
  const Request request = stream->take_request();
  EXPECT_EQ(request.head.length.framing, Framing::chunked);
  EXPECT_EQ(read_all(*request.body), "abc");
  ASSERT_NE(request.body->trailers(), nullptr);
  EXPECT_EQ(request.body->trailers()->get("x-sum"), "1");
}

TEST_F(H2ServerStream, RefusesABodyWithBadTrailers) {
  open();
  auto stream =
      next_stream_of(post(1) + frames::data(1, "abc") + frames::headers(1, {{"x_sum", "1"}}));
  const Request request = stream->take_request();
  EXPECT_EQ(read_all(*request.body), "abc<malformed_request>");
}

TEST_F(H2ServerStream, GivesABodyWithoutItsPadding) {
  open();
  auto stream =
      next_stream_of(post(1) + frames::data(1, "abc", false, 9) + frames::data(1, "", true, 3));
  const Request request = stream->take_request();
  EXPECT_EQ(read_all(*request.body), "abc");
}

TEST_F(H2ServerStream, BoundsABody) {
  open();
  auto stream = next_stream_of(post(1) + frames::data(1, "abcd", true));
  stream->set_body_rules({.max_bytes = 3});
  const Request request = stream->take_request();
  EXPECT_EQ(read_all(*request.body), "<body_too_large>");
}

TEST_F(H2ServerStream, WaitsForABodyOnlyForAWhile) {
  open();
  auto stream = next_stream_of(post(1));
  stream->set_body_rules({.stall = seconds(5)});
  const Request request = stream->take_request();
  std::optional<Result<Piece>> piece;
  runner_.start(request.body->read(), piece);
  pass(seconds(4));
  EXPECT_FALSE(piece);
  pass(seconds(1));
  ASSERT_TRUE(piece && !*piece);
  EXPECT_EQ(piece->error().code(), Code::body_timeout);
}

// RFC 9110 section 10.1.1.
TEST_F(H2ServerStream, LetsTheClientGoOnWhenItsBodyIsWanted) {
  open();
  auto stream = next_stream_of(post(1, {{"expect", "100-continue"}}));
  const Request request = stream->take_request();
  EXPECT_TRUE(message(1).interim.empty());
  std::optional<Result<Piece>> piece;
  runner_.start(request.body->read(), piece);
  settle();
  ASSERT_EQ(message(1).interim.size(), 1U);
  EXPECT_EQ(message(1).interim.front(), (frames::Fields{{":status", "100"}}));
  send(frames::data(1, "abc", true));
  ASSERT_TRUE(piece && *piece);
  EXPECT_EQ((*piece)->bytes, "abc");
}

TEST_F(H2ServerStream, AnAnswerMakesGoingOnNeedless) {
  open();
  auto stream = next_stream_of(post(1, {{"expect", "100-continue"}}));
  answer(std::move(stream), "no", 403);
  EXPECT_TRUE(message(1).interim.empty());
  EXPECT_EQ(message(1).status(), 403);
}

TEST_F(H2ServerStream, SendsInterimHeads) {
  open();
  auto stream = next_stream_of(get(1));
  ResponseHead hints(stream->arena());
  hints.status = 103;
  hints.fields.add("Link", "</a>");
  EXPECT_TRUE(runner_.run(stream->send_interim(hints)));
  settle();
  ASSERT_EQ(message(1).interim.size(), 1U);
  EXPECT_EQ(message(1).interim.front(), (frames::Fields{{":status", "103"}, {"link", "</a>"}}));
  answer(std::move(stream));
  EXPECT_EQ(message(1).status(), 200);
}

TEST_F(H2ServerStream, SendsAContinueOnlyToWhoWaitsForOne) {
  open();
  auto stream = next_stream_of(post(1));
  ResponseHead go_on(stream->arena());
  go_on.status = 100;
  EXPECT_TRUE(runner_.run(stream->send_interim(go_on)));
  settle();
  EXPECT_TRUE(message(1).interim.empty());
}

TEST_F(H2ServerStream, SendsNamesInLowerCase) {
  open();
  auto stream = next_stream_of(get(1));
  ResponseHead head = head_of(200, *stream, {});
  head.fields.add("X-Mixed-Case", "1");
  stream->stage_head(head);
  EXPECT_TRUE(runner_.run(stream->send_body(Piece({}, true))));
  settle();
  EXPECT_EQ(message(1).field("x-mixed-case"), "1");
  EXPECT_EQ(message(1).count("X-Mixed-Case"), 0U);
}

// RFC 9110 section 9.3.2.
TEST_F(H2ServerStream, AnswersHeadWithoutContent) {
  open();
  auto stream = next_stream_of(frames::headers(1, fields("HEAD", "/")));
  answer(std::move(stream), "hello");
  EXPECT_EQ(message(1).field("content-length"), "5");
  EXPECT_TRUE(message(1).ended);
  EXPECT_EQ(state_.frames(frames::kData), 0U);
}

TEST_F(H2ServerStream, EndsAnAnswerWithoutContentWithItsHead) {
  open();
  auto stream = next_stream_of(get(1));
  stream->stage_head(head_of(204, *stream, {}));
  EXPECT_TRUE(runner_.run(stream->send_body(Piece({}, true))));
  settle();
  EXPECT_TRUE(message(1).ended);
  EXPECT_EQ(state_.frames(frames::kData), 0U);
}

TEST_F(H2ServerStream, SendsTrailers) {
  open();
  auto stream = next_stream_of(get(1));
  stream->stage_head(head_of(200, *stream, {Framing::chunked, 0}));
  EXPECT_TRUE(runner_.run(stream->send_body(Piece("body", false))));
  Fields trailers(stream->arena());
  trailers.add("Grpc-Status", "0");
  EXPECT_TRUE(runner_.run(stream->finish(trailers)));
  settle();
  EXPECT_EQ(message(1).body, "body");
  EXPECT_EQ(message(1).trailer("grpc-status"), "0");
  EXPECT_TRUE(message(1).ended);
}

TEST_F(H2ServerStream, ABodyOtherThanAnnouncedNeverLooksWhole) {
  open();
  for (const auto& [id, text] : {std::pair(1U, "ab"), std::pair(3U, "abcd")}) {
    auto stream = next_stream_of(get(id));
    stream->stage_head(head_of(200, *stream, {Framing::length, 3}));
    EXPECT_FALSE(runner_.run(stream->send_body(Piece(text, true)))) << text;
    stream.reset();
    settle();
    EXPECT_FALSE(message(id).ended);
    EXPECT_TRUE(reset_code(id));
  }
}

TEST_F(H2ServerStream, TellsWhyItResets) {
  open();
  const std::pair<Code, std::uint32_t> reasons[] = {
      {Code::malformed_request, frames::kProtocolError},
      {Code::client_gone, frames::kCancel},
      {Code::write_timeout, frames::kEnhanceYourCalm},
      {Code::body_too_slow, frames::kEnhanceYourCalm},
      {Code::reset, frames::kInternalError}};
  std::uint32_t id = 1;
  for (const auto& [reason, code] : reasons) {
    auto stream = next_stream_of(get(id));
    stream->reset(reason);
    stream.reset();
    settle();
    EXPECT_EQ(reset_code(id), code) << name(reason);
    id += 2;
  }
}

TEST_F(H2ServerStream, CountsWhatGoesOverTheWire) {
  open();
  auto stream = next_stream_of(post(1) + frames::data(1, "abc", true));
  const Request request = stream->take_request();
  read_all(*request.body);
  stream->stage_head(head_of(200, *stream, {Framing::length, 5}));
  EXPECT_TRUE(runner_.run(stream->send_body(Piece("hello", true))));
  const StreamBytes bytes = stream->bytes();
  EXPECT_EQ(bytes.body_in, 3U);
  EXPECT_EQ(bytes.body_out, 5U);
  EXPECT_GT(bytes.in, bytes.body_in);
  EXPECT_GT(bytes.out, bytes.body_out);
}

// RFC 8441 section 5.
TEST_F(H2ServerStream, OpensATunnelForAnExtendedConnect) {
  open();
  auto stream = open_websocket();
  const Request request = stream->take_request();
  EXPECT_EQ(request.head.upgrade, "websocket");
  ASSERT_NE(request.body, nullptr);
  stream->stage_head(head_of(101, *stream, {Framing::tunnel, 0}));
  EXPECT_TRUE(runner_.run(stream->send_body(Piece("out", false))));
  settle();
  EXPECT_EQ(message(1).status(), 200);
  EXPECT_FALSE(message(1).has("content-length"));
  EXPECT_EQ(message(1).body, "out");
  send(frames::data(1, "in", true));
  EXPECT_EQ(read_all(*request.body), "in");
  EXPECT_TRUE(runner_.run(stream->send_body(Piece({}, true))));
  settle();
  EXPECT_TRUE(message(1).ended);
}

TEST_F(H2ServerStream, ReadsNothingOfATunnelThatIsNotOpen) {
  open();
  auto stream = open_websocket();
  const Request request = stream->take_request();
  std::optional<Result<Piece>> piece;
  runner_.start(request.body->read(), piece);
  send(frames::data(1, "in"));
  EXPECT_FALSE(piece);
  EXPECT_FALSE(request.body->ready());
  stream->stage_head(head_of(101, *stream, {Framing::tunnel, 0}));
  settle();
  ASSERT_TRUE(piece && *piece);
  EXPECT_EQ((*piece)->bytes, "in");
}

TEST_F(H2ServerStream, ARefusedTunnelHasAnAnswerLikeAnyOther) {
  open();
  auto stream = open_websocket();
  answer(std::move(stream), "no", 403);
  EXPECT_EQ(message(1).status(), 403);
  EXPECT_EQ(message(1).body, "no");
  EXPECT_TRUE(message(1).ended);
}

// What ends a message is queued, the kernel takes nothing, and the exchange is over.
class H2BlockedServerStream : public H2ServerStream {
 protected:
  // Another stream has filled the kernel's buffer.
  void block(std::uint32_t id) {
    big_ = next_stream_of(get(id));
    big_->stage_head(head_of(200, *big_, {Framing::chunked, 0}));
    peer_.take_only(10);
    text_ = std::string(20'000, 'x');
    runner_.start(big_->send_body(Piece(text_, false)), sent_);
    settle();
  }
  std::string text_;
  std::optional<Result<void>> sent_;
  std::unique_ptr<http::ServerStream> big_;
};

TEST_F(H2BlockedServerStream, SendsAnEarlyAnswerWithoutContentWhole) {
  open();
  auto upload = next_stream_of(post(1));
  block(199);
  upload->stage_head(head_of(204, *upload, {}));
  EXPECT_TRUE(runner_.run(upload->send_body(Piece({}, true))));
  upload.reset();
  peer_.take_all();
  settle();
  EXPECT_EQ(message(1).status(), 204);
  EXPECT_TRUE(message(1).ended);
  EXPECT_EQ(reset_code(1), frames::kNoError);
  big_.reset();
  settle();
}

TEST_F(H2BlockedServerStream, SendsEarlyTrailers) {
  open();
  auto upload = next_stream_of(post(1));
  upload->stage_head(head_of(200, *upload, {Framing::chunked, 0}));
  EXPECT_TRUE(runner_.run(upload->send_body(Piece("body", false))));
  settle();
  block(199);
  Fields trailers(upload->arena());
  trailers.add("Grpc-Status", "7");
  EXPECT_TRUE(runner_.run(upload->finish(trailers)));
  upload.reset();
  peer_.take_all();
  settle();
  EXPECT_EQ(message(1).body, "body");
  EXPECT_EQ(message(1).trailer("grpc-status"), "7");
  EXPECT_TRUE(message(1).ended);
  big_.reset();
  settle();
}

TEST_F(H2BlockedServerStream, ManyResetsOfOurOwnAreNoOffence) {
  ServerConnectionSettings settings;
  settings.streams = 1000;
  open(settings);
  std::vector<std::unique_ptr<http::ServerStream>> streams;
  for (std::uint32_t i = 0; i < 300; ++i) streams.push_back(next_stream_of(get(1 + 2 * i)));
  block(1001);
  for (auto& stream : streams) stream->reset(Code::end_of_stream);
  streams.clear();
  peer_.take_all();
  settle();
  EXPECT_EQ(reset_code(1), frames::kInternalError);
  EXPECT_EQ(goaway_code(), std::nullopt) << "the client has done nothing wrong";
  EXPECT_FALSE(message(1001).reset);
  big_.reset();
  settle();
}

class H2NarrowServerStream : public testing::ServerConnectionTest {
 protected:
  H2NarrowServerStream() : ServerConnectionTest({.answer = true, .give_window = false}) {}
  std::optional<Result<void>> sent_;
};

// The client opens its window at the moment at which its time is over.
TEST_F(H2NarrowServerStream, WhatWasTakenWholeIsNoFailure) {
  ServerConnectionSettings settings;
  settings.write = seconds(10);
  open(settings, {{frames::kInitialWindowSize, 5}});
  auto stream = next_stream_of(get(1));
  stream->stage_head(head_of(200, *stream, {Framing::length, 10}));
  runner_.start(stream->send_body(Piece("0123456789", true)), sent_);
  settle();
  ASSERT_FALSE(sent_);
  TimerWheel& wheel = TimerWheel::current();
  // All in one batch: the timer, then the frame, and another stream's bytes that take this one's
  // along.
  while (ReadyQueue::current().idle()) wheel.advance(wheel.now() + TimerWheel::kTick);
  peer_.send(frames::window_update(1, 5));
  ASSERT_TRUE(runner_.run(stream->flush()));
  settle();
  ASSERT_TRUE(sent_);
  EXPECT_EQ(message(1).body, "0123456789");
  EXPECT_TRUE(message(1).ended);
  EXPECT_TRUE(*sent_) << name(sent_->error().code());
}

// Half of the waits end with a piece that was taken whole.
TEST_F(H2NarrowServerStream, EveryWaitForTheClientCountsForItsRate) {
  open({}, {{frames::kInitialWindowSize, 5}});
  auto stream = next_stream_of(get(1));
  stream->set_write_rules(seconds(60), 4);
  stream->stage_head(head_of(200, *stream, {Framing::chunked, 0}));
  for (int piece = 0; piece < 30 && (!sent_ || *sent_); ++piece) {
    sent_.reset();
    runner_.start(stream->send_body(Piece("0123456789", false)), sent_);
    settle();
    while (!sent_) {
      pass(seconds(2));
      if (!sent_) send(frames::window_update(1, 5));
    }
  }
  ASSERT_FALSE(*sent_) << "5 bytes in 2 seconds are less than 4 a second";
  EXPECT_EQ(sent_->error().code(), Code::body_too_slow);
}

}  // namespace
}  // namespace revproxyd::http::h2

#include "http/h2/server_connection.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tests/unit/http/h2/server_fixture.h"

namespace revproxyd::http::h2 {
namespace {

namespace frames = revproxyd::testing::h2;
using std::chrono::seconds;

class H2ServerConnection : public testing::ServerConnectionTest {
 protected:
  static Task<void> end_both(http::ServerStream& one, http::ServerStream& other) {
    auto first = co_await one.send_body(Piece("ok", true));
    auto second = co_await other.send_body(Piece("ok", true));
    EXPECT_TRUE(first && second);
  }
  static Task<void> take_streams(ServerConnection& from,
                                 std::vector<std::unique_ptr<http::ServerStream>>& streams) {
    for (;;) {
      auto next = co_await from.next_stream();
      if (!next.has_stream()) break;
      streams.push_back(next.take());
    }
  }
};

// RFC 9113 section 3.4, RFC 8441 section 3, RFC 9218 section 2.1.
TEST_F(H2ServerConnection, SendsItsSettingsFirst) {
  ServerConnectionSettings settings;
  settings.streams = 7;
  settings.header_bytes = 5000;
  open(settings);
  ASSERT_FALSE(frames_.empty());
  EXPECT_EQ(frames_.front().type, frames::kSettings);
  EXPECT_EQ(state_.setting(frames::kMaxConcurrentStreams), 7U);
  EXPECT_EQ(state_.setting(frames::kMaxHeaderListSize), 5000U);
  EXPECT_EQ(state_.setting(frames::kEnableConnectProtocol), 1U);
  EXPECT_EQ(state_.setting(frames::kNoRfc7540Priorities), 1U);
  EXPECT_TRUE(state_.settings_acknowledged());
}

TEST_F(H2ServerConnection, ALimitThatTheSettingCannotSayIsSaidAsTheMost) {
  ServerConnectionSettings settings;
  settings.header_bytes = std::size_t{1} << 32;
  open(settings);
  EXPECT_EQ(state_.setting(frames::kMaxHeaderListSize), 0xffffffffU);
}

TEST_F(H2ServerConnection, AnswersARequest) {
  open();
  auto stream = next_stream_of(get(1, {{"x-a", "1"}}));
  EXPECT_FALSE(stream->refusal());
  const Request request = stream->take_request();
  EXPECT_EQ(request.head.raw_target, "/1");
  EXPECT_EQ(request.head.fields.get("x-a"), "1");
  EXPECT_EQ(request.body, nullptr);
  answer(std::move(stream), "hello");
  EXPECT_EQ(message(1).status(), 200);
  EXPECT_EQ(message(1).field("content-length"), "5");
  EXPECT_EQ(message(1).body, "hello");
  EXPECT_TRUE(message(1).ended);
  EXPECT_FALSE(message(1).reset);
}

TEST_F(H2ServerConnection, BeginsWithWhatWasReadAlready) {
  const std::string received = std::string(frames::kPreface) + frames::settings() + get(1);
  connection_ = std::make_unique<ServerConnection>(peer_.transport(), ServerConnectionSettings(),
                                                   scope_, Bytes(received));
  settle();
  EXPECT_EQ(next_stream()->take_request().head.raw_target, "/1");
}

TEST_F(H2ServerConnection, TakesInputByteByByte) {
  open();
  const std::string bytes = post(1) + frames::data(1, "abc") + frames::data(1, "def", true);
  for (const char& byte : bytes) send({&byte, 1});
  auto stream = next_stream();
  const Request request = stream->take_request();
  EXPECT_EQ(read_all(*request.body), "abcdef");
  answer(std::move(stream));
  EXPECT_EQ(message(1).status(), 200);
}

TEST_F(H2ServerConnection, ServesStreamsInAnyOrder) {
  open();
  send(get(1) + get(3));
  auto first = next_stream();
  auto second = next_stream();
  answer(std::move(second), "second");
  EXPECT_TRUE(message(3).ended);
  EXPECT_FALSE(message(1).has_head());
  answer(std::move(first), "first");
  EXPECT_EQ(message(1).body, "first");
  EXPECT_EQ(message(3).body, "second");
}

TEST_F(H2ServerConnection, OpensOnlySoManyStreamsInATurn) {
  open();
  const std::size_t length = get(1).size() - frames::kFrameHead;
  const std::size_t most =
      limits::kTurnFrames / (limits::kTurnHead + length / limits::kTurnHeadBytes);
  std::string bytes;
  for (std::uint32_t i = 0; i < 2 * most + 3; ++i) bytes += get(2 * i + 1);
  peer_.send(bytes);
  std::vector<std::unique_ptr<http::ServerStream>> streams;
  runner_.launch(take_streams(*connection_, streams));
  for (const std::size_t count : {most, 2 * most, 2 * most + 3}) {
    runner_.step(64);
    EXPECT_EQ(streams.size(), count);
  }
  EXPECT_EQ(streams.back()->take_request().head.raw_target, "/" + std::to_string(4 * most + 5));
}

TEST_F(H2ServerConnection, TakesContentBehindManyHeads) {
  open();
  std::string bytes;
  const std::uint32_t last = 2 * limits::kTurnFrames / limits::kTurnHead + 1;
  for (std::uint32_t id = 1; id < last; id += 2) bytes += get(id);
  send(bytes + post(last) + frames::data(last, "content", true));
  std::unique_ptr<http::ServerStream> stream;
  for (std::uint32_t id = 1; id <= last; id += 2) stream = next_stream();
  const Request request = stream->take_request();
  EXPECT_EQ(read_all(*request.body), "content");
}

TEST_F(H2ServerConnection, DoesNothingForAClientThatHasClosed) {
  auto transport = peer_.transport();
  peer_.send(std::string(frames::kPreface) + frames::settings() + get(1));
  peer_.end();
  connection_ = std::make_unique<ServerConnection>(std::move(transport), ServerConnectionSettings(),
                                                   scope_, Bytes());
  settle();
  ask();
  EXPECT_FALSE(next_->has_stream());
}

TEST_F(H2ServerConnection, GivesAnswersOfOneTurnInOneWrite) {
  open();
  send(get(1) + get(3));
  auto first = next_stream();
  auto second = next_stream();
  const std::size_t before = peer_.writes();
  for (auto* stream : {first.get(), second.get()})
    stream->stage_head(head_of(200, *stream, {Framing::length, 2}));
  runner_.spawn(end_both(*first, *second));
  settle();
  EXPECT_EQ(peer_.writes(), before + 1);
  EXPECT_TRUE(message(1).ended && message(3).ended);
}

TEST_F(H2ServerConnection, RefusesStreamsBeyondTheLimitThatTheClientHasNotHeardOf) {
  ServerConnectionSettings settings;
  settings.streams = 1;
  connection_ = std::make_unique<ServerConnection>(peer_.transport(), settings, scope_, Bytes());
  send(std::string(frames::kPreface) + frames::settings() + get(1) + get(3));
  EXPECT_EQ(reset_code(3), frames::kRefusedStream);
  answer(next_stream());
  EXPECT_TRUE(message(1).ended);
}

TEST_F(H2ServerConnection, StreamsThatAreNoneAnyMoreStillCountWhileTheyAreServed) {
  ServerConnectionSettings settings;
  settings.streams = 1;
  open(settings);
  auto first = next_stream_of(get(1));
  send(frames::rst_stream(1, frames::kCancel));
  auto second = next_stream_of(get(3));
  send(frames::rst_stream(3, frames::kCancel));
  send(get(5));
  EXPECT_EQ(reset_code(5), frames::kRefusedStream);
  first.reset();
  answer(next_stream_of(get(7)));
  EXPECT_TRUE(message(7).ended);
}

// A refused head is an exchange like any other.
TEST_F(H2ServerConnection, AsksForAnAnswerToAHeadThatIsRefused) {
  open();
  auto stream = next_stream_of(get(1, {{"host", "b"}}));
  ASSERT_TRUE(stream->refusal());
  EXPECT_EQ(stream->refusal()->code(), Code::malformed_request);
  EXPECT_EQ(stream->take_request().body, nullptr);
  answer(std::move(stream), "no", 400);
  EXPECT_EQ(message(1).status(), 400);
  answer(next_stream_of(get(3)));
  EXPECT_EQ(message(3).status(), 200);
}

TEST_F(H2ServerConnection, ShowsWhatCouldBeReadOfARefusedHead) {
  open();
  auto stream =
      next_stream_of(frames::headers(1, fields("PUT", "/x", {{"x-a", "1"}, {"te", "gzip"}})));
  ASSERT_TRUE(stream->refusal());
  const Request request = stream->take_request();
  EXPECT_EQ(request.head.method, Method::put);
  EXPECT_EQ(request.head.raw_target, "/x");
}

TEST_F(H2ServerConnection, RefusesAHeadLargerThanAllowed) {
  ServerConnectionSettings settings;
  settings.header_bytes = 1000;
  open(settings);
  auto stream = next_stream_of(get(1, {{"x-a", std::string(1000, 'a')}}));
  ASSERT_TRUE(stream->refusal());
  EXPECT_EQ(stream->refusal()->code(), Code::header_too_large);
  answer(std::move(stream), "no", 431);
  EXPECT_EQ(message(1).status(), 431);
}

// What HTTP/2 itself calls malformed is a stream error (RFC 9113 section 8.1.1).
TEST_F(H2ServerConnection, ResetsAMalformedStreamAndServesOn) {
  open();
  auto stream = next_stream_of(frames::headers(1, {{":method", "GET"}, {":path", "/"}}));
  ASSERT_TRUE(stream->refusal());
  EXPECT_EQ(stream->refusal()->code(), Code::malformed_request);
  stream.reset();
  settle();
  EXPECT_EQ(reset_code(1), frames::kProtocolError);
  answer(next_stream_of(get(3)));
  EXPECT_EQ(message(3).status(), 200);
}

TEST_F(H2ServerConnection, ResetOfTheClientCancelsOnlyThatStream) {
  open();
  send(get(1) + get(3));
  auto first = next_stream();
  auto second = next_stream();
  send(frames::rst_stream(1, frames::kCancel));
  EXPECT_EQ(first->scope().reason(), Code::client_gone);
  EXPECT_FALSE(second->scope().cancelled());
  first.reset();
  answer(std::move(second));
  EXPECT_TRUE(message(3).ended);
}

TEST_F(H2ServerConnection, ResetOfTheClientEndsAReadOfTheBody) {
  open();
  auto stream = next_stream_of(post(1) + frames::data(1, "abc"));
  const Request request = stream->take_request();
  send(frames::rst_stream(1, frames::kCancel));
  EXPECT_EQ(read_all(*request.body), "abc<client_gone>");
}

TEST_F(H2ServerConnection, NothingCanBeSentOnAStreamThatWasReset) {
  open();
  auto stream = next_stream_of(get(1));
  send(frames::rst_stream(1, frames::kCancel));
  stream->stage_head(head_of(200, *stream, {Framing::length, 2}));
  const auto sent = runner_.run(stream->send_body(Piece("ok", true)));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code(), Code::client_gone);
}

TEST_F(H2ServerConnection, AStreamThatIsLeftUnansweredIsReset) {
  open();
  next_stream_of(get(1)).reset();
  settle();
  EXPECT_EQ(reset_code(1), frames::kCancel);
}

TEST_F(H2ServerConnection, AnAnswerThatIsLeftUnfinishedIsReset) {
  open();
  auto stream = next_stream_of(get(1));
  stream->stage_head(head_of(200, *stream, {Framing::chunked, 0}));
  EXPECT_TRUE(runner_.run(stream->send_body(Piece("half", false))));
  stream.reset();
  settle();
  EXPECT_FALSE(message(1).ended);
  EXPECT_EQ(reset_code(1), frames::kCancel);
}

// RFC 9113 section 8.1.
TEST_F(H2ServerConnection, AWholeAnswerEndsARequestThatIsNotWanted) {
  open();
  answer(next_stream_of(post(1)));
  EXPECT_TRUE(message(1).ended);
  EXPECT_EQ(reset_code(1), frames::kNoError);
}

// RFC 9113 section 8.1.1.
TEST_F(H2ServerConnection, ABodyOtherThanAnnouncedIsMalformed) {
  open();
  for (const auto& [id, body] : {std::pair(1U, "ab"), std::pair(3U, "abcd")}) {
    auto stream = next_stream_of(post(id, {{"content-length", "3"}}));
    const Request request = stream->take_request();
    send(frames::data(id, body, true));
    EXPECT_TRUE(read_all(*request.body).ends_with("<malformed_request>")) << body;
    EXPECT_EQ(reset_code(id), frames::kProtocolError);
    EXPECT_EQ(stream->scope().reason(), Code::malformed_request);
  }
}

TEST_F(H2ServerConnection, FailsWhenTheClientLeavesDuringAnExchange) {
  open();
  auto stream = next_stream_of(get(1));
  peer_.end();
  settle();
  ask();
  EXPECT_EQ(failure(), Code::client_gone);
  EXPECT_TRUE(stream->scope().cancelled());
}

TEST_F(H2ServerConnection, IsDrainedWhenTheClientLeavesBetweenExchanges) {
  open();
  answer(next_stream_of(get(1)));
  peer_.end();
  settle();
  ask();
  EXPECT_TRUE(drained());
}

TEST_F(H2ServerConnection, LetsTheFirstRequestWaitOnlyForAWhile) {
  ServerConnectionSettings settings;
  settings.header = seconds(5);
  open(settings);
  pass(seconds(4));
  EXPECT_FALSE(state_.goaway());
  pass(seconds(1));
  EXPECT_EQ(goaway_code(), frames::kNoError);
  ask();
  EXPECT_TRUE(drained());
}

TEST_F(H2ServerConnection, LetsTheNextRequestWaitAsKeepaliveSays) {
  ServerConnectionSettings settings;
  settings.keepalive = seconds(20);
  open(settings);
  answer(next_stream_of(get(1)));
  pass(seconds(19));
  EXPECT_FALSE(state_.goaway());
  pass(seconds(1));
  EXPECT_EQ(goaway_code(), frames::kNoError);
}

TEST_F(H2ServerConnection, NeverLeavesWhileAnExchangeIsUnderWay) {
  open();
  auto stream = next_stream_of(get(1));
  pass(seconds(600));
  EXPECT_FALSE(state_.goaway());
  answer(std::move(stream));
  EXPECT_TRUE(message(1).ended);
}

TEST_F(H2ServerConnection, AHeadThatIsRefusedBeforeItsEndIsCountedAsFarAsItCame) {
  open();
  const auto stream = next_stream_of(frames::headers(1, {{":method", "GET"}, {":path", "/"}}));
  ASSERT_TRUE(stream->refusal());
  EXPECT_GT(stream->bytes().in, std::string_view(":methodGET:path/").size());
}

TEST_F(H2ServerConnection, RefusesAHeadThatComesTooSlowly) {
  open();
  const std::string head = get(1);
  send(frames::headers_block(1, Bytes(head).substr(frames::kFrameHead), frames::kEndStream));
  pass(ServerConnectionSettings().header);
  auto stream = next_stream();
  ASSERT_TRUE(stream->refusal());
  EXPECT_EQ(stream->refusal()->code(), Code::header_timeout);
}

}  // namespace
}  // namespace revproxyd::http::h2

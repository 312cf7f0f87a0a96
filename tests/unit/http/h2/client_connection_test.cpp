#include "http/h2/client_connection.h"

#include <string>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tests/unit/http/h2/client_fixture.h"

namespace revproxyd::http::h2 {
namespace {

namespace frames = revproxyd::testing::h2;
using std::chrono::seconds;

using H2ClientConnection = testing::ClientConnectionTest;

// RFC 9113 sections 3.4 and 6.5.2.
TEST_F(H2ClientConnection, BeginsWithThePrefaceAndRefusesPushes) {
  settle();
  ASSERT_FALSE(frames_.empty());
  EXPECT_EQ(frames_.front().type, frames::kSettings);
  EXPECT_EQ(state_.setting(frames::kEnablePush), 0U);
}

TEST_F(H2ClientConnection, TellsTheSizeOfHeadsThatItTakes) {
  settle();
  EXPECT_EQ(state_.setting(frames::kMaxHeaderListSize),
            ClientConnectionSettings().response_header_bytes);
}

TEST_F(H2ClientConnection, IsSettledWhenTheSettingsHaveCome) {
  EXPECT_FALSE(connection_->settled());
  greet();
  EXPECT_TRUE(connection_->settled());
  EXPECT_TRUE(connection_->multiplexes());
}

TEST_F(H2ClientConnection, OpensOneStreamUntilItIsSettled) {
  EXPECT_EQ(connection_->capacity(), 1U);
  const auto stream = ask();
  EXPECT_EQ(connection_->capacity(), 0U);
  EXPECT_EQ(connection_->active(), 1U);
}

// RFC 9113 section 5.1.2.
TEST_F(H2ClientConnection, OpensAsManyStreamsAsTheServerTakes) {
  greet({{frames::kMaxConcurrentStreams, 2}});
  EXPECT_EQ(connection_->capacity(), 2U);
  auto first = ask();
  EXPECT_EQ(connection_->capacity(), 1U);
  auto second = ask();
  EXPECT_EQ(connection_->capacity(), 0U);
  first.reset();
  EXPECT_EQ(connection_->capacity(), 1U);
}

TEST_F(H2ClientConnection, OpensNoMoreStreamsThanIsGoodForAnyServer) {
  greet({{frames::kMaxConcurrentStreams, 1'000'000}});
  EXPECT_EQ(connection_->capacity(), limits::kStreamsPerConnection);
}

TEST_F(H2ClientConnection, OpensNoStreamWhenTheServerTakesNone) {
  greet({{frames::kMaxConcurrentStreams, 0}});
  EXPECT_EQ(connection_->capacity(), 0U);
}

TEST_F(H2ClientConnection, FollowsSettingsThatChange) {
  greet({{frames::kMaxConcurrentStreams, 3}});
  const auto first = ask();
  const auto second = ask();
  greet({{frames::kMaxConcurrentStreams, 1}});
  EXPECT_EQ(connection_->capacity(), 0U);
  greet({{frames::kMaxConcurrentStreams, 5}});
  EXPECT_EQ(connection_->capacity(), 3U);
}

TEST_F(H2ClientConnection, TellsItsOwnerWhenMoreStreamsMayBeOpened) {
  const auto stream = ask();
  EXPECT_EQ(more_rooms_, 0);
  greet({{frames::kMaxConcurrentStreams, 3}});
  EXPECT_EQ(more_rooms_, 1);
}

TEST_F(H2ClientConnection, TellsItsOwnerWhenAStreamIsGone) {
  auto stream = ask();
  EXPECT_EQ(closed_streams_, 0);
  stream.reset();
  EXPECT_EQ(closed_streams_, 1);
  EXPECT_EQ(connection_->active(), 0U);
}

TEST_F(H2ClientConnection, OnlyItsFirstStreamIsNotReused) {
  greet();
  EXPECT_FALSE(ask()->reused());
  EXPECT_TRUE(ask()->reused());
}

TEST_F(H2ClientConnection, AnswersPings) {
  greet();
  send(frames::ping("12345678"));
  ASSERT_FALSE(frames_.empty());
  EXPECT_EQ(frames_.back().type, frames::kPing);
  EXPECT_TRUE(frames_.back().has(frames::kAck));
  EXPECT_EQ(frames_.back().payload, "12345678");
}

// RFC 9113 section 6.8: what is above the last stream was not looked at.
TEST_F(H2ClientConnection, StreamsBehindTheLastOneWereNotBegun) {
  greet();
  const auto served = ask();
  const auto late = ask();
  send(frames::goaway(1, frames::kNoError));
  EXPECT_EQ(failure_of(*late), Code::reset);
  EXPECT_FALSE(late->request_started());
  EXPECT_FALSE(late->response_started());
  send(answer(1, "served"));
  ASSERT_TRUE(head_of(*served));
  EXPECT_EQ(read_all(served->body()), "served");
  EXPECT_TRUE(served->request_started());
}

TEST_F(H2ClientConnection, AGoawayOvertakesWhatItLeavesBehind) {
  greet();
  const auto served = ask();
  const auto late = ask();
  const auto staged = begin(Method::post, "POST", {});
  send(frames::goaway(1, frames::kNoError));
  EXPECT_TRUE(late->overtaken());
  EXPECT_TRUE(staged->overtaken());
  EXPECT_FALSE(served->overtaken());
}

// Else a server that closes at once were asked without end.
TEST_F(H2ClientConnection, TheFirstRequestIsNeverOvertaken) {
  greet();
  const auto first = ask();
  send(frames::goaway(0, frames::kNoError));
  EXPECT_EQ(failure_of(*first), Code::reset);
  EXPECT_FALSE(first->overtaken());
}

// What others have to send takes it along.
TEST_F(H2ClientConnection, ARequestThatLeftBesideAnotherWasBegun) {
  const auto staged = begin(Method::post, "POST", {});
  EXPECT_FALSE(staged->request_started());
  const auto other = ask();
  EXPECT_EQ(request(1).method(), "POST");
  peer_.end();
  settle();
  EXPECT_EQ(failure_of(*staged), Code::end_of_stream);
  EXPECT_TRUE(staged->request_started());
}

TEST_F(H2ClientConnection, OpensNoStreamAfterTheServerHasSaidGoodbye) {
  greet();
  send(frames::goaway(0x7fffffff, frames::kNoError));
  EXPECT_EQ(connection_->capacity(), 0U);
  EXPECT_FALSE(connection_->alive());
}

TEST_F(H2ClientConnection, TellsItsOwnerWhenAnIdleConnectionEnds) {
  greet();
  EXPECT_TRUE(connection_->alive());
  peer_.end();
  settle();
  EXPECT_EQ(idle_inputs_, 1);
  EXPECT_FALSE(connection_->alive());
  EXPECT_EQ(connection_->capacity(), 0U);
}

TEST_F(H2ClientConnection, StreamsFailWhenTheConnectionEnds) {
  greet();
  const auto silent = ask();
  const auto answered = ask();
  send(answer_head(3) + frames::data(3, "half"));
  peer_.end();
  settle();
  const auto head = head_of(*silent);
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().side(), Side::upstream);
  EXPECT_FALSE(silent->response_started());
  ASSERT_TRUE(head_of(*answered));
  const std::string body = read_all(answered->body());
  EXPECT_TRUE(body.starts_with("half<")) << body;
}

TEST_F(H2ClientConnection, AWholeAnswerOutlivesItsConnection) {
  greet();
  const auto stream = ask();
  send(answer(1, "whole"));
  peer_.reset();
  settle();
  ASSERT_TRUE(head_of(*stream));
  EXPECT_EQ(read_all(stream->body()), "whole");
}

// RFC 9113 section 8.4: pushes were refused in the settings.
TEST_F(H2ClientConnection, APushBreaksTheConnection) {
  greet();
  const auto stream = ask();
  send(frames::frame(frames::kPushPromise, frames::kEndHeaders, 1,
                     std::string("\0\0\0\2", 4) + frames::literals({{":method", "GET"},
                                                                    {":scheme", "http"},
                                                                    {":authority", "example"},
                                                                    {":path", "/"}})));
  ASSERT_TRUE(state_.goaway());
  EXPECT_EQ(state_.goaway()->code, frames::kProtocolError);
  EXPECT_NE(failure_of(*stream), Code::none);
  EXPECT_FALSE(connection_->alive());
}

TEST_F(H2ClientConnection, AnythingButHttp2BreaksTheConnection) {
  const auto stream = ask();
  send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  EXPECT_NE(failure_of(*stream), Code::none);
  EXPECT_FALSE(connection_->settled());
  EXPECT_EQ(connection_->capacity(), 0U);
}

// RFC 9113 section 5.1: a server opens no streams without pushes.
TEST_F(H2ClientConnection, HeadersOnAStreamThatNobodyOpenedBreakTheConnection) {
  greet();
  const auto stream = ask();
  send(answer(3));
  EXPECT_EQ(state_.goaway()->code, frames::kProtocolError);
  EXPECT_NE(failure_of(*stream), Code::none);
}

TEST_F(H2ClientConnection, ASlowReaderDoesNotHoldOthers) {
  greet();
  const auto slow = ask();
  const auto quick = ask();
  std::string bytes = answer_head(1) + answer_head(3);
  for (int i = 0; i < 4; ++i) bytes += frames::data(1, std::string(16'000, 's'));
  send(bytes);
  ASSERT_TRUE(head_of(*quick));
  for (std::size_t total = 0; total < 4 * SessionSettings().connection_window; total += 16'000) {
    ASSERT_GE(state_.window(3), 16'000U) << total;
    send(frames::data(3, std::string(16'000, 'q')));
    state_.spend(3, 16'000);
    ASSERT_EQ(runner_.run(quick->body().read())->bytes.size(), 16'000U);
    settle();
  }
}

class H2ClientOfMuteServer : public testing::ClientConnectionTest {
 protected:
  bool pinged() const {
    for (const frames::Frame& frame : frames_) {
      if (frame.type == frames::kPing && !frame.has(frames::kAck)) return true;
    }
    return false;
  }
};

TEST_F(H2ClientOfMuteServer, AsksAfterAServerThatSaysNothing) {
  greet();
  const auto stream = ask();
  pass(seconds(15));
  EXPECT_FALSE(pinged());
  // The answer to the ping is given within the second.
  for (int i = 0; i < 60; ++i) pass(seconds(1));
  EXPECT_TRUE(pinged());
  EXPECT_TRUE(connection_->alive());
}

TEST_F(H2ClientOfMuteServer, DoesNotAskWithoutRequests) {
  greet();
  pass(seconds(600));
  EXPECT_FALSE(pinged());
}

// Nothing that comes back is looked at from here on, so that nothing is answered.
TEST_F(H2ClientOfMuteServer, OpensNoStreamsWhileAPingIsUnanswered) {
  greet();
  const auto stream = ask();
  runner_.pass(seconds(50));
  EXPECT_EQ(connection_->capacity(), 0U);
  EXPECT_TRUE(connection_->alive());
  send(frames::window_update(0, 1));
  EXPECT_NE(connection_->capacity(), 0U);
}

TEST_F(H2ClientOfMuteServer, GivesAServerUpThatSaysNothingForTooLong) {
  greet();
  const auto stream = ask();
  runner_.pass(seconds(50) + ClientConnectionSettings().write);
  EXPECT_EQ(failure_of(*stream), Code::reset);
  EXPECT_FALSE(connection_->alive());
}

}  // namespace
}  // namespace revproxyd::http::h2

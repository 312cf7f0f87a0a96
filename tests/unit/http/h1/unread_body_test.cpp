// What an exchange leaves of its request, and whether the connection survives that.

#include <string>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tests/unit/http/h1/server_connection_fixture.h"

namespace revproxyd::http::h1 {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::kGet;

class H1UnreadBody : public testing::ServerConnectionTest {};

TEST_F(H1UnreadBody, ReadsTheRestOfABodyThatNobodyWanted) {
  open();
  auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n");
  answer(std::move(stream), "1");
  peer_.send(std::string(40000, 'x'));
  answer(next_stream_of(kGet), "2");
  EXPECT_EQ(peer_.received(), answered("1") + answered("2"));
}

TEST_F(H1UnreadBody, ClosesInsteadOfReadingMoreThan64KiBOfAnUnreadBody) {
  open();
  auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n");
  answer(std::move(stream), "1");
  ask();
  EXPECT_TRUE(drained());
  EXPECT_EQ(peer_.received(), answered("1", false));
}

constexpr std::string_view kChunkedPost =
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

// RFC 9112 section 9.6: the client would lose the request that it sends behind the body.
TEST_F(H1UnreadBody, SaysThatItClosesWhereTheEndOfAnUnreadChunkedBodyHasNotCome) {
  open();
  answer(next_stream_of(std::string(kChunkedPost) + "3\r\nabc\r\n0\r\n"), "1");
  EXPECT_EQ(peer_.received(), answered("1", false));
  ask();
  EXPECT_TRUE(drained());
}

TEST_F(H1UnreadBody, SaysThatItClosesBehindAnUnreadChunkedBodyThatIsMalformed) {
  open();
  answer(next_stream_of(std::string(kChunkedPost) + "zz\r\n0\r\n\r\n"), "1");
  EXPECT_EQ(peer_.received(), answered("1", false));
}

TEST_F(H1UnreadBody, DropsAnUnreadChunkedBodyWhoseEndHasCome) {
  open();
  peer_.send(std::string(kChunkedPost) + "3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 7\r\n\r\n");
  answer(next_stream_of(kGet), "1");
  ask();
  answer(stream(), "2");
  EXPECT_EQ(peer_.received(), answered("1") + answered("2"));
}

TEST_F(H1UnreadBody, DropsTheRestOfAChunkedBodyOfWhichAPartWasRead) {
  open();
  auto post = next_stream_of(std::string(kChunkedPost) + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  {
    Request request = post->take_request();
    ASSERT_TRUE(runner_.run(request.body->read()));
    answer(std::move(post), "1");
  }
  answer(next_stream_of(kGet), "2");
  EXPECT_EQ(peer_.received(), answered("1") + answered("2"));
}

// RFC 9112 section 9.6: it was told that the connection stays.
TEST_F(H1UnreadBody, GivesASlowClientTheTimeForTheRestOfItsBody) {
  open({.keepalive = seconds(10)});
  auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
  BodyRules rules;
  rules.stall = seconds(1);
  rules.min_rate = 1000;
  stream->set_body_rules(rules);
  answer(std::move(stream), "1");
  ask();
  for (int i = 0; i < 4; ++i) {
    runner_.pass(seconds(2));
    ASSERT_FALSE(next_) << i;
    peer_.send("x");
  }
  peer_.send(kGet);
  runner_.settle();
  answer(this->stream(), "2");
  EXPECT_EQ(peer_.received(), answered("1") + answered("2"));
}

TEST_F(H1UnreadBody, ClosesWhenTheRestOfABodyTakesLongerThanTheNextRequestMay) {
  open({.keepalive = seconds(10)});
  auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
  answer(std::move(stream), "1");
  ask();
  runner_.pass(seconds(10) - milliseconds(100));
  EXPECT_FALSE(next_);
  runner_.pass(milliseconds(100));
  EXPECT_TRUE(drained());
}

TEST_F(H1UnreadBody, ADrainBeforeTheAnswerIsOverWaitsASecondForTheRest) {
  open();
  auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
  stream->stage_head(head_of(200, *stream, 1));
  connection_->drain();
  peer_.send("some");
  ASSERT_TRUE(runner_.run(stream->send_body(Piece("1", true))));
  stream.reset();
  ask();
  EXPECT_FALSE(next_);
  runner_.pass(limits::kDrainTime);
  EXPECT_TRUE(drained());
}

TEST_F(H1UnreadBody, ADrainWaitsForNoRestOfABody) {
  open();
  auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
  answer(std::move(stream), "1");
  peer_.send("some");
  ask();
  EXPECT_FALSE(next_);
  connection_->drain();
  runner_.settle();
  EXPECT_TRUE(drained());
}

}  // namespace
}  // namespace revproxyd::http::h1

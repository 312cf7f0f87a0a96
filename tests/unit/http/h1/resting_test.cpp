// A connection whose next request does not come is taken apart, and goes on from what is left.

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tests/unit/http/h1/server_connection_fixture.h"

namespace revproxyd::http::h1 {
namespace {

using testing::kGet;

class H1Resting : public testing::ServerConnectionTest {
 protected:
  ServerConnectionSettings listed(std::uint64_t served = 0) {
    ServerConnectionSettings settings;
    settings.served = served;
    settings.idle = &list_;
    return settings;
  }
  bool rests() const { return next_ && next_->rests(); }
  /// Rests behind one answer.
  Resting rest_of(const ServerConnectionSettings& settings) {
    open(settings);
    answer(next_stream_of(kGet), "1");
    ask();
    runner_.pass(2 * limits::kRestAfter);
    EXPECT_TRUE(rests());
    return connection_->rest();
  }
  void wake(Resting rest, ServerConnectionSettings settings) {
    settings.served = rest.served;
    connection_ =
        std::make_unique<ServerConnection>(std::move(rest.transport), settings, runner_.scope());
  }
  /// A body of so many bytes leaves no room to look at what comes behind it.
  void upload_in_one_read() {
    const std::string body(ServerConnectionSettings().header_bytes, 'u');
    peer_.limit_calls(body.size());
    auto stream = next_stream_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " +
                                 std::to_string(body.size()) + "\r\n\r\n");
    peer_.send(body);
    {
      const Request request = stream->take_request();
      EXPECT_EQ(read_all(*request.body).size(), body.size());
    }
    answer(std::move(stream), "1");
  }
  void TearDown() override {
    testing::ServerConnectionTest::TearDown();
    connection_.reset();
  }

  IdleList list_;
};

TEST_F(H1Resting, RestsWhenTheNextRequestDoesNotCome) {
  open(listed());
  answer(next_stream_of(kGet), "1");
  ask();
  runner_.pass(2 * limits::kRestAfter);
  EXPECT_TRUE(rests());
  EXPECT_FALSE(peer_.saw_end());
  const Resting rest = connection_->rest();
  EXPECT_NE(rest.transport, nullptr);
  EXPECT_EQ(rest.served, 1U);
}

TEST_F(H1Resting, GoesOnFromWhatIsLeft) {
  Resting rest = rest_of(listed());
  auto again = listed();
  again.requests = 2;
  wake(std::move(rest), again);
  answer(next_stream_of(kGet), "2");
  EXPECT_EQ(peer_.received(), answered("1") + answered("2", false));
}

TEST_F(H1Resting, ARequestKeepsItAwake) {
  open(listed());
  answer(next_stream_of(kGet), "1");
  for (int i = 0; i < 10; ++i) {
    ask();
    runner_.pass(limits::kRestAfter / 2);
    peer_.send(kGet);
    runner_.settle();
    answer(stream(), "2");
  }
}

TEST_F(H1Resting, RestsBehindAnEmptyLine) {
  open(listed());
  answer(next_stream_of(std::string(kGet) + "\r\n"), "1");
  ask();
  runner_.pass(2 * limits::kRestAfter);
  EXPECT_TRUE(rests());
}

TEST_F(H1Resting, AnEmptyLineWakesItForNoLongerThanTheTimeThatIsLeft) {
  auto settings = listed();
  settings.keepalive = 10 * limits::kRestAfter;
  Resting rest = rest_of(settings);
  runner_.pass(7 * limits::kRestAfter);
  peer_.send("\r\n");
  settings.idle = nullptr;
  wake(std::move(rest), settings);
  ask();
  ASSERT_FALSE(next_);
  runner_.pass(limits::kRestAfter);
  EXPECT_TRUE(drained());
}

// The client's byte and the end of its time come in one turn: it is woken, and there is no more.
TEST_F(H1Resting, AnEmptyLineAtTheVeryEndOfItsTimeBringsNoOther) {
  auto settings = listed();
  settings.keepalive = 10 * limits::kRestAfter;
  Resting rest = rest_of(settings);
  runner_.pass(8 * limits::kRestAfter);
  peer_.send("\r\n");
  settings.idle = nullptr;
  wake(std::move(rest), settings);
  ask();
  runner_.pass(limits::kRestAfter);
  EXPECT_TRUE(drained());
}

TEST_F(H1Resting, ARequestAtTheVeryEndOfItsTimeIsServed) {
  auto settings = listed();
  Resting rest = rest_of(settings);
  runner_.pass(settings.keepalive);
  wake(std::move(rest), settings);
  answer(next_stream_of(kGet), "2");
  EXPECT_EQ(peer_.received(), answered("1") + answered("2"));
}

// No event tells that nothing more is there.
TEST_F(H1Resting, AnUploadWhoseLastReadFilledItsRoomIsFollowedByTheIdleTime) {
  auto settings = listed();
  settings.header = limits::kRestAfter / 4;
  open(settings);
  upload_in_one_read();
  ask();
  runner_.pass(limits::kRestAfter / 2);
  EXPECT_FALSE(next_);
  runner_.pass(2 * limits::kRestAfter);
  EXPECT_TRUE(rests());
}

TEST_F(H1Resting, WhoWasWokenForNothingEndsWithTheDrain) {
  open();
  upload_in_one_read();
  ask();
  EXPECT_FALSE(next_);
  connection_->drain();
  runner_.settle();
  EXPECT_TRUE(drained());
}

TEST_F(H1Resting, TheHeaderTimeRunsFromTheFirstByteBehindAWakeForNothing) {
  open({.header = std::chrono::seconds(10), .keepalive = std::chrono::seconds(60)});
  upload_in_one_read();
  ask();
  runner_.pass(std::chrono::seconds(50));
  peer_.send("GET / HT");
  runner_.settle();
  runner_.pass(std::chrono::seconds(9));
  EXPECT_FALSE(next_);
  runner_.pass(std::chrono::seconds(1));
  const auto late = stream();
  ASSERT_TRUE(late->refusal());
  EXPECT_EQ(late->refusal()->code(), Code::header_timeout);
}

TEST_F(H1Resting, NobodyRestsBeforeTheFirstRequest) {
  open(listed());
  ask();
  runner_.pass(4 * limits::kRestAfter);
  EXPECT_FALSE(next_);
}

TEST_F(H1Resting, WhoWasAskedToDrainEndsInsteadOfResting) {
  open(listed());
  auto stream = next_stream_of(kGet);
  connection_->drain();
  answer(std::move(stream), "1");
  ask();
  EXPECT_TRUE(drained() && !rests());
}

TEST_F(H1Resting, TheKeepAliveTimeComesFirstWhereItIsShorter) {
  auto settings = listed();
  settings.keepalive = limits::kRestAfter / 2;
  open(settings);
  answer(next_stream_of(kGet), "1");
  ask();
  runner_.pass(limits::kRestAfter);
  EXPECT_TRUE(drained() && !rests());
}

}  // namespace
}  // namespace revproxyd::http::h1

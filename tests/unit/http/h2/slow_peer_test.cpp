// Peers whose windows are wide open, but that do not take what the kernel holds for them.

#include <array>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/http/h2/client_fixture.h"
#include "tests/unit/http/h2/server_fixture.h"

namespace revproxyd::http::h2 {
namespace {

namespace frames = revproxyd::testing::h2;
using std::chrono::seconds;

constexpr std::uint32_t kWide = 0x7fff0000;

class H2SlowClient : public testing::ServerConnectionTest {
 protected:
  struct Answer {
    std::unique_ptr<http::ServerStream> stream;
    std::optional<Result<void>> sent;
    Code code() const { return sent && !*sent ? sent->error().code() : Code::none; }
  };

  void TearDown() override {
    runner_.stop();
    answers_ = {};
    ServerConnectionTest::TearDown();
  }
  void open_wide() {
    ServerConnectionSettings settings;
    settings.write = seconds(6);
    settings.min_rate = 1000;
    open(settings, {{frames::kInitialWindowSize, kWide}});
    send(frames::window_update(0, kWide));
  }
  /// An answer with these limits, which waits unless the kernel takes it.
  void start(Answer& answer, std::uint32_t id, Duration write, std::uint64_t min_rate) {
    answer.stream = next_stream_of(get(id));
    answer.stream->set_write_rules(write, min_rate);
    answer.stream->stage_head(head_of(200, *answer.stream, {Framing::chunked, 0}));
    runner_.start(answer.stream->send_body(Piece(body_, true)), answer.sent);
    settle();
  }
  /// As whoever serves it does with one that has failed.
  void cut(Answer& answer) {
    answer.stream->reset(answer.code());
    answer.stream.reset();
  }
  /// In small steps.
  void take_every_second(std::size_t bytes, int times) {
    constexpr int kSteps = 5;
    for (int i = 0; i < times * kSteps; ++i) {
      pass(Duration(seconds(1)) / kSteps - 2 * TimerWheel::kTick);
      peer_.take_more(bytes / kSteps);
      settle();
    }
  }

  const std::string body_ = std::string(500'000, 'b');
  std::array<Answer, 3> answers_;
};

TEST_F(H2SlowClient, EveryAnswerHasItsOwnLimit) {
  open_wide();
  peer_.take_only(1000);
  Answer& short_one = answers_[0];
  Answer& usual = answers_[1];
  Answer& long_one = answers_[2];
  start(short_one, 1, seconds(2), 0);
  start(usual, 3, seconds(6), 0);
  start(long_one, 5, seconds(60), 0);
  pass(seconds(1));
  EXPECT_FALSE(short_one.sent);
  pass(seconds(1) + seconds(1) / 2);
  ASSERT_EQ(short_one.code(), Code::write_timeout);
  EXPECT_FALSE(usual.sent);
  cut(short_one);
  pass(seconds(4));
  ASSERT_EQ(usual.code(), Code::write_timeout);
  EXPECT_FALSE(long_one.sent);
  cut(usual);
  pass(seconds(50));
  peer_.take_all();
  settle();
  EXPECT_TRUE(long_one.sent && *long_one.sent);
  EXPECT_EQ(message(5).body, body_);
  EXPECT_EQ(reset_code(1), frames::kEnhanceYourCalm);
  EXPECT_EQ(reset_code(3), frames::kEnhanceYourCalm);
}

TEST_F(H2SlowClient, TheLongestLimitEndsTheConnection) {
  open_wide();
  peer_.take_only(1000);
  Answer& answer = answers_[0];
  start(answer, 1, seconds(20), 0);
  ask();
  pass(seconds(19));
  EXPECT_FALSE(answer.sent);
  EXPECT_EQ(failure(), Code::none);
  pass(seconds(3));
  EXPECT_EQ(answer.code(), Code::write_timeout);
  EXPECT_EQ(failure(), Code::write_timeout);
}

TEST_F(H2SlowClient, ItsRequestsMakeNoLimitLonger) {
  open_wide();
  peer_.take_only(1000);
  for (std::size_t i = 0; i < answers_.size(); ++i) {
    start(answers_[i], static_cast<std::uint32_t>(2 * i + 1), seconds(6), 0);
    pass(seconds(2));
  }
  pass(seconds(1));
  ask();
  EXPECT_EQ(failure(), Code::write_timeout);
}

// What lies there of an answer is an answer's to its end.
TEST_F(H2SlowClient, TheLimitHoldsForTheEndOfAnAnswer) {
  open_wide();
  peer_.take_only(1000);
  auto stream = next_stream_of(get(1));
  stream->set_write_rules(seconds(60), 0);
  stream->stage_head(head_of(200, *stream, {Framing::chunked, 0}));
  const std::string text(10'000, 'e');
  EXPECT_TRUE(runner_.run(stream->send_body(Piece(text, true))));
  stream.reset();
  settle();
  pass(seconds(50));
  peer_.take_all();
  settle();
  EXPECT_EQ(message(1).body, text);
  // And for no other.
  peer_.take_only(0);
  send(frames::ping("12345678"));
  pass(seconds(8));
  ask();
  EXPECT_EQ(failure(), Code::write_timeout);
}

TEST_F(H2SlowClient, AnAnswerThatIsTakenTooSlowlyIsCut) {
  open_wide();
  peer_.take_only(1000);
  Answer& asked = answers_[0];
  Answer& free = answers_[1];
  start(asked, 1, seconds(60), 4000);
  start(free, 3, seconds(60), 0);
  take_every_second(3000, 9);
  EXPECT_FALSE(asked.sent) << "in the time of grace";
  take_every_second(3000, 4);
  ASSERT_EQ(asked.code(), Code::body_too_slow);
  EXPECT_FALSE(free.sent);
  cut(asked);
  take_every_second(3000, 20);
  EXPECT_FALSE(free.sent);
  peer_.take_all();
  settle();
  EXPECT_TRUE(free.sent && *free.sent);
  EXPECT_EQ(reset_code(1), frames::kEnhanceYourCalm);
}

TEST_F(H2SlowClient, AnAnswerThatIsTakenFastEnoughIsNot) {
  open_wide();
  peer_.take_only(1000);
  Answer& one = answers_[0];
  Answer& other = answers_[1];
  start(one, 1, seconds(60), 4000);
  start(other, 3, seconds(60), 4000);
  take_every_second(5000, 60);
  EXPECT_EQ(one.code(), Code::none) << "what it takes of both counts";
  EXPECT_EQ(other.code(), Code::none);
  peer_.take_all();
  settle();
  EXPECT_EQ(message(1).body.size() + message(3).body.size(), 2 * body_.size());
}

// It has taken more than is asked of it in that time.
TEST_F(H2SlowClient, WhoPausesHasItsWholeTime) {
  open_wide();
  peer_.take_only(1000);
  Answer& answer = answers_[0];
  start(answer, 1, seconds(30), 1000);
  take_every_second(20'000, 5);
  pass(seconds(28));
  EXPECT_FALSE(answer.sent);
  pass(seconds(4));
  EXPECT_EQ(answer.code(), Code::write_timeout);
}

class H2SlowServer : public testing::ClientConnectionTest {
 protected:
  void start_upload(Duration limit) {
    ClientConnectionSettings settings;
    settings.write = seconds(6);
    open(settings);
    greet({{frames::kInitialWindowSize, kWide}});
    send(frames::window_update(0, kWide));
    peer_.take_only(1000);
    stream_ = begin(Method::post, "POST", {Framing::chunked, 0});
    stream_->set_write_limit(limit);
    runner_.start(stream_->send_body(Piece(body_, true)), sent_);
    settle();
  }

  const std::string body_ = std::string(500'000, 'b');
  std::unique_ptr<http::ClientStream> stream_;
  std::optional<Result<void>> sent_;
};

TEST_F(H2SlowServer, ARequestHasItsOwnLimit) {
  start_upload(seconds(20));
  pass(seconds(19));
  EXPECT_FALSE(sent_);
  EXPECT_TRUE(connection_->alive());
  pass(seconds(3));
  ASSERT_TRUE(sent_ && !*sent_);
  EXPECT_EQ(sent_->error().code(), Code::idle_timeout);
  EXPECT_FALSE(connection_->alive());
}

TEST_F(H2SlowServer, WhileTheLimitIsHeldNoWaitIsTooLong) {
  start_upload(seconds(6));
  stream_->hold_write_limit(true);
  pass(seconds(15));
  EXPECT_FALSE(sent_);
  stream_->hold_write_limit(false);
  pass(seconds(5));
  EXPECT_FALSE(sent_) << "it has all of its time again";
  pass(seconds(2));
  ASSERT_TRUE(sent_ && !*sent_);
  EXPECT_EQ(sent_->error().code(), Code::idle_timeout);
}

}  // namespace
}  // namespace revproxyd::http::h2

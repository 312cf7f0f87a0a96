#include "proxy/held_body.h"

#include <deque>
#include <string>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tests/support/hand_runner.h"

namespace revproxyd::proxy {
namespace {

class Pieces final : public http::Body {
 public:
  explicit Pieces(std::deque<std::string> pieces, bool* released = nullptr)
      : pieces_(std::move(pieces)), released_(released) {}
  Task<Result<http::Piece>> read() override {
    if (pieces_.empty()) co_return Error(Code::client_gone, Side::downstream);
    current_ = std::move(pieces_.front());
    pieces_.pop_front();
    co_return http::Piece(current_, pieces_.empty());
  }
  void release() noexcept override {
    current_.assign(current_.size(), '?');
    if (released_ != nullptr) *released_ = true;
  }
  bool ready() const noexcept override { return false; }

 private:
  std::deque<std::string> pieces_;
  std::string current_;
  bool* released_;
};

class HeldBodyTest : public ::testing::Test {
 protected:
  HeldBody& open(std::deque<std::string> pieces) {
    body_.emplace(std::make_unique<Pieces>(std::move(pieces)));
    return *body_;
  }
  std::string read() {
    const auto piece = runner_.run(body_->read());
    if (!piece) return "<" + std::string(name(piece.error().code())) + ">";
    return std::string(piece->bytes) + (piece->last ? "|" : "");
  }
  std::string all() {
    std::string out;
    do {
      out += read();
    } while (!out.ends_with('|') && !out.ends_with('>'));
    return out;
  }

  test::HandRunner runner_;
  std::optional<HeldBody> body_;
};

TEST_F(HeldBodyTest, PassesPiecesOnAsTheyCome) {
  open({"ab", "cd"});
  EXPECT_EQ(read(), "ab");
  EXPECT_EQ(read(), "cd|");
}

TEST_F(HeldBodyTest, WhatIsHeldIsHeldOnce) {
  bool released = false;
  body_.emplace(std::make_unique<Pieces>(std::deque<std::string>{"ab", "cd"}, &released));
  EXPECT_EQ(read(), "ab");
  EXPECT_TRUE(released);
}

TEST_F(HeldBodyTest, WhatIsNotHeldStaysWhereItIs) {
  bool released = false;
  body_.emplace(std::make_unique<Pieces>(std::deque<std::string>{"ab", "cd"}, &released));
  body_->let_go();
  EXPECT_EQ(read(), "ab");
  EXPECT_FALSE(released);
}

TEST_F(HeldBodyTest, GivesAllAgainAfterRewinding) {
  open({"ab", "cd"});
  EXPECT_EQ(all(), "abcd|");
  EXPECT_TRUE(body_->complete());
  ASSERT_TRUE(body_->rewind());
  EXPECT_EQ(all(), "abcd|");
  ASSERT_TRUE(body_->rewind());
  EXPECT_EQ(all(), "abcd|");
}

TEST_F(HeldBodyTest, GoesOnWithTheRestAfterWhatWasHeld) {
  open({"ab", "cd", "ef"});
  EXPECT_EQ(read(), "ab");
  EXPECT_EQ(read(), "cd");
  EXPECT_FALSE(body_->complete());
  ASSERT_TRUE(body_->rewind());
  EXPECT_TRUE(body_->ready()) << "what is held needs no waiting";
  EXPECT_EQ(all(), "abcdef|");
}

TEST_F(HeldBodyTest, AnEmptyBodyCanBeReadAgain) {
  open({""});
  EXPECT_EQ(all(), "|");
  ASSERT_TRUE(body_->rewind());
  EXPECT_EQ(all(), "|");
}

TEST_F(HeldBodyTest, HoldsExactlyTheLimit) {
  const std::string most(limits::kReplayBody, 'x');
  open({most});
  EXPECT_EQ(all(), most + "|");
  EXPECT_TRUE(body_->can_rewind());
  ASSERT_TRUE(body_->rewind());
  EXPECT_EQ(all(), most + "|");
}

TEST_F(HeldBodyTest, BeyondTheLimitThereIsNoWayBackAndNothingIsLost) {
  const std::string most(limits::kReplayBody, 'x');
  open({most, "y", "z"});
  EXPECT_EQ(read(), most);
  EXPECT_TRUE(body_->can_rewind());
  EXPECT_EQ(read(), "y");
  EXPECT_FALSE(body_->can_rewind());
  EXPECT_FALSE(body_->rewind());
  EXPECT_EQ(read(), "z|");
}

TEST_F(HeldBodyTest, AfterLettingGoThereIsNoWayBack) {
  open({"ab", "cd"});
  EXPECT_EQ(read(), "ab");
  body_->let_go();
  EXPECT_FALSE(body_->rewind());
  EXPECT_EQ(read(), "cd|");
}

TEST_F(HeldBodyTest, LettingGoInTheMiddleOfAReplayStillGivesWhatIsHeld) {
  open({"ab", "cd", "ef"});
  EXPECT_EQ(read(), "ab");
  EXPECT_EQ(read(), "cd");
  ASSERT_TRUE(body_->rewind());
  body_->let_go();
  EXPECT_EQ(all(), "abcdef|");
}

TEST_F(HeldBodyTest, AViewStaysWhenItIsLetGoOf) {
  open({"ab", "cd"});
  EXPECT_EQ(read(), "ab");
  ASSERT_TRUE(body_->rewind());
  const auto piece = runner_.run(body_->read());
  ASSERT_TRUE(piece);
  body_->let_go();
  EXPECT_EQ(piece->bytes, "ab");
  EXPECT_EQ(read(), "cd|");
}

TEST_F(HeldBodyTest, PassesErrorsOn) {
  open({});
  EXPECT_EQ(read(), "<client_gone>");
}

}  // namespace
}  // namespace revproxyd::proxy

#include "http/h1/body_reader.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tests/support/hand_runner.h"
#include "tests/support/memory_transport.h"

namespace revproxyd::http::h1 {
namespace {

using std::chrono::seconds;

class H1BodyReader : public ::testing::Test {
 protected:
  void TearDown() override { runner_.stop(); }
  BodyReader& open(Framing framing, std::uint64_t bytes = 0, Kind kind = Kind::request) {
    reader_.emplace(*transport_, input_, BodyLength{framing, bytes}, kind, HeadLimits());
    reader_->keep_trailers_in(&arena_);
    return *reader_;
  }
  void start() {
    piece_.reset();
    runner_.start(reader_->read(), piece_);
  }
  /// All that comes, with "|" at the end of the message or the code of what ended it.
  std::string all() {
    std::string out;
    for (;;) {
      start();
      if (!piece_) return out + "...";
      if (!*piece_) return out + "<" + std::string(name(piece_->error().code())) + ">";
      out += (*piece_)->bytes;
      if ((*piece_)->last) return out + "|";
    }
  }

  test::MemoryPeer peer_;
  test::HandRunner runner_;
  std::unique_ptr<net::Transport> transport_ = peer_.transport();
  Arena arena_;
  Buffer input_;
  std::optional<BodyReader> reader_;
  std::optional<Result<Piece>> piece_;
};

TEST_F(H1BodyReader, ReadsWhatIsBufferedBeforeTheTransport) {
  input_.append("abc");
  open(Framing::length, 5);
  peer_.send("de");
  EXPECT_EQ(all(), "abcde|");
}

TEST_F(H1BodyReader, LeavesWhatLiesBehindTheEnd) {
  input_.append("abcNEXT");
  open(Framing::length, 3);
  EXPECT_EQ(all(), "abc|");
  reader_->release_view();
  EXPECT_EQ(input_.held(), "NEXT");
}

TEST_F(H1BodyReader, GivesTheMemoryOfAPieceBackWhenItIsReleased) {
  open(Framing::length, 10'000);
  peer_.send(std::string(10'000, 'x'));
  EXPECT_EQ(all().size(), 10'001U);
  reader_->release();
  EXPECT_EQ(input_.capacity(), 0U);
}

TEST_F(H1BodyReader, WhatLiesBehindAReleasedPieceStays) {
  input_.append("abcNEXT");
  open(Framing::length, 3);
  EXPECT_EQ(all(), "abc|");
  reader_->release();
  EXPECT_EQ(input_.held(), "NEXT");
}

TEST_F(H1BodyReader, ReadsNoFurtherThanTheEndOfAKnownLength) {
  open(Framing::length, 10'000);
  peer_.send(std::string(10'000, 'x') + "NEXT");
  EXPECT_EQ(all(), std::string(10'000, 'x') + "|");
  reader_->release_view();
  EXPECT_EQ(input_.size() + peer_.unread(), 4U);
}

TEST_F(H1BodyReader, LeavesTheNextMessageBehindALastChunk) {
  input_.append("3\r\nabc\r\n0\r\n\r\nNEXT");
  open(Framing::chunked);
  EXPECT_EQ(all(), "abc|");
  reader_->release_view();
  EXPECT_EQ(input_.held(), "NEXT");
}

TEST_F(H1BodyReader, AnEndThatIsAtHandComesWithTheLastBytes) {
  input_.append("3\r\nabc\r\n0\r\n\r\n");
  open(Framing::chunked);
  start();
  ASSERT_TRUE(piece_ && *piece_);
  EXPECT_EQ((*piece_)->bytes, "abc");
  EXPECT_TRUE((*piece_)->last);
}

TEST_F(H1BodyReader, ReadsChunksThatComeByteByByte) {
  open(Framing::chunked);
  peer_.limit_calls(1);
  peer_.send("3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 7\r\n\r\n");
  EXPECT_EQ(all(), "abcde|");
  ASSERT_NE(reader_->trailers(), nullptr);
  EXPECT_EQ(reader_->trailers()->get("X-Sum"), "7");
}

TEST_F(H1BodyReader, HasNoTrailersWhereNoneCame) {
  input_.append("0\r\n\r\n");
  open(Framing::chunked);
  EXPECT_EQ(all(), "|");
  EXPECT_EQ(reader_->trailers(), nullptr);
}

TEST_F(H1BodyReader, AnEmptyLengthIsAtItsEndAtOnce) {
  open(Framing::length, 0);
  EXPECT_TRUE(reader_->done());
  EXPECT_TRUE(reader_->ready());
  EXPECT_EQ(all(), "|");
}

TEST_F(H1BodyReader, AnEndWithinALengthIsTheClientsOrTheServersFailure) {
  open(Framing::length, 5);
  peer_.send("abc");
  peer_.end();
  EXPECT_EQ(all(), "abc<client_gone>");
  EXPECT_EQ(piece_->error().side(), Side::downstream);
  open(Framing::length, 5, Kind::response);
  EXPECT_EQ(all(), "<end_of_stream>");
  EXPECT_EQ(piece_->error().side(), Side::upstream);
}

TEST_F(H1BodyReader, AnEndWithinChunksIsAFailure) {
  open(Framing::chunked, 0, Kind::response);
  peer_.send("3\r\nabc\r\n");
  peer_.end();
  EXPECT_EQ(all(), "abc<end_of_stream>");
}

TEST_F(H1BodyReader, ABadChunkIsMalformed) {
  open(Framing::chunked);
  peer_.send("3\r\nabc\r\nzz\r\n");
  const std::string got = all();
  EXPECT_TRUE(got.ends_with("<malformed_request>")) << got;
}

TEST_F(H1BodyReader, TheEndOfTheConnectionEndsABodyWithoutALength) {
  open(Framing::until_close, 0, Kind::response);
  peer_.send("abc");
  peer_.end();
  EXPECT_EQ(all(), "abc|");
}

TEST_F(H1BodyReader, AResetIsNoEndOfABodyWithoutALength) {
  open(Framing::until_close, 0, Kind::response);
  peer_.send("abc");
  start();
  peer_.reset();
  EXPECT_EQ(all(), "<reset>");
}

TEST_F(H1BodyReader, IsReadyWhenBytesOfTheBodyAreBuffered) {
  open(Framing::length, 6);
  EXPECT_FALSE(reader_->ready());
  input_.append("abc");
  EXPECT_TRUE(reader_->ready());
  start();
  EXPECT_FALSE(reader_->ready()) << "what is being viewed is no input any more";
  input_.append("d");
  EXPECT_TRUE(reader_->ready());
}

TEST_F(H1BodyReader, FramingWithoutBytesBehindItIsNothingToSend) {
  open(Framing::chunked);
  input_.append("5\r\nhello\r\n5");
  EXPECT_TRUE(reader_->ready());
  start();
  ASSERT_TRUE(piece_ && *piece_);
  EXPECT_EQ((*piece_)->bytes, "hello");
  EXPECT_FALSE(reader_->ready()) << "a reader would wait";
  input_.append("\r\n");
  EXPECT_FALSE(reader_->ready());
  input_.append("w");
  EXPECT_TRUE(reader_->ready());
}

TEST_F(H1BodyReader, TheEndOfAChunkedBodyIsReadyWhenAllOfItIsThere) {
  open(Framing::chunked);
  input_.append("0\r\nX: 1\r\n");
  EXPECT_FALSE(reader_->ready());
  input_.append("\r\n");
  EXPECT_TRUE(reader_->ready());
}

TEST_F(H1BodyReader, ReadsNothingUnlessAsked) {
  open(Framing::until_close);
  peer_.send(std::string(1'000'000, 'x'));
  runner_.settle();
  EXPECT_EQ(peer_.reads(), 0U);
  start();
  EXPECT_EQ(peer_.reads(), 1U);
  EXPECT_GE(peer_.unread(), 1'000'000U - limits::kStreamRead);
}

TEST_F(H1BodyReader, HoldsOnlySoMuchOfALongBody) {
  open(Framing::until_close);
  peer_.send(std::string(10'000'000, 'x'));
  peer_.end();
  EXPECT_EQ(all().size(), 10'000'001U);
  EXPECT_LE(input_.capacity(), 2 * limits::kStreamRead);
}

// What thousands of slow clients leave here is bounded by the smaller size.
TEST_F(H1BodyReader, OnlySoManyBodiesAreReadInLargePieces) {
  std::vector<LargeReads> others(limits::kLargeReads);
  for (LargeReads& other : others) ASSERT_TRUE(other.allowed());
  open(Framing::length, 1'000'000);
  peer_.send(std::string(1'000'000, 'x'));
  start();
  ASSERT_TRUE(piece_ && *piece_);
  EXPECT_EQ((*piece_)->bytes.size(), limits::kGather);
  EXPECT_LE(input_.capacity(), limits::kGather);
  others.clear();
  start();
  EXPECT_GE((*piece_)->bytes.size(), limits::kStreamRead - limits::kGather);
}

TEST_F(H1BodyReader, ABodyGivesItsLeaveForLargePiecesBack) {
  std::vector<LargeReads> others(limits::kLargeReads - 1);
  for (LargeReads& other : others) ASSERT_TRUE(other.allowed());
  open(Framing::length, 1'000'000);
  peer_.send(std::string(1'000'000, 'x'));
  start();
  LargeReads next;
  EXPECT_FALSE(next.allowed());
  reader_.reset();
  EXPECT_TRUE(next.allowed());
}

TEST_F(H1BodyReader, StopsAtTheLimitOfBytes) {
  open(Framing::chunked);
  reader_->set_rules({.max_bytes = 5});
  peer_.send("3\r\nabc\r\n");
  start();
  EXPECT_TRUE(piece_ && *piece_);
  peer_.send("3\r\ndef\r\n");
  EXPECT_EQ(all(), "<body_too_large>");
}

TEST_F(H1BodyReader, TakesABodyOfExactlyTheLimit) {
  open(Framing::chunked);
  reader_->set_rules({.max_bytes = 5});
  peer_.send("5\r\nabcde\r\n0\r\n\r\n");
  EXPECT_EQ(all(), "abcde|");
}

TEST_F(H1BodyReader, GivesUpWhenNothingComesForTheStallTime) {
  open(Framing::length, 10);
  reader_->set_rules({.stall = seconds(30), .stall_code = Code::body_timeout});
  start();
  runner_.pass(seconds(29));
  EXPECT_FALSE(piece_);
  peer_.send("a");
  runner_.settle();
  EXPECT_TRUE(piece_ && *piece_);
  start();
  runner_.pass(seconds(29));
  EXPECT_FALSE(piece_) << "each byte gives the peer its time again";
  runner_.pass(seconds(1));
  ASSERT_TRUE(piece_);
  EXPECT_EQ(piece_->error().code(), Code::body_timeout);
}

TEST_F(H1BodyReader, GivesUpWhenItHasNoRoomToReadForTheStallTime) {
  open(Framing::length, 10);
  reader_->set_rules({.stall = seconds(30), .stall_code = Code::body_timeout});
  peer_.read_with_room();
  peer_.take_only(0);
  peer_.send("a");
  start();
  runner_.pass(seconds(29));
  EXPECT_FALSE(piece_);
  runner_.pass(seconds(1));
  ASSERT_TRUE(piece_);
  EXPECT_EQ(piece_->error().code(), Code::body_timeout);
}

TEST_F(H1BodyReader, TimeThatTheReaderTakesIsNotThePeers) {
  open(Framing::length, 10);
  reader_->set_rules({.stall = seconds(30), .stall_code = Code::body_timeout, .min_rate = 1000});
  peer_.send("a");
  start();
  runner_.pass(seconds(3600));
  peer_.send("bcdefghij");
  EXPECT_EQ(all(), "bcdefghij|");
}

TEST_F(H1BodyReader, GivesUpABodyThatComesSlowerThanTheRate) {
  open(Framing::length, 10'000);
  reader_->set_rules({.stall = seconds(30), .min_rate = 100});
  for (int i = 0; i < 9; ++i) {
    start();
    EXPECT_FALSE(piece_);
    runner_.pass(seconds(1));
    peer_.send("x");
    runner_.settle();
    ASSERT_TRUE(piece_ && *piece_) << "within the time of grace, second " << i;
  }
  start();
  runner_.pass(seconds(2));
  peer_.send("x");
  runner_.settle();
  ASSERT_TRUE(piece_);
  ASSERT_FALSE(*piece_);
  EXPECT_EQ(piece_->error().code(), Code::body_too_slow);
}

TEST_F(H1BodyReader, ATunnelTakesEveryByteUntilTheEnd) {
  open(Framing::none);
  input_.append("ab");
  reader_->become_tunnel();
  peer_.send("cd");
  peer_.end();
  EXPECT_EQ(all(), "abcd|");
}

TEST_F(H1BodyReader, SaysHowMuchIsLeftWhereThatIsKnown) {
  open(Framing::length, 10);
  EXPECT_EQ(reader_->left(), 10U);
  peer_.send("abc");
  start();
  EXPECT_EQ(reader_->left(), 7U);
  EXPECT_EQ(reader_->received(), 3U);
  open(Framing::chunked);
  EXPECT_FALSE(reader_->left());
}

TEST_F(H1BodyReader, EndsWithTheReasonOfItsScope) {
  open(Framing::length, 10);
  start();
  runner_.cancel(Code::client_gone);
  ASSERT_TRUE(piece_);
  EXPECT_EQ(piece_->error().code(), Code::client_gone);
}

}  // namespace
}  // namespace revproxyd::http::h1

#include "http/h1/message_writer.h"

#include <string>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tests/support/hand_runner.h"
#include "tests/support/memory_transport.h"

namespace revproxyd::http::h1 {
namespace {

class H1MessageWriter : public ::testing::Test {
 protected:
  void TearDown() override { runner_.stop(); }
  H1MessageWriter()
      : transport_(peer_.transport()),
        writer_(*transport_, Side::downstream),
        message_(out_, writer_) {}

  void begin(Framing framing, std::uint64_t bytes = 0) {
    out_.append("HEAD\r\n\r\n");
    message_.begin({framing, bytes});
  }
  Result<void> send(std::string_view text, bool last) {
    return runner_.run(message_.send(Piece(text, last)));
  }
  Result<void> flush() { return runner_.run(message_.flush()); }

  test::MemoryPeer peer_;
  test::HandRunner runner_;
  std::unique_ptr<net::Transport> transport_;
  Buffer out_;
  Writer writer_;
  MessageWriter message_;
};

TEST_F(H1MessageWriter, WritesHeadAndBodyOfKnownLengthAtOnce) {
  begin(Framing::length, 5);
  ASSERT_TRUE(send("hello", true));
  EXPECT_EQ(peer_.received(), "HEAD\r\n\r\nhello");
  EXPECT_EQ(peer_.writes(), 1U);
  EXPECT_TRUE(message_.complete());
  EXPECT_EQ(message_.body_bytes(), 5U);
}

TEST_F(H1MessageWriter, WritesALargeLastPieceWithoutCopyingItInOneWriteWithHeadAndEnd) {
  begin(Framing::chunked);
  const std::string large(100'000, 'x');
  ASSERT_TRUE(send(large, true));
  EXPECT_EQ(peer_.writes(), 1U);
  EXPECT_EQ(peer_.received(), "HEAD\r\n\r\n186a0\r\n" + large + "\r\n0\r\n\r\n");
  EXPECT_LT(out_.capacity(), large.size());
}

TEST_F(H1MessageWriter, GathersSmallPiecesUntilTheyAreFlushed) {
  begin(Framing::length, 6);
  ASSERT_TRUE(send("ab", false));
  ASSERT_TRUE(send("cd", false));
  EXPECT_EQ(peer_.received(), "");
  ASSERT_TRUE(flush());
  EXPECT_EQ(peer_.received(), "HEAD\r\n\r\nabcd");
  EXPECT_FALSE(message_.complete());
  ASSERT_TRUE(send("ef", true));
  EXPECT_EQ(peer_.received(), "HEAD\r\n\r\nabcdef");
  EXPECT_EQ(peer_.writes(), 2U);
}

TEST_F(H1MessageWriter, GathersNoMoreThanItsLimit) {
  begin(Framing::chunked);
  const std::string piece(1000, 'x');
  for (std::size_t sent = 0; sent <= limits::kGather; sent += piece.size()) {
    ASSERT_TRUE(send(piece, false));
    EXPECT_LE(out_.size(), limits::kGather + 16);
  }
  EXPECT_GT(peer_.received().size(), 0U);
}

TEST_F(H1MessageWriter, FlushWithoutAnythingStagedWritesNothing) {
  begin(Framing::length, 1);
  ASSERT_TRUE(flush());
  ASSERT_TRUE(flush());
  EXPECT_EQ(peer_.writes(), 1U);
}

TEST_F(H1MessageWriter, AnEmptyPieceIsNoChunk) {
  begin(Framing::chunked);
  ASSERT_TRUE(send("", false));
  ASSERT_TRUE(flush());
  EXPECT_EQ(peer_.received(), "HEAD\r\n\r\n");
  ASSERT_TRUE(send("", true));
  EXPECT_EQ(peer_.received(), "HEAD\r\n\r\n0\r\n\r\n");
}

TEST_F(H1MessageWriter, WritesTrailersBehindTheLastChunk) {
  begin(Framing::chunked);
  ASSERT_TRUE(send("ab", false));
  Arena arena;
  Fields trailers(arena);
  trailers.add("X-Sum", "7");
  ASSERT_TRUE(runner_.run(message_.finish(trailers)));
  EXPECT_EQ(peer_.received(), "HEAD\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 7\r\n\r\n");
  EXPECT_TRUE(message_.complete());
}

TEST_F(H1MessageWriter, DropsTrailersThatTheFramingCannotCarry) {
  begin(Framing::length, 2);
  ASSERT_TRUE(send("ab", false));
  Arena arena;
  Fields trailers(arena);
  trailers.add("X-Sum", "7");
  ASSERT_TRUE(runner_.run(message_.finish(trailers)));
  EXPECT_EQ(peer_.received(), "HEAD\r\n\r\nab");
}

TEST_F(H1MessageWriter, RefusesABodyThatIsLongerThanAnnounced) {
  begin(Framing::length, 3);
  const auto sent = send("four", true);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code(), Code::internal);
  EXPECT_FALSE(message_.complete());
  EXPECT_EQ(peer_.received(), "");
  EXPECT_EQ(message_.body_bytes(), 0U);
}

TEST_F(H1MessageWriter, RefusesABodyThatEndsShort) {
  begin(Framing::length, 3);
  EXPECT_FALSE(send("ab", true));
  EXPECT_FALSE(message_.complete());
}

TEST_F(H1MessageWriter, RefusesTrailersBehindABodyThatEndsShort) {
  begin(Framing::length, 3);
  Arena arena;
  const Fields none(arena);
  EXPECT_FALSE(runner_.run(message_.finish(none)));
  EXPECT_FALSE(message_.complete());
}

TEST_F(H1MessageWriter, DropsTheBodyOfAMessageThatHasNone) {
  begin(Framing::none);
  ASSERT_TRUE(send("body of an answer to HEAD", true));
  EXPECT_EQ(peer_.received(), "HEAD\r\n\r\n");
  EXPECT_TRUE(message_.complete());
}

TEST_F(H1MessageWriter, WaitsForAPeerThatTakesNothing) {
  begin(Framing::length, 10);
  peer_.take_only(9);
  std::optional<Result<void>> sent;
  runner_.start(message_.send(Piece("0123456789", true)), sent);
  EXPECT_FALSE(sent);
  EXPECT_EQ(peer_.received(), "HEAD\r\n\r\n0");
  for (int i = 0; i < 9; ++i) {
    EXPECT_FALSE(sent);
    peer_.take_more(1);
    runner_.settle();
  }
  ASSERT_TRUE(sent && *sent);
  EXPECT_EQ(peer_.received(), "HEAD\r\n\r\n0123456789");
}

TEST_F(H1MessageWriter, ReportsAWriteThatFails) {
  begin(Framing::length, 1);
  peer_.refuse_writes();
  const auto sent = send("x", true);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code(), Code::reset);
  EXPECT_EQ(sent.error().side(), Side::downstream);
  EXPECT_FALSE(message_.complete());
}

TEST_F(H1MessageWriter, CountsOfABodyThatIsCutWhatWasTaken) {
  for (const Framing framing : {Framing::length, Framing::chunked}) {
    const std::string_view size_line = framing == Framing::chunked ? "2710\r\n" : "";
    test::MemoryPeer peer;
    const auto transport = peer.transport();
    Buffer out;
    Writer writer(*transport, Side::downstream);
    MessageWriter message(out, writer);
    out.append("HEAD\r\n\r\n");
    message.begin({framing, 10'000});
    peer.take_only(8 + size_line.size() + 4000);
    const std::string body(10'000, 'x');
    std::optional<Result<void>> sent;
    runner_.start(message.send(Piece(body, true)), sent);
    EXPECT_FALSE(sent);
    peer.reset();
    runner_.settle();
    ASSERT_TRUE(sent);
    EXPECT_FALSE(*sent);
    EXPECT_EQ(message.body_bytes(), 4000U);
  }
}

TEST_F(H1MessageWriter, CountsOfStagedPiecesThatAreCutWhatWasTaken) {
  begin(Framing::length, 6);
  ASSERT_TRUE(send("ab", false));
  ASSERT_TRUE(send("cd", false));
  peer_.take_only(8 + 3);
  std::optional<Result<void>> flushed;
  runner_.start(message_.flush(), flushed);
  peer_.reset();
  runner_.settle();
  ASSERT_TRUE(flushed);
  EXPECT_FALSE(*flushed);
  EXPECT_EQ(message_.body_bytes(), 3U);
}

TEST_F(H1MessageWriter, CountsNothingWhereNothingWasTaken) {
  begin(Framing::length, 4);
  ASSERT_TRUE(send("ab", false));
  peer_.refuse_writes();
  EXPECT_FALSE(send("cd", true));
  EXPECT_EQ(message_.body_bytes(), 0U);
}

TEST_F(H1MessageWriter, APeerThatTakesLessThanTheRateIsGivenUp) {
  writer_.set_rules({{.stall = std::chrono::seconds(30), .min_rate = 100}});
  begin(Framing::length, 100'000);
  peer_.take_only(1);
  const std::string body(100'000, 'x');
  std::optional<Result<void>> sent;
  runner_.start(message_.send(Piece(body, true)), sent);
  for (int i = 0; i < 9; ++i) {
    runner_.pass(std::chrono::seconds(1));
    ASSERT_FALSE(sent) << "within the time of grace";
    peer_.take_more(1);
    runner_.settle();
  }
  runner_.pass(std::chrono::seconds(2));
  peer_.take_more(1);
  runner_.settle();
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->error().code(), Code::body_too_slow);
}

}  // namespace
}  // namespace revproxyd::http::h1

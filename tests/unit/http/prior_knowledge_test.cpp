#include "http/prior_knowledge.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tests/support/h2_frames.h"
#include "tests/support/hand_runner.h"
#include "tests/support/memory_transport.h"

namespace revproxyd::http {
namespace {

namespace frames = revproxyd::testing::h2;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A connection without TLS whose version the first bytes decide.
class PriorKnowledge : public ::testing::Test {
 protected:
  void TearDown() override {
    runner_.stop();
    next_.reset();
  }
  void open(const ServerConnectionSettings& settings = {}) {
    connection_ = open_server_connection(peer_.transport(), "", settings, runner_.scope());
    runner_.start(connection_->next_stream(), next_);
  }
  void send(std::string_view bytes) {
    peer_.send(bytes);
    runner_.settle();
  }
  /// The version of the request that has come; nothing when none has.
  std::optional<Version> version() {
    if (!next_ || !next_->has_stream()) return std::nullopt;
    return next_->take()->take_request().head.version;
  }
  bool failed_with(Code code) const {
    return next_ && next_->failed() && next_->error().code() == code;
  }
  bool drained() const { return next_ && !next_->has_stream() && !next_->failed(); }
  /// The request that has come is answered for its slowness.
  bool is_late() {
    if (!next_ || !next_->has_stream()) return false;
    const auto stream = next_->take();
    return stream->refusal() && stream->refusal()->code() == Code::header_timeout;
  }
  /// All of the time for a head passes; shortly before its end so much is sent.
  void wait_with(std::string_view bytes) {
    ServerConnectionSettings settings;
    settings.header = Duration(1000);
    open(settings);
    runner_.pass(Duration(800));
    send(bytes);
    runner_.pass(Duration(150));
    EXPECT_FALSE(next_);
    runner_.pass(Duration(100));
  }
  static std::string get_over_http2() {
    return std::string(frames::kPreface) + frames::settings() +
           frames::headers(
               1, {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a"}},
               frames::kEndHeaders | frames::kEndStream);
  }

  test::MemoryPeer peer_;
  test::HandRunner runner_;
  std::optional<Next> next_;
  std::unique_ptr<ServerConnection> connection_;
};

TEST_F(PriorKnowledge, IsThePrefaceOfHttp2) {
  open();
  send(get_over_http2());
  EXPECT_EQ(version(), Version::http2);
}

TEST_F(PriorKnowledge, ComesByteByByteToo) {
  open();
  for (const char& byte : get_over_http2()) {
    EXPECT_FALSE(next_);
    send({&byte, 1});
  }
  EXPECT_EQ(version(), Version::http2);
}

TEST_F(PriorKnowledge, IsMissingWhereAnythingElseComes) {
  open();
  send(kGet);
  EXPECT_EQ(version(), Version::http11);
}

// The beginning is that of the preface, and of a request with the method PR.
TEST_F(PriorKnowledge, MayDifferFromARequestInItsLastBytes) {
  open();
  send("PR");
  send(" / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(version(), Version::http11);
}

TEST_F(PriorKnowledge, IsNotLookedForWithoutHttp2) {
  ServerConnectionSettings settings;
  settings.http2 = false;
  open(settings);
  send(get_over_http2());
  ASSERT_TRUE(next_ && next_->has_stream());
  const auto stream = next_->take();
  ASSERT_TRUE(stream->refusal());
  EXPECT_EQ(stream->refusal()->code(), Code::unsupported_version);
}

TEST_F(PriorKnowledge, IsNotNeededWithoutHttp11) {
  ServerConnectionSettings settings;
  settings.http1 = false;
  open(settings);
  send(kGet);
  EXPECT_TRUE(failed_with(Code::protocol_error));
}

TEST_F(PriorKnowledge, ThatIsCutIsARequestThatIsCut) {
  open();
  send("PRI * HT");
  peer_.end();
  runner_.settle();
  EXPECT_FALSE(version());
  EXPECT_TRUE(next_) << "it still waits";
}

TEST_F(PriorKnowledge, OfAClientThatIsCutOffIsAFailure) {
  open();
  send("PRI");
  peer_.reset();
  runner_.settle();
  EXPECT_TRUE(failed_with(Code::reset));
}

TEST_F(PriorKnowledge, IsWaitedForAsLongAsForAHead) {
  wait_with("");
  EXPECT_TRUE(drained());
}

// As where HTTP/1 alone is spoken.
TEST_F(PriorKnowledge, ThatHasOnlyBegunInTimeIsALateHead) {
  wait_with("P");
  EXPECT_TRUE(is_late());
}

TEST_F(PriorKnowledge, LeavesTheRestOfTheTimeForAHeadOfHttp1) {
  wait_with("GET / HTTP/1.1\r\n");
  EXPECT_TRUE(is_late());
}

TEST_F(PriorKnowledge, LeavesTheRestOfTheTimeForAHeadOfHttp2) {
  wait_with(std::string(frames::kPreface) + frames::settings() +
            frames::headers(1, {{":method", "GET"}}, frames::kEndStream));
  EXPECT_TRUE(is_late());
}

TEST_F(PriorKnowledge, OfAConnectionThatDrainsLeavesItsShortTimeForTheHead) {
  open();
  connection_->drain();
  send("GET / HTTP/1.1\r\n");
  runner_.pass(limits::kDrainTime - Duration(100));
  EXPECT_FALSE(next_);
  runner_.pass(Duration(200));
  EXPECT_TRUE(is_late());
}

TEST_F(PriorKnowledge, IsNotWaitedForOnceAllIsCancelled) {
  open();
  runner_.cancel(Code::shutdown);
  EXPECT_TRUE(failed_with(Code::shutdown));
}

TEST_F(PriorKnowledge, IsTakenWhileTheConnectionDrains) {
  open();
  connection_->drain();
  send(get_over_http2());
  EXPECT_EQ(version(), Version::http2);
}

}  // namespace
}  // namespace revproxyd::http

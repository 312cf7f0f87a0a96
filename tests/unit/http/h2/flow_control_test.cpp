// Windows in both directions (RFC 9113 section 5.2), through whole connections.

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/http/h2/server_fixture.h"

namespace revproxyd::http::h2 {
namespace {

namespace frames = revproxyd::testing::h2;
using std::chrono::seconds;

const std::size_t kStreamWindow = SessionSettings().stream_window;
const std::size_t kConnectionWindow = SessionSettings().connection_window;

class H2FlowControl : public testing::ServerConnectionTest {
 protected:
  /// Sends what the windows permit, at most `most` bytes; how much that was.
  std::size_t fill(std::uint32_t id, std::size_t most) {
    std::size_t sent = 0;
    while (sent < most && state_.window(id) != 0) {
      const std::size_t size =
          std::min({most - sent, state_.window(id), frames::kDefaultFrameSize});
      send(frames::data(id, std::string(size, 'x')));
      state_.spend(id, size);
      sent += size;
    }
    return sent;
  }
  std::size_t read_some(Body& body) {
    const auto piece = runner_.run(body.read());
    return piece ? piece->bytes.size() : 0;
  }
};

TEST_F(H2FlowControl, AStreamMaySendAsMuchAsItsWindowIsWide) {
  open();
  auto stream = next_stream_of(post(1));
  EXPECT_EQ(fill(1, 1'000'000), kStreamWindow);
}

TEST_F(H2FlowControl, AStreamGetsItsWindowBackWhenItsBytesAreRead) {
  open();
  auto stream = next_stream_of(post(1));
  const Request request = stream->take_request();
  fill(1, kStreamWindow);
  pass(seconds(60));
  ASSERT_EQ(state_.window(1), 0U);
  EXPECT_EQ(read_some(*request.body), kStreamWindow);
  std::optional<Result<Piece>> more;
  runner_.start(request.body->read(), more);
  settle();
  EXPECT_GE(state_.window(1), kStreamWindow);
  EXPECT_FALSE(more);
  runner_.stop();
}

TEST_F(H2FlowControl, BytesInHandAreNotReadYet) {
  open();
  auto stream = next_stream_of(post(1));
  const Request request = stream->take_request();
  fill(1, kStreamWindow);
  read_some(*request.body);
  settle();
  EXPECT_EQ(state_.window(1), 0U);
}

TEST_F(H2FlowControl, ASlowStreamDoesNotHoldItsSibling) {
  open();
  auto slow = next_stream_of(post(1));
  auto quick = next_stream_of(post(3));
  const Request request = quick->take_request();
  ASSERT_EQ(fill(1, kStreamWindow), kStreamWindow);
  for (std::size_t total = 0; total < 4 * kConnectionWindow;) {
    const std::size_t sent = fill(3, kStreamWindow);
    ASSERT_NE(sent, 0U) << "after " << total;
    total += sent;
    ASSERT_EQ(read_some(*request.body), sent);
    std::optional<Result<Piece>> more;
    runner_.start(request.body->read(), more);
    settle();
    send(frames::data(3, "y"));
    state_.spend(3, 1);
    ASSERT_TRUE(more);
  }
}

TEST_F(H2FlowControl, WhatWaitsForReadersIsBounded) {
  open();
  std::vector<std::unique_ptr<http::ServerStream>> streams;
  std::size_t total = 0;
  for (std::uint32_t id = 1; streams.size() < 60; id += 2) {
    streams.push_back(next_stream_of(post(id)));
    total += fill(id, kStreamWindow);
  }
  EXPECT_GE(total, kConnectionWindow);
  EXPECT_LE(total, 2 * kConnectionWindow);
}

TEST_F(H2FlowControl, AStreamThatIsGivenUpGivesTheConnectionItsWindowBack) {
  open();
  std::vector<std::unique_ptr<http::ServerStream>> streams;
  for (std::uint32_t id = 1; streams.size() < 60; id += 2) {
    streams.push_back(next_stream_of(post(id)));
    fill(id, kStreamWindow);
  }
  auto last = next_stream_of(post(999));
  ASSERT_EQ(state_.window(999), 0U);
  streams.clear();
  settle();
  EXPECT_EQ(state_.window(999), kStreamWindow);
}

// RFC 9113 section 6.1: padding counts towards the window, and nobody reads it.
TEST_F(H2FlowControl, PaddingIsGivenBackByItself) {
  open();
  auto stream = next_stream_of(post(1));
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_GE(state_.window(1), 256U) << i;
    send(frames::data(1, "", false, 255));
    state_.spend(1, 256);
    if (state_.goaway()) break;
  }
  EXPECT_FALSE(stream->scope().cancelled());
}

class H2FlowControlOut : public H2FlowControl {
 protected:
  void stage(http::ServerStream& stream) {
    stream.stage_head(head_of(200, stream, {Framing::chunked, 0}));
  }
};

TEST_F(H2FlowControlOut, SendsNoMoreThanTheClientLets) {
  open({}, {{frames::kInitialWindowSize, 10}});
  auto stream = next_stream_of(get(1));
  stage(*stream);
  const std::string text(25, 'x');
  std::optional<Result<void>> sent;
  runner_.start(stream->send_body(Piece(text, true)), sent);
  runner_.settle();
  std::string seen = peer_.received();
  std::size_t bytes = 0;
  while (auto frame = frames::cut_frame(seen))
    bytes += frame->type == frames::kData ? frame->payload.size() : 0;
  EXPECT_EQ(bytes, 10U);
  EXPECT_FALSE(sent);
  settle();
  ASSERT_TRUE(sent);
  EXPECT_EQ(message(1).body, text);
}

class H2FlowControlOfMuteClient : public testing::ServerConnectionTest {
 protected:
  H2FlowControlOfMuteClient() : ServerConnectionTest({.answer = true, .give_window = false}) {}
  void open_narrow() {
    ServerConnectionSettings settings;
    settings.write = seconds(5);
    open(settings, {{frames::kInitialWindowSize, 10}});
  }
  void start(http::ServerStream& stream, std::string_view text) {
    stream.stage_head(head_of(200, stream, {Framing::chunked, 0}));
    runner_.start(stream.send_body(Piece(text, true)), sent_);
    settle();
  }
  std::optional<Result<void>> sent_;
};

TEST_F(H2FlowControlOfMuteClient, GoesOnWhenTheWindowOpens) {
  open_narrow();
  auto stream = next_stream_of(get(1));
  start(*stream, "0123456789abcde");
  EXPECT_EQ(message(1).body, "0123456789");
  send(frames::window_update(1, 3));
  EXPECT_EQ(message(1).body, "0123456789abc");
  send(frames::window_update(1, 100));
  EXPECT_EQ(message(1).body, "0123456789abcde");
  EXPECT_TRUE(message(1).ended);
  EXPECT_TRUE(sent_ && *sent_);
}

// RFC 9113 section 6.9.1: an empty frame that ends the stream needs no window.
TEST_F(H2FlowControlOfMuteClient, EndsAnAnswerThatFillsTheWindow) {
  open_narrow();
  auto stream = next_stream_of(get(1));
  stream->stage_head(head_of(200, *stream, {Framing::chunked, 0}));
  ASSERT_TRUE(runner_.run(stream->send_body(Piece("0123456789", false))));
  runner_.start(stream->send_body(Piece({}, true)), sent_);
  settle();
  EXPECT_TRUE(sent_ && *sent_);
  EXPECT_EQ(message(1).body, "0123456789");
  EXPECT_TRUE(message(1).ended);
  EXPECT_EQ(state_.frames(frames::kData), 2U);
  EXPECT_EQ(state_.frames(frames::kHeaders), 1U);
  stream.reset();
  send(frames::window_update(1, 10));
  answer(next_stream_of(get(3)), "0123456789");
  EXPECT_TRUE(message(3).ended);
  EXPECT_FALSE(message(1).reset);
}

TEST_F(H2FlowControlOfMuteClient, EndsAnEarlyAnswerThatFillsTheWindow) {
  open_narrow();
  auto stream = next_stream_of(post(1));
  stream->stage_head(head_of(200, *stream, {Framing::chunked, 0}));
  ASSERT_TRUE(runner_.run(stream->send_body(Piece("0123456789", false))));
  runner_.start(stream->send_body(Piece({}, true)), sent_);
  settle();
  EXPECT_TRUE(message(1).ended);
  send(frames::window_update(1, 10));
  stream.reset();
  settle();
  EXPECT_EQ(message(1).body, "0123456789");
  EXPECT_EQ(reset_code(1), frames::kNoError) << "the rest of the request is not wanted";
}

TEST_F(H2FlowControlOfMuteClient, EndsAnAnswerWithoutContentInAClosedWindow) {
  open({}, {{frames::kInitialWindowSize, 0}});
  auto stream = next_stream_of(get(1));
  start(*stream, {});
  EXPECT_TRUE(sent_ && *sent_);
  EXPECT_TRUE(message(1).ended);
  EXPECT_EQ(state_.frames(frames::kHeaders), 1U);
}

TEST_F(H2FlowControlOfMuteClient, GivesAStreamUpWhoseWindowStaysClosed) {
  open_narrow();
  auto stream = next_stream_of(get(1));
  start(*stream, "0123456789abcde");
  pass(seconds(4));
  EXPECT_FALSE(sent_);
  pass(seconds(1));
  ASSERT_TRUE(sent_);
  ASSERT_FALSE(*sent_);
  EXPECT_EQ(sent_->error().code(), Code::write_timeout);
  stream->reset(sent_->error().code());
  stream.reset();
  settle();
  EXPECT_FALSE(message(1).ended);
  EXPECT_TRUE(reset_code(1));
}

TEST_F(H2FlowControlOfMuteClient, AClosedWindowDoesNotHoldOthers) {
  open_narrow();
  auto held = next_stream_of(get(1));
  start(*held, "0123456789abcde");
  answer(next_stream_of(get(3)), "0123456789");
  EXPECT_TRUE(message(3).ended);
  EXPECT_FALSE(message(1).ended);
  runner_.stop();
}

TEST_F(H2FlowControlOfMuteClient, TrailersNeedNoWindow) {
  open({}, {{frames::kInitialWindowSize, 0}});
  auto stream = next_stream_of(get(1));
  stream->stage_head(head_of(200, *stream, {Framing::chunked, 0}));
  Fields trailers(stream->arena());
  trailers.add("grpc-status", "0");
  EXPECT_TRUE(runner_.run(stream->finish(trailers)));
  settle();
  EXPECT_TRUE(message(1).ended);
  EXPECT_EQ(message(1).trailer("grpc-status"), "0");
}

// RFC 9113 section 6.9.1.
TEST_F(H2FlowControlOfMuteClient, AWindowBeyondItsBoundsIsAnError) {
  open();
  auto stream = next_stream_of(get(1));
  send(frames::window_update(1, 0x7fffffff));
  EXPECT_EQ(reset_code(1), frames::kFlowControlError);
  send(frames::window_update(0, 0x7fffffff));
  EXPECT_EQ(goaway_code(), frames::kFlowControlError);
}

// RFC 9113 section 6.9.
TEST_F(H2FlowControl, ASenderThatIgnoresTheWindowIsRefused) {
  open();
  auto stream = next_stream_of(post(1));
  fill(1, kStreamWindow);
  send(frames::data(1, "x"));
  const bool refused =
      reset_code(1) == frames::kFlowControlError || goaway_code() == frames::kFlowControlError;
  EXPECT_TRUE(refused);
}

}  // namespace
}  // namespace revproxyd::http::h2

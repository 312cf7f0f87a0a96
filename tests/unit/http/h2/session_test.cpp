// What a session gives out, without any connection around it.

#include "http/h2/session.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/h2_frames.h"

namespace revproxyd::http::h2 {
namespace {

namespace frames = revproxyd::testing::h2;

constexpr std::size_t kLimit = 47 * 1024;
constexpr std::size_t kBody = 40'000;

/// A request, and a body of its answer that is all there.
class Answer final : public SessionStream {
 public:
  void on_fields_begin() override {}
  void on_field(std::string_view, std::string_view) override { ++told_; }
  void on_fields_end(bool) override { ++told_; }
  void on_body(Bytes) override {}
  void on_body_end() override {}
  void on_malformed(const char*) override {}
  void on_closed(ErrorCode) override {}
  Outgoing take_body(std::size_t most) noexcept override {
    const Bytes piece = Bytes(body_).substr(taken_, most);
    taken_ += piece.size();
    const bool last = taken_ == body_.size();
    return {piece, last, last};
  }
  /// How often it has heard of a field, or of the end of a section.
  int told() const noexcept { return told_; }

 private:
  const std::string body_ = std::string(kBody, 'x');
  std::size_t taken_ = 0;
  int told_ = 0;
};

class H2Session : public ::testing::Test, public SessionOwner {
 protected:
  SessionStream* on_stream_opened(StreamId) override { return &answers_[opened_++]; }
  void on_idle_frame(Idle) override {}
  void on_useful_frame(std::size_t) noexcept override {}
  void on_peer_reset() override {}
  void on_provoked_reset() override {}
  void on_late_request() override {}
  void on_settings() override {}
  void on_ping_answer() override {}
  void on_goaway(StreamId, ErrorCode) override {}

  static std::string content_of(Bytes bytes) {
    std::string rest(bytes);
    std::string content;
    while (const auto frame = frames::cut_frame(rest)) {
      if (frame->type == frames::kData) content += frame->payload;
    }
    EXPECT_TRUE(rest.empty()) << "a frame was cut";
    return content;
  }

  std::array<Answer, 6> answers_;
  std::size_t opened_ = 0;
  Session session_{Session::Role::server, {}, *this};
};

// The contents of many streams at once would need as much memory as all of them have.
TEST_F(H2Session, GivesNoMoreThanTheLimitAndAFrame) {
  std::string requests = std::string(frames::kPreface) +
                         frames::settings({{frames::kInitialWindowSize, kBody}}) +
                         frames::window_update(0, 1U << 20);
  for (std::uint32_t i = 0; i < answers_.size(); ++i)
    requests += frames::headers(
        2 * i + 1, {{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}});
  ASSERT_TRUE(session_.receive(requests));
  ASSERT_EQ(opened_, answers_.size());
  for (std::size_t i = 0; i < answers_.size(); ++i)
    ASSERT_TRUE(session_.submit_response(static_cast<StreamId>(2 * i + 1), {{":status", "200"}},
                                         answers_[i], true));
  std::string sent;
  for (std::size_t calls = 0; session_.wants_write(); ++calls) {
    ASSERT_LT(calls, 100U);
    Buffer out;
    ASSERT_TRUE(session_.produce(out, kLimit));
    EXPECT_LE(out.size(), kLimit + frames::kDefaultFrameSize + kFrameHead);
    sent += out.held();
  }
  EXPECT_EQ(content_of(sent), std::string(answers_.size() * kBody, 'x'));
}

// An exchange may end while a trailer section is still coming, and its stream with it.
TEST_F(H2Session, TellsAStreamThatHasGoneNothingOfTheSectionThatIsComing) {
  const frames::Fields request{
      {":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}};
  ASSERT_TRUE(session_.receive(
      std::string(frames::kPreface) + frames::settings({}) +
      frames::headers(1, request, frames::kEndHeaders) +
      frames::headers_block(1, frames::literals({{"x-a", "1"}}), frames::kEndStream)));
  const int before = answers_[0].told();
  EXPECT_EQ(before, 6) << "four fields, their end, and one of the trailers";
  session_.detach(1);
  ASSERT_TRUE(session_.receive(frames::continuation(1, frames::literals({{"x-b", "2"}}))));
  EXPECT_EQ(answers_[0].told(), before);
}

}  // namespace
}  // namespace revproxyd::http::h2

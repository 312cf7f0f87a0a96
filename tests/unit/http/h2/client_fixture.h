#pragma once
// An HTTP/2 connection to an origin in memory: the test is the origin, frame by frame.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "http/h2/client_connection.h"
#include "http/h2/client_stream.h"
#include "tests/support/h2_state.h"
#include "tests/support/hand_runner.h"
#include "tests/support/memory_transport.h"

namespace revproxyd::http::h2::testing {

namespace frames = revproxyd::testing::h2;

class ClientConnectionTest : public ::testing::Test, private http::ClientConnection::Owner {
 protected:
  ClientConnectionTest() : request_(arena_) {
    request_.method_text = "GET";
    open();
  }
  void TearDown() override { runner_.stop(); }

  void open(const ClientConnectionSettings& settings = {}) {
    connection_ = std::make_unique<ClientConnection>(peer_.transport(), settings, owner());
  }
  http::ClientConnection::Owner& owner() noexcept { return *this; }
  /// The origin's settings come.
  void greet(const frames::Settings& settings = {}) {
    state_.note_sent(settings);
    greeted_ = true;
    send(frames::settings(settings) + std::exchange(held_, {}));
  }
  void send(std::string_view bytes) {
    peer_.send(bytes);
    settle();
  }
  void settle() {
    runner_.settle();
    collect();
  }
  void pass(Duration time) {
    runner_.pass(time);
    collect();
  }

  /// A request without a body, on the wire.
  std::unique_ptr<http::ClientStream> ask(Method method = Method::get,
                                          std::string_view text = "GET") {
    auto stream = begin(method, text, {});
    EXPECT_TRUE(runner_.run(stream->flush()));
    settle();
    return stream;
  }
  /// The head of a request.
  std::unique_ptr<http::ClientStream> begin(Method method, std::string_view text,
                                            BodyLength length) {
    request_.method = method;
    request_.method_text = text;
    request_.length = length;
    auto stream = connection_->open_stream();
    stream->stage_head(request_, "/x", "example");
    return stream;
  }
  static std::string answer_head(std::uint32_t id, const frames::Fields& more = {},
                                 const std::string& status = "200",
                                 std::uint8_t flags = frames::kEndHeaders) {
    frames::Fields all{{":status", status}};
    all.insert(all.end(), more.begin(), more.end());
    return frames::headers(id, all, flags);
  }
  /// A whole answer.
  static std::string answer(std::uint32_t id, std::string_view body = "ok") {
    return answer_head(id) + frames::data(id, body, true);
  }

  Result<ResponseHead> head_of(http::ClientStream& stream) {
    return runner_.run(stream.read_head(arena_));
  }
  Code failure_of(http::ClientStream& stream) {
    const auto head = head_of(stream);
    return head ? Code::none : head.error().code();
  }
  /// What a response on a new stream fails with; stream ids begin with 1.
  Code failure_with(std::string_view response) {
    auto stream = ask();
    send(response);
    return failure_of(*stream);
  }
  std::string read_all(Body& body) {
    std::string out;
    for (;;) {
      const auto piece = runner_.run(body.read());
      if (!piece) return out + "<" + std::string(name(piece.error().code())) + ">";
      out += piece->bytes;
      if (piece->last) return out;
    }
  }
  const revproxyd::testing::H2Message& request(std::uint32_t id) const {
    return state_.message(id);
  }

  test::MemoryPeer peer_;
  test::HandRunner runner_;
  Arena arena_;
  RequestHead request_;
  revproxyd::testing::H2State state_;
  std::vector<frames::Frame> frames_;  // that have come
  int closed_streams_ = 0;
  int idle_inputs_ = 0;
  int more_rooms_ = 0;
  std::unique_ptr<ClientConnection> connection_;

 private:
  void on_stream_closed(http::ClientConnection&) noexcept override { ++closed_streams_; }
  void on_idle_input(http::ClientConnection&) noexcept override { ++idle_inputs_; }
  void on_more_room(http::ClientConnection&) noexcept override { ++more_rooms_; }

  void collect() {
    for (;;) {
      buffer_ += peer_.take_received();
      if (!preface_seen_) {
        if (buffer_.size() < frames::kPreface.size()) return;
        EXPECT_TRUE(buffer_.starts_with(frames::kPreface));
        buffer_.erase(0, frames::kPreface.size());
        preface_seen_ = true;
      }
      std::string answers;
      while (auto frame = frames::cut_frame(buffer_)) {
        answers += state_.take(*frame);
        frames_.push_back(std::move(*frame));
      }
      // A server's settings are the first that it says (RFC 9113 section 3.4).
      if (!greeted_) held_ += std::exchange(answers, {});
      if (answers.empty()) return;
      peer_.send(answers);
      runner_.settle();
    }
  }

  std::string buffer_;
  std::string held_;  // answers, until the settings have been sent
  bool preface_seen_ = false;
  bool greeted_ = false;
};

}  // namespace revproxyd::http::h2::testing

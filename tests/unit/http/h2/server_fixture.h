#pragma once
// An HTTP/2 client connection in memory: the test is the client, frame by frame.

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "http/h2/server_connection.h"
#include "http/h2/server_stream.h"
#include "tests/support/h2_state.h"
#include "tests/support/hand_runner.h"
#include "tests/support/memory_transport.h"

namespace revproxyd::http::h2::testing {

namespace frames = revproxyd::testing::h2;

class ServerConnectionTest : public ::testing::Test {
 protected:
  explicit ServerConnectionTest(const revproxyd::testing::H2StateOptions& options = {})
      : state_(options) {}

  void TearDown() override {
    runner_.stop();
    next_.reset();
    connection_.reset();
  }
  /// The connection, with a client that has sent `client` as its settings.
  void open(const ServerConnectionSettings& settings = {}, const frames::Settings& client = {}) {
    connection_ = std::make_unique<ServerConnection>(peer_.transport(), settings, scope_, Bytes());
    state_.note_sent(client);
    send(std::string(frames::kPreface) + frames::settings(client));
  }
  /// The client sends; what comes back is taken.
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

  static frames::Fields fields(const std::string& method, const std::string& path,
                               const frames::Fields& more = {}) {
    frames::Fields all{
        {":method", method}, {":scheme", "http"}, {":authority", "a"}, {":path", path}};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static std::string get(std::uint32_t id, const frames::Fields& more = {}) {
    return frames::headers(id, fields("GET", "/" + std::to_string(id), more));
  }
  /// The head of a request with a body.
  static std::string post(std::uint32_t id, const frames::Fields& more = {}) {
    return frames::headers(id, fields("POST", "/" + std::to_string(id), more), frames::kEndHeaders);
  }

  /// Asks for the next stream; its arrival can be awaited with stream().
  void ask() {
    next_.reset();
    runner_.start(connection_->next_stream(), next_);
  }
  /// The stream that ask() has brought.
  std::unique_ptr<http::ServerStream> stream() {
    if (!next_ || !next_->has_stream()) {
      ADD_FAILURE() << "no stream came";
      std::abort();
    }
    return next_->take();
  }
  std::unique_ptr<http::ServerStream> next_stream() {
    ask();
    return stream();
  }
  std::unique_ptr<http::ServerStream> next_stream_of(std::string_view bytes) {
    send(bytes);
    return next_stream();
  }
  bool drained() const { return next_ && !next_->has_stream() && !next_->failed(); }
  Code failure() const { return next_ && next_->failed() ? next_->error().code() : Code::none; }

  static ResponseHead head_of(std::uint16_t status, http::ServerStream& stream, BodyLength length) {
    ResponseHead head(stream.arena());
    head.status = status;
    head.fields.add(FieldName::date, "now");
    head.length = length;
    return head;
  }
  /// Answers with a body in one piece and ends the exchange.
  void answer(std::unique_ptr<http::ServerStream> stream, std::string_view text = "ok",
              std::uint16_t status = 200) {
    stream->stage_head(head_of(status, *stream, {Framing::length, text.size()}));
    EXPECT_TRUE(runner_.run(stream->send_body(Piece(text, true))));
    stream.reset();
    settle();
  }
  /// Bytes of a body up to its end or its failure.
  std::string read_all(Body& body) {
    std::string out;
    for (;;) {
      const auto piece = runner_.run(body.read());
      if (!piece) return out + "<" + std::string(name(piece.error().code())) + ">";
      out += piece->bytes;
      if (piece->last) return out;
    }
  }

  const revproxyd::testing::H2Message& message(std::uint32_t id) const {
    return state_.message(id);
  }
  std::optional<std::uint32_t> reset_code(std::uint32_t id) const { return message(id).reset; }
  /// Of the last GOAWAY.
  std::optional<std::uint32_t> goaway_code() const {
    return state_.goaway() ? std::optional(state_.goaway()->code) : std::nullopt;
  }

  test::MemoryPeer peer_;
  test::HandRunner runner_;
  CancelScope scope_;
  revproxyd::testing::H2State state_;
  std::vector<frames::Frame> frames_;  // that have come
  std::optional<Next> next_;
  std::unique_ptr<ServerConnection> connection_;

 private:
  void collect() {
    for (;;) {
      buffer_ += peer_.take_received();
      std::string answers;
      while (auto frame = frames::cut_frame(buffer_)) {
        answers += state_.take(*frame);
        frames_.push_back(std::move(*frame));
      }
      if (answers.empty()) return;
      peer_.send(answers);
      runner_.settle();
    }
  }

  std::string buffer_;
};

}  // namespace revproxyd::http::h2::testing

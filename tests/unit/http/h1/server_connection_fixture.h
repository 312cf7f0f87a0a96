#pragma once
// An HTTP/1 client connection in memory, and the ways in which its tests ask for streams and answer
// them.

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "http/h1/server_connection.h"
#include "http/h1/server_stream.h"
#include "tests/support/hand_runner.h"
#include "tests/support/memory_transport.h"

namespace revproxyd::http::h1::testing {

inline constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

class ServerConnectionTest : public ::testing::Test {
 protected:
  void TearDown() override {
    runner_.stop();
    next_.reset();
  }
  void open(const ServerConnectionSettings& settings = {}) {
    connection_ = std::make_unique<ServerConnection>(peer_.transport(), settings, runner_.scope());
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
  std::unique_ptr<http::ServerStream> next_stream_of(std::string_view bytes) {
    peer_.send(bytes);
    ask();
    return stream();
  }
  bool drained() const { return next_ && !next_->has_stream() && !next_->failed(); }
  bool failed() const { return next_ && next_->failed(); }

  static ResponseHead head_of(std::uint16_t status, http::ServerStream& stream,
                              std::uint64_t length) {
    ResponseHead head(stream.arena());
    head.status = status;
    head.fields.add(FieldName::date, "now");
    head.length = {Framing::length, length};
    return head;
  }
  /// Answers with a body in one piece and ends the exchange.
  void answer(std::unique_ptr<http::ServerStream> stream, std::string_view text) {
    stream->stage_head(head_of(200, *stream, text.size()));
    const auto sent = runner_.run(stream->send_body(Piece(text, true)));
    EXPECT_TRUE(sent);
  }
  static std::string answered(std::string_view text, bool keep_alive = true) {
    return "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: " + std::to_string(text.size()) +
           "\r\n" + (keep_alive ? "" : "Connection: close\r\n") + "\r\n" + std::string(text);
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

  test::MemoryPeer peer_;
  test::HandRunner runner_;
  std::optional<Next> next_;
  std::unique_ptr<ServerConnection> connection_;
};

}  // namespace revproxyd::http::h1::testing

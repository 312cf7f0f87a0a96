#pragma once
// A client that sends exactly the bytes it is told to.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tests/support/message.h"
#include "tests/support/stream.h"

namespace revproxyd::testing {

class RawClient {
 public:
  /// Connected to a loopback address; all throw when they cannot.
  explicit RawClient(std::uint16_t port);
  RawClient(std::uint16_t port, const ClientTls& tls);
  static RawClient ipv6(std::uint16_t port);
  static RawClient unix_socket(const std::string& path);
  /// From another address of 127.0.0.0/8, to play several clients.
  static RawClient from(const std::string& address, std::uint16_t port);
  /// With a receive buffer so small that the sender soon has to wait.
  static RawClient slow_reader(std::uint16_t port);
  /// As the first, with these bytes sent before the TLS handshake.
  static RawClient tls_after(std::uint16_t port, std::string_view first, const ClientTls& tls);

  RawClient& send(std::string_view bytes);
  Response response(std::string_view method = "GET") { return reader_->response(method); }
  Response response_head() { return reader_->response_head(); }
  std::string bytes(std::size_t count) { return reader_->bytes(count); }
  std::string until(std::string_view end) { return reader_->until(end); }
  std::string until_end() { return reader_->until_end(); }

  /// send() of a GET with `Host: test`, and its response.
  Response get(std::string_view target, std::string_view more_fields = {});

  /// True when the proxy closes or resets within `patience`, and sends nothing more before.
  bool closes(Milliseconds patience = kPatience);
  /// All that still comes before the end or a reset; throws TimedOut when there is no end within
  /// `patience`.
  std::string last_words(Milliseconds patience = kPatience);
  /// True when nothing, not even an end, comes for so long.
  bool stays_quiet(Milliseconds duration);

  Stream& stream() noexcept { return *stream_; }

 private:
  explicit RawClient(int fd);
  std::unique_ptr<Stream> stream_;  // at a fixed place for the reader
  std::unique_ptr<MessageReader> reader_;
};

/// Nobody accepts there.
bool refuses(std::uint16_t port);

/// One GET on a connection of its own.
Response fetch(std::uint16_t port, std::string_view target = "/",
               std::string_view more_fields = {});

}  // namespace revproxyd::testing

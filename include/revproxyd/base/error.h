#pragma once
// What can go wrong while traffic moves, as plain values. One list serves control flow, the error
// response, the log's `why` and the counters, so that each cause has one name everywhere.

#include <cstdint>
#include <string_view>

namespace revproxyd {

/// The cause of a failure or of an answer that the proxy made itself. name() gives the documented
/// word.
enum class Code : std::uint8_t {
  none,  // nothing went wrong
  // The byte stream.
  end_of_stream,
  reset,
  cancelled,
  system,
  refused,
  unreachable,
  resolve_failed,
  tls_failed,
  certificate_rejected,
  // Time.
  handshake_timeout,
  header_timeout,
  body_timeout,
  body_too_slow,
  write_timeout,
  keepalive_timeout,
  tunnel_timeout,
  connect_timeout,
  first_byte_timeout,
  idle_timeout,
  deadline_exceeded,
  queue_timeout,
  drain_timeout,
  // The downstream message.
  malformed_request,
  unsupported_version,
  method_refused,
  expectation_failed,
  request_line_too_long,
  header_too_large,
  too_many_fields,
  body_too_large,
  host_mismatch,
  upgrade_refused,
  encoded_slash,
  proxy_header_invalid,
  // The upstream message.
  malformed_response,
  response_header_too_large,
  // Who may come, and how many.
  client_gone,
  connection_limit,
  client_connection_limit,
  memory_limit,
  // What a peer of a multiplexed connection does against the protocol, or too often.
  protocol_error,
  reset_flood,
  provoked_reset_flood,
  settings_flood,
  ping_flood,
  priority_flood,
  window_update_flood,
  empty_frame_flood,
  header_flood,
  // Where to.
  no_route,
  no_server,
  queue_full,
  // Answers of the proxy itself that are no failure.
  max_forwards,
  redirect,
  respond,
  // The end of the process or of a listener.
  shutdown,
  internal,
};

/// Number of codes, for tables and counters indexed by Code.
inline constexpr std::size_t kCodeCount = static_cast<std::size_t>(Code::internal) + 1;

/// The word for `code` in logs and metrics; static storage.
std::string_view name(Code code) noexcept;

/// Whose doing it was; the retry decision and Proxy-Status look at it.
enum class Side : std::uint8_t { internal, downstream, upstream };

/// A failure: what, whose, an explanation for the log, and the errno where the kernel gave one.
/// Never owns memory.
class [[nodiscard]] Error {
 public:
  constexpr explicit Error(Code code, const char* text = "", int sys = 0) noexcept
      : text_(text), sys_(sys), code_(code) {}
  constexpr Error(Code code, Side side, const char* text = "", int sys = 0) noexcept
      : text_(text), sys_(sys), code_(code), side_(side) {}

  constexpr Code code() const noexcept { return code_; }
  constexpr Side side() const noexcept { return side_; }
  /// Static text, lower case, without a full stop; may be empty.
  constexpr std::string_view text() const noexcept { return text_; }
  /// errno of the failing call, or 0.
  constexpr int sys() const noexcept { return sys_; }
  /// The same failure, laid at the door of `side`.
  constexpr Error at(Side side) const noexcept { return Error(code_, side, text_, sys_); }

 private:
  const char* text_;
  int sys_;
  Code code_;
  Side side_ = Side::internal;
};

}  // namespace revproxyd

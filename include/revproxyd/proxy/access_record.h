#pragma once
// One line of the access log: what is recorded of a request, what is hidden, and the two formats
// (docs/log.md). Pure functions of the record; they allocate nothing.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "revproxyd/base/buffer.h"

namespace revproxyd::proxy {

/// What is said about one exchange. Views of the caller's memory, used only while a line is
/// formatted. Empty = there is none. There is no place for Authorization, Cookie or a body on
/// purpose.
struct AccessRecord {
  static constexpr std::chrono::microseconds kNever{-1};

  std::chrono::system_clock::time_point ts;  // when the head was complete
  std::string_view id;                       // X-Request-Id
  std::string_view client;                   // address without port, after trusted proxies
  std::string_view listener;
  std::string_view proto;  // "HTTP/1.1"
  std::string_view tls;    // "TLSv1.3"
  std::string_view sni;
  std::string_view method;
  std::string_view scheme;
  std::string_view host;
  std::string_view path;        // as received
  std::string_view query;       // without '?'; masked when written
  std::uint16_t status = 0;     // 0 = no answer could be sent
  std::uint64_t bytes_in = 0;   // request body
  std::uint64_t bytes_out = 0;  // response body
  std::string_view referer;     // masked when written
  std::string_view user_agent;
  std::string_view route;
  std::string_view upstream;
  std::string_view server;
  std::uint32_t retries = 0;
  std::string_view cache;
  std::chrono::microseconds t_queue = kNever;  // waited for a connection slot
  std::chrono::microseconds t_connect =
      kNever;  // connecting to the server that answered, TLS included
  std::chrono::microseconds t_ttfb =
      kNever;                            // from the request's last byte to the response's first
  std::chrono::microseconds t_total{0};  // from the head to the last byte of the answer
  std::string_view why;                  // a word of docs/log.md; empty when an upstream answered
};

/// Which parameters and headers are written as "***". Immutable after construction.
class AccessMask {
 public:
  AccessMask() = default;
  /// `query`: names of parameters as a form would decode them; `headers`: field names. Case does
  /// not matter in either.
  AccessMask(std::span<const std::string> query, std::span<const std::string> headers);

  /// `raw_name` as it stands in the query, percent-encoded or not.
  bool hides_parameter(std::string_view raw_name) const noexcept;
  bool hides_referer() const noexcept { return hide_referer_; }
  bool hides_user_agent() const noexcept { return hide_user_agent_; }

 private:
  std::vector<std::string> parameters_;
  bool hide_referer_ = false;
  bool hide_user_agent_ = false;
};

/// Of a longer text only the front is written, followed by "...".
inline constexpr std::size_t kAccessFieldLimit = 8 * 1024;

/// Bytes that the line of this record takes at most, in either format.
std::size_t room_for(const AccessRecord& record) noexcept;

/// One JSON object (RFC 8259), pure ASCII, and a newline. Members that have nothing to say are left
/// out, except ts, id, client, method, path, status, bytes_out and t_total. Times are milliseconds
/// with three decimals. The buffer has room_for(record) already.
void format_json(const AccessRecord& record, const AccessMask& mask, Buffer& buffer);

/// The combined format of the Apache and nginx logs, in UTC, and a newline. The buffer has
/// room_for(record) already.
void format_combined(const AccessRecord& record, const AccessMask& mask, Buffer& buffer);

}  // namespace revproxyd::proxy

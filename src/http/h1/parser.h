#pragma once
// HTTP/1.x heads from bytes (RFC 9112 sections 2 to 5), without I/O: scanner finds the end, parse_*
// reads the block. Strict by design: what RFC 9112 lets a recipient repair is refused here, because
// two readers of one repaired message differ.

#include <cstddef>
#include <optional>
#include <string_view>

#include "revproxyd/base/arena.h"
#include "revproxyd/base/bytes.h"
#include "revproxyd/base/result.h"
#include "revproxyd/http/head.h"

namespace revproxyd::http::h1 {

struct HeadLimits {
  // What a request is refused with is named beside each; a response always with
  // Code::response_header_too_large.
  std::size_t start_line =
      8 * 1024;  // bytes of the request or status line, without CRLF; Code::request_line_too_long
  std::size_t header_bytes =
      32 * 1024;  // bytes of all field lines with their CRLFs; Code::header_too_large
  std::size_t header_count = 100;  // Code::too_many_fields
};

enum class Kind : unsigned char { request, response };

/// Finds where a head ends in a growing buffer, looking at each byte once. One per head; reset()
/// for the next. Refuses as early as it can: a first byte that cannot start a message, a LF without
/// CR, a line over its limit. CRLFs before a request line are skipped, at most four (RFC 9112
/// section 2.2).
class HeadScanner {
 public:
  HeadScanner(Kind kind, const HeadLimits& limits) noexcept : limits_(limits), kind_(kind) {}
  /// One for field lines alone, as they follow the last chunk.
  static HeadScanner for_trailers(Kind kind, const HeadLimits& limits) noexcept;

  /// `buffer` is everything received for this head so far, unchanged from call to call but for what
  /// was appended. Returns the length of the head including the empty line (and skipped CRLFs, see
  /// skipped()), or 0 while it is incomplete.
  Result<std::size_t> scan(Bytes buffer) noexcept;
  /// Leading bytes of the buffer that belong to no message.
  std::size_t skipped() const noexcept { return skipped_; }
  /// True where nothing but empty lines is among the `held` bytes of the buffer. They are to be
  /// taken out of it, and count on.
  bool leave_out(std::size_t held) noexcept;
  void reset() noexcept;

 private:
  enum class Stage : unsigned char { before, start_line, fields };

  Result<void> begin(Bytes buffer) noexcept;
  bool is_plain_field(Bytes buffer, std::size_t feed) const noexcept;
  Result<bool> end_line(Bytes buffer, std::size_t feed) noexcept;
  Result<std::size_t> check_unfinished(Bytes buffer) const noexcept;
  Error start_line_too_long() const noexcept;
  Error fields_too_large() const noexcept;

  HeadLimits limits_;
  Kind kind_;
  Stage stage_ = Stage::before;
  std::size_t skipped_ = 0;
  std::size_t left_out_ = 0;
  std::size_t scanned_ = 0;
  std::size_t line_start_ = 0;
  std::size_t fields_start_ = 0;
  std::size_t lines_ = 0;
};

/// Reads a whole request head. `block` begins behind skipped(), ends with the empty line and lives
/// in `arena`. Fills everything of RequestHead: target, Host rules (RFC 9112 section 3.2),
/// normalised path, framing, keep-alive. CONNECT and TRACE parse; who admits requests refuses them.
/// HTTP/1.2 to 1.9 are read as HTTP/1.1 (RFC 9110 section 2.5); other versions are
/// Code::unsupported_version. The Host field is set to the authority of an absolute target. An
/// expectation other than 100-continue is Code::expectation_failed.
Result<RequestHead> parse_request(Bytes block, Arena& arena, const HeadLimits& limits);

/// The version at the end of a request line, whatever is wrong with the rest; nothing where it
/// names none that parse_request() takes.
std::optional<Version> version_of(std::string_view request_line) noexcept;

/// Reads a whole response head to a request with `method`. A status line may end right after the
/// status. keep_alive is false too where the body ends with the connection, and for a 204 that
/// announces content.
Result<ResponseHead> parse_response(Bytes block, Method method, Arena& arena,
                                    const HeadLimits& limits);

/// Reads field lines up to and including the empty line that ends `block`, appending to `fields`;
/// used for trailers too. Names with an underscore are refused in requests.
Result<void> parse_fields(Bytes block, Kind kind, Fields& fields, const HeadLimits& limits);

}  // namespace revproxyd::http::h1

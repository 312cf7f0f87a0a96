// HeadScanner: finds the end of a head as bytes come in. A verdict never depends on how the bytes
// were cut, so each limit is checked on an unfinished line exactly as it would be once the line is
// whole.

#include "http/h1/line_feeds.h"
#include "http/h1/parser.h"
#include "http/h1/refusal.h"
#include "revproxyd/base/ascii.h"

namespace revproxyd::http::h1 {

namespace {

// Empty lines before a request that are forgiven (RFC 9112 section 2.2).
constexpr std::size_t kMostSkippedBytes = 8;
constexpr char kTlsHandshake = 0x16;
constexpr std::size_t kVersionSize = 8;

// HTTP/0.9: a method and a target. Nothing follows it, and whoever sends it waits for the answer.
bool lacks_version(Bytes line) noexcept {
  if (line.size() > kVersionSize && line[line.size() - kVersionSize - 1] == ' ') return false;
  const std::size_t space = line.find(' ');
  return space != Bytes::npos && ascii::is_token(line.substr(0, space)) &&
         line.find(' ', space + 1) == Bytes::npos;
}

}  // namespace

HeadScanner HeadScanner::for_trailers(Kind kind, const HeadLimits& limits) noexcept {
  HeadScanner scanner(kind, limits);
  scanner.stage_ = Stage::fields;
  return scanner;
}

void HeadScanner::reset() noexcept { *this = HeadScanner(kind_, limits_); }

bool HeadScanner::leave_out(std::size_t held) noexcept {
  if (stage_ != Stage::before || skipped_ != held) return false;
  left_out_ += skipped_;
  skipped_ = 0;
  return true;
}

Result<std::size_t> HeadScanner::scan(Bytes buffer) noexcept {
  if (stage_ == Stage::before) {
    const auto begun = begin(buffer);
    if (!begun) return begun.error();
    if (stage_ == Stage::before) return std::size_t{0};
  }
  LineFeeds feeds(buffer, scanned_);
  for (;;) {
    const std::size_t feed = feeds.next();
    if (feed == Bytes::npos) {
      scanned_ = buffer.size();
      return check_unfinished(buffer);
    }
    scanned_ = feed + 1;
    if (is_plain_field(buffer, feed)) {
      ++lines_;
      line_start_ = scanned_;
      continue;
    }
    const auto ended = end_line(buffer, feed);
    if (!ended) return ended.error();
    if (*ended) return scanned_;
  }
}

// A field line within all limits, which nearly every line is.
bool HeadScanner::is_plain_field(Bytes buffer, std::size_t feed) const noexcept {
  return stage_ == Stage::fields && feed - line_start_ > 1 && buffer[feed - 1] == '\r' &&
         feed + 1 - fields_start_ <= limits_.header_bytes && lines_ < limits_.header_count;
}

// Skips empty lines and judges the first byte of the message.
Result<void> HeadScanner::begin(Bytes buffer) noexcept {
  for (;;) {
    if (skipped_ == buffer.size()) return {};
    const char c = buffer[skipped_];
    if (c != '\r' || kind_ == Kind::response) break;
    if (left_out_ + skipped_ == kMostSkippedBytes)
      return malformed(kind_, "more than four empty lines before a request");
    if (skipped_ + 1 == buffer.size()) return {};
    if (buffer[skipped_ + 1] != '\n') return malformed(kind_, "bare CR before a request");
    skipped_ += 2;
  }
  const char first = buffer[skipped_];
  if (kind_ == Kind::response && first != 'H')
    return malformed(kind_, "first byte that cannot begin a response");
  if (first == kTlsHandshake) return malformed(kind_, "TLS handshake on a plain connection");
  if (!ascii::is_token_char(first))
    return malformed(kind_, "first byte that cannot begin a request");
  stage_ = Stage::start_line;
  line_start_ = scanned_ = skipped_;
  return {};
}

// Takes the line that ends with the LF at `feed`; true when it was the empty one.
Result<bool> HeadScanner::end_line(Bytes buffer, std::size_t feed) noexcept {
  const bool crlf = feed > line_start_ && buffer[feed - 1] == '\r';
  if (stage_ == Stage::start_line) {
    if (feed - line_start_ > limits_.start_line + 1) return start_line_too_long();
    if (!crlf) return malformed(kind_, "bare LF in the start line");
    if (kind_ == Kind::request && lacks_version(buffer.substr(line_start_, feed - 1 - line_start_)))
      return malformed(kind_, "request line without a version (HTTP/0.9)");
    stage_ = Stage::fields;
    fields_start_ = line_start_ = feed + 1;
    return false;
  }
  if (crlf && feed - line_start_ == 1) return true;
  if (feed + 1 - fields_start_ > limits_.header_bytes) return fields_too_large();
  if (!crlf) return malformed(kind_, "bare LF in a field line");
  if (++lines_ > limits_.header_count)
    return too_large(kind_, Code::too_many_fields, "more field lines than allowed");
  line_start_ = feed + 1;
  return false;
}

// 0, or the refusal that no further byte can avert.
Result<std::size_t> HeadScanner::check_unfinished(Bytes buffer) const noexcept {
  if (stage_ == Stage::start_line) {
    if (buffer.size() - line_start_ > limits_.start_line + 1) return start_line_too_long();
    return std::size_t{0};
  }
  const Bytes line = buffer.substr(line_start_);
  const bool may_be_empty_line = line.empty() || line == "\r";
  if (!may_be_empty_line && buffer.size() + 1 - fields_start_ > limits_.header_bytes)
    return fields_too_large();
  return std::size_t{0};
}

Error HeadScanner::start_line_too_long() const noexcept {
  return too_large(kind_, Code::request_line_too_long, "start line longer than allowed");
}

Error HeadScanner::fields_too_large() const noexcept {
  return too_large(kind_, Code::header_too_large, "field lines larger than allowed");
}

}  // namespace revproxyd::http::h1

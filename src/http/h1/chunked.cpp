#include "http/h1/chunked.h"

#include <algorithm>
#include <cassert>
#include <limits>

#include "http/h1/refusal.h"
#include "revproxyd/base/ascii.h"
#include "revproxyd/http/hop_by_hop.h"

namespace revproxyd::http::h1 {

Result<ChunkedDecoder::Step> ChunkedDecoder::step(Bytes input) {
  if (failed_) return *failed_;
  std::size_t at = 0;
  failed_ = take_framing(input, at);
  if (failed_) return *failed_;
  Step step;
  if (state_ == State::data && at < input.size()) {
    step.data = input.substr(
        at, static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size() - at)));
    at += step.data.size();
    left_ -= step.data.size();
    if (left_ == 0) state_ = State::data_cr;
    std::size_t behind = at;
    failed_ = take_framing(input, behind);
    // These bytes came before the fault and are the caller's; the rest of the input brings the
    // error back.
    if (!failed_) at = behind;
  }
  step.consumed = at;
  return step;
}

bool ChunkedDecoder::ends_within(Bytes input) const {
  if (failed_ || !trailer_.empty()) return false;
  ChunkedDecoder ahead(kind_, limits_);
  ahead.left_ = left_;
  ahead.extension_bytes_ = extension_bytes_;
  ahead.digits_ = digits_;
  ahead.state_ = state_;
  while (!input.empty() && !ahead.done()) {
    const auto step = ahead.step(input);
    if (!step) return false;
    input.remove_prefix(step->consumed);
  }
  return ahead.done();
}

// Takes everything up to the next body byte.
std::optional<Error> ChunkedDecoder::take_framing(Bytes input, std::size_t& at) {
  while (at < input.size() && state_ != State::data && state_ != State::done) {
    if (state_ == State::trailer) return take_trailer(input, at);
    if (auto error = take_framing_byte(input[at])) return error;
    ++at;
  }
  return std::nullopt;
}

std::optional<Error> ChunkedDecoder::take_framing_byte(char c) noexcept {
  switch (state_) {
    case State::size_start:
    case State::size: return take_size_byte(c);
    case State::before_extension:
    case State::extension: return take_extension_byte(c);
    case State::size_lf:
      if (c != '\n') return malformed(kind_, "bare CR in a chunk size line");
      end_size_line();
      return std::nullopt;
    case State::data_cr:
      if (c != '\r') return malformed(kind_, "chunk data without CRLF behind it");
      state_ = State::data_lf;
      return std::nullopt;
    case State::data_lf:
      if (c != '\n') return malformed(kind_, "chunk data without CRLF behind it");
      state_ = State::size_start;
      return std::nullopt;
    case State::data:
    case State::trailer:
    case State::done: break;
  }
  assert(false);
  return std::nullopt;
}

std::optional<Error> ChunkedDecoder::take_size_byte(char c) noexcept {
  constexpr int kMostDigits = 16;
  if (const int value = ascii::hex_value(c); value >= 0) {
    if (digits_ == kMostDigits) return malformed(kind_, "chunk size with more than 16 digits");
    ++digits_;
    left_ = left_ << 4 | static_cast<std::uint64_t>(value);
    state_ = State::size;
    // Sixteen digits fit 64 bits; offsets are signed.
    if (left_ > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return malformed(kind_, "chunk size over 2^63-1");
    }
    return std::nullopt;
  }
  if (state_ == State::size_start) return malformed(kind_, "chunk size without a digit");
  if (c == '\n') return malformed(kind_, "bare LF in a chunk size line");
  if (c == '\r') {
    state_ = State::size_lf;
    return std::nullopt;
  }
  if (c != ';' && c != ' ' && c != '\t')
    return malformed(kind_, "chunk size that is not hexadecimal");
  state_ = State::before_extension;
  return take_extension_byte(c);
}

// RFC 9112 section 7.1.1: white space behind a size is allowed in front of a semicolon only.
std::optional<Error> ChunkedDecoder::take_extension_byte(char c) noexcept {
  if (++extension_bytes_ > kMostExtensionBytes)
    return malformed(kind_, "more than 16 KiB of chunk extensions");
  if (c == '\n') return malformed(kind_, "bare LF in a chunk size line");
  if (state_ == State::before_extension) {
    if (c == ';') state_ = State::extension;
    if (c == ';' || c == ' ' || c == '\t') return std::nullopt;
    return malformed(kind_, "white space behind a chunk size");
  }
  if (c == '\r') {
    state_ = State::size_lf;
    return std::nullopt;
  }
  const auto byte = static_cast<unsigned char>(c);
  if ((byte < 0x20 && c != '\t') || byte == 0x7f)
    return malformed(kind_, "control character in a chunk extension");
  return std::nullopt;
}

void ChunkedDecoder::end_size_line() noexcept {
  state_ = left_ == 0 ? State::trailer : State::data;
  digits_ = 0;
}

std::optional<Error> ChunkedDecoder::take_trailer(Bytes input, std::size_t& at) {
  const Bytes rest = input.substr(at);
  if (trailer_.empty() && rest.starts_with("\r\n")) {
    at += 2;
    state_ = State::done;
    return std::nullopt;
  }
  // Never more than the limits let through, whatever is pipelined behind; the scanner refuses what
  // fills this.
  const std::size_t most = limits_.header_bytes + 2;
  const std::size_t held = trailer_.size();
  const Bytes taken = rest.substr(0, most - std::min(most, held));
  trailer_.append(taken);
  const auto length = trailer_scanner_.scan(trailer_.held());
  if (!length) return length.error();
  if (*length == 0) {
    if (trailer_.size() == most)
      return too_large(kind_, Code::header_too_large, "field lines larger than allowed");
    at = input.size();
    return std::nullopt;
  }
  at += *length - held;
  // What was taken too much stays in the input.
  section_size_ = *length;
  state_ = State::done;
  return std::nullopt;
}

Result<void> ChunkedDecoder::take_trailers(Fields& out) {
  assert(done());
  if (trailer_.empty()) return {};
  const Bytes section = out.arena().copy(trailer_.held().substr(0, section_size_));
  trailer_.release();
  if (auto parsed = parse_fields(section, kind_, out, limits_); !parsed) return parsed.error();
  out.remove_if([](const Field& field) { return !allowed_in_trailer(field); });
  return {};
}

}  // namespace revproxyd::http::h1

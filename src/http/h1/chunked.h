#pragma once
// The chunked transfer coding (RFC 9112 section 7.1), without I/O.

#include <cstddef>
#include <cstdint>
#include <optional>

#include "http/h1/parser.h"
#include "revproxyd/base/buffer.h"
#include "revproxyd/base/bytes.h"
#include "revproxyd/base/result.h"

namespace revproxyd::http::h1 {

/// Bytes of chunk extensions, over a whole body, that are skipped; more are malformed. Nothing in
/// use needs any.
inline constexpr std::size_t kMostExtensionBytes = 16 * 1024;

/// Decodes a chunked body from a stream of buffers of any size. Extensions are skipped; a size line
/// without digits, with more than 16 of them or over 2^63-1, a control character in an extension, a
/// missing CRLF or a bare LF is malformed. Trailers are held to the HeadLimits.
class ChunkedDecoder {
 public:
  ChunkedDecoder(Kind kind, const HeadLimits& limits) noexcept
      : limits_(limits), trailer_scanner_(HeadScanner::for_trailers(kind, limits)), kind_(kind) {}

  struct Step {
    Bytes data;                // body bytes, a view of the input; may be empty
    std::size_t consumed = 0;  // bytes of the input that were used, `data` included
  };
  /// Takes bytes from `input` until a run of body bytes is found, the input is used up or the body
  /// ends. With done() after a call, the rest of the input belongs to the next message. Small
  /// chunks come one a call; what frames a run is taken with it, so that the last run and done()
  /// come together when both are in the input. After an error every further call returns that
  /// error.
  Result<Step> step(Bytes input);

  /// Within the bytes of a chunk: whatever comes next is body.
  bool in_data() const noexcept { return state_ == State::data; }
  /// The last chunk and the trailer section have been read.
  bool done() const noexcept { return state_ == State::done; }
  /// The rest of `input` holds the body's end, and nothing malformed before it. Takes nothing.
  /// False within a trailer section.
  bool ends_within(Bytes input) const;
  /// Moves the trailers (those that may be forwarded) into `out`, once, after done(). Copies them
  /// into the arena of `out`.
  Result<void> take_trailers(Fields& out);

 private:
  enum class State : std::uint8_t {
    size_start,
    size,
    before_extension,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer,
    done
  };

  std::optional<Error> take_framing(Bytes input, std::size_t& at);
  std::optional<Error> take_framing_byte(char c) noexcept;
  std::optional<Error> take_size_byte(char c) noexcept;
  std::optional<Error> take_extension_byte(char c) noexcept;
  std::optional<Error> take_trailer(Bytes input, std::size_t& at);
  void end_size_line() noexcept;

  HeadLimits limits_;
  HeadScanner trailer_scanner_;
  Buffer trailer_;
  std::optional<Error> failed_;
  std::uint64_t left_ = 0;
  std::size_t extension_bytes_ = 0;
  std::size_t section_size_ = 0;  // of the whole trailer section, at the front of trailer_
  Kind kind_;
  State state_ = State::size_start;
  std::uint8_t digits_ = 0;
};

}  // namespace revproxyd::http::h1

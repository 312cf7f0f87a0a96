#pragma once
// Numbers of RFC 9113.

#include <cstddef>
#include <cstdint>

namespace revproxyd::http::h2 {

/// Bytes in front of each payload (RFC 9113 section 4.1).
inline constexpr std::size_t kFrameHead = 9;

using StreamId = std::int32_t;

/// Error codes of RFC 9113 section 7 that are given or looked at.
enum class ErrorCode : std::uint32_t {
  no_error = 0x0,
  protocol_error = 0x1,
  internal_error = 0x2,
  stream_closed = 0x5,
  refused_stream = 0x7,
  cancel = 0x8,
  enhance_your_calm = 0xb,
};

}  // namespace revproxyd::http::h2

#pragma once
// The end of a message without content. An empty frame of DATA needs no window (RFC 9113 section
// 6.9.1), but nghttp2 sends none into one that is closed. It does send an empty trailer section,
// which says the same in a form that not every peer expects.

#include <cstddef>
#include <string_view>

#include "revproxyd/base/buffer.h"

namespace revproxyd::http::h2 {

/// Appends a frame, or the DATA that it stands for if it is an empty trailer section: HEADERS
/// without a block.
inline void append_frame(std::string_view frame, Buffer& out) {
  constexpr std::size_t kHead = 9;
  constexpr std::size_t kType = 3;
  constexpr char kHeaders = 1;
  if (frame.size() != kHead || frame[kType] != kHeaders) return out.append(frame);
  constexpr char kData = 0;
  constexpr char kEndStream = 1;
  out.append(frame.substr(0, kType));
  out.append(kData);
  out.append(kEndStream);
  out.append(frame.substr(kType + 2));
}

}  // namespace revproxyd::http::h2

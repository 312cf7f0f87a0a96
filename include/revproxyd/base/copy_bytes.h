#pragma once
// Copies of names, values and other short texts, of which a head is put together.

#include <cstddef>
#include <cstring>

#include "revproxyd/base/bytes.h"

namespace revproxyd {

namespace detail {
// Of `step` to twice `step` bytes: two steps that overlap.
template <std::size_t step>
inline void copy_overlapping(char* to, const char* from, std::size_t size) noexcept {
  struct Step {
    char bytes[step];
  } front, back;
  std::memcpy(&front, from, step);
  std::memcpy(&back, from + size - step, step);
  std::memcpy(to, &front, step);
  std::memcpy(to + size - step, &back, step);
}
}  // namespace detail

/// Copies `bytes` to `to`, which has room for them and overlaps none of them; where the copy ends.
/// Up to 32 bytes take no call of the C library, which costs more than the copying.
inline char* copy_bytes(char* to, Bytes bytes) noexcept {
  const char* const from = bytes.data();
  const std::size_t size = bytes.size();
  if (size > 32) {
    std::memcpy(to, from, size);
  } else if (size >= 16) {
    detail::copy_overlapping<16>(to, from, size);
  } else if (size >= 8) {
    detail::copy_overlapping<8>(to, from, size);
  } else if (size >= 4) {
    detail::copy_overlapping<4>(to, from, size);
  } else if (size >= 2) {
    detail::copy_overlapping<2>(to, from, size);
  } else if (size == 1) {
    *to = *from;
  }
  return to + size;
}

}  // namespace revproxyd

#pragma once
// The line ends of a head, sixteen bytes a step: heads have many short lines, for which a call of
// memchr() costs more than what it looks at.

#include <cstddef>

#include "revproxyd/base/bytes.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace revproxyd::http::h1 {

/// Walks over the LFs of `text` from `begin` on. Views: `text` must stay.
class LineFeeds {
 public:
  LineFeeds(Bytes text, std::size_t begin) noexcept : text_(text), next_(begin) {}

  /// Index of the next LF, or Bytes::npos behind the last one.
  std::size_t next() noexcept {
    while (found_ == 0) {
      if (next_ == text_.size()) return Bytes::npos;
      look();
    }
    const auto place = static_cast<std::size_t>(__builtin_ctz(found_));
    found_ &= found_ - 1;
    return block_ + place;
  }

 private:
  static constexpr std::size_t kStep = 16;

  // One bit for each byte of [at, at + size) that is a LF.
  static unsigned feeds(const char* at, std::size_t size) noexcept {
#if defined(__SSE2__)
    if (size == kStep) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
      return static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\n'))));
    }
#endif
    unsigned found = 0;
    for (std::size_t i = 0; i < size; ++i) found |= (at[i] == '\n' ? 1U : 0U) << i;
    return found;
  }

  void look() noexcept {
    const std::size_t left = text_.size() - next_;
    if (left >= kStep) {
      block_ = next_;
      found_ = feeds(text_.data() + block_, kStep);
      next_ += kStep;
    } else if (text_.size() >= kStep) {
      // The last sixteen, without those that have been looked at.
      block_ = text_.size() - kStep;
      found_ = feeds(text_.data() + block_, kStep) & (~0U << (kStep - left));
      next_ = text_.size();
    } else {
      block_ = next_;
      found_ = feeds(text_.data() + block_, left);
      next_ = text_.size();
    }
  }

  Bytes text_;
  std::size_t next_;       // not looked at yet
  std::size_t block_ = 0;  // where the bits of found_ begin
  unsigned found_ = 0;
};

}  // namespace revproxyd::http::h1

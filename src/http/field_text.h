#pragma once
// What field names and values hold (RFC 9110 sections 5.1 and 5.5), sixteen bytes a step.

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace revproxyd::http {

/// Control characters other than HTAB.
constexpr bool is_control(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

/// First byte in [at, end) that a field value cannot hold, or `end`.
inline const char* find_control(const char* at, const char* end) noexcept {
#if defined(__SSE2__)
  const __m128i highest = _mm_set1_epi8(0x1f);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7f);
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, highest), bytes);
    const __m128i found =
        _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low), _mm_cmpeq_epi8(bytes, del));
    const auto bits = static_cast<unsigned>(_mm_movemask_epi8(found));
    if (bits != 0) return at + __builtin_ctz(bits);
  }
#endif
  while (at != end && !is_control(*at)) ++at;
  return at;
}

/// Passes over letters, digits and '-', of which nearly all names are made, as far as sixteen bytes
/// can be read at once: the first that is none of them, or one that has not been looked at.
inline const char* skip_plain_name(const char* at, const char* end) noexcept {
#if defined(__SSE2__)
  // Unsigned x - low <= width is what min(x - low, width) == x - low says.
  const auto within = [](__m128i bytes, char low, char width) {
    const __m128i distance = _mm_sub_epi8(bytes, _mm_set1_epi8(low));
    return _mm_cmpeq_epi8(_mm_min_epu8(distance, _mm_set1_epi8(width)), distance);
  };
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i letters = within(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 'z' - 'a');
    const __m128i digits = within(bytes, '0', '9' - '0');
    const __m128i dashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-'));
    const __m128i plain = _mm_or_si128(_mm_or_si128(letters, digits), dashes);
    const auto others = static_cast<unsigned>(_mm_movemask_epi8(plain)) ^ 0xffffU;
    if (others != 0) return at + __builtin_ctz(others);
  }
#endif
  (void)end;
  return at;
}

}  // namespace revproxyd::http

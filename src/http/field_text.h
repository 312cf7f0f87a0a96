#pragma once
// What field names and values hold (RFC 9110 sections 5.1 and 5.5), many bytes a step.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace revproxyd::http {

/// Control characters other than HTAB.
constexpr bool is_control(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

#if defined(__SSE2__)
/// A bit for each of the sixteen bytes at `at` that is a control character.
inline unsigned controls(const char* at) noexcept {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
  const __m128i tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
  const __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del)));
}
#endif

/// First byte in [at, end) that a field value cannot hold, or `end`.
inline const char* find_control(const char* at, const char* end) noexcept {
#if defined(__SSE2__)
  for (; end - at >= 16; at += 16) {
    const unsigned found = controls(at);
    if (found != 0) return at + __builtin_ctz(found);
  }
#endif
  while (at != end && !is_control(*at)) ++at;
  return at;
}

/// Whether a field value cannot hold `text`. For texts whose end is known: the last step looks at
/// bytes again, where find_control() would go byte by byte.
inline bool has_control(std::string_view text) noexcept {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
#if defined(__SSE2__)
  if (text.size() >= 16) {
    unsigned found = controls(end - 16);
    for (const char* at = begin; end - at > 16; at += 16) found |= controls(at);
    return found != 0;
  }
#endif
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  // May be wrong about bytes that are none, never about those that are.
  const auto suspect = [](std::uint64_t word) {
    const std::uint64_t del = word ^ (kOnes * 0x7f);
    return (((word - kOnes * 0x20) & ~word) | ((del - kOnes) & ~del)) & (kOnes * 0x80);
  };
  const auto load = [](const char* at, auto word) {
    std::memcpy(&word, at, sizeof word);
    return std::uint64_t{word};
  };
  if (text.size() >= 8) {
    std::uint64_t found = suspect(load(end - 8, std::uint64_t{}));
    for (const char* at = begin; end - at > 8; at += 8) found |= suspect(load(at, std::uint64_t{}));
    if (found == 0) return false;
  } else if (text.size() >= 4) {
    const std::uint64_t front = load(begin, std::uint32_t{});
    if (suspect(front << 32 | load(end - 4, std::uint32_t{})) == 0) return false;
  }
  return find_control(begin, end) != end;
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

#pragma once
// How keys, servers and numbers become 64 bits that look like chance and are the same everywhere.

#include <cstdint>

#include "revproxyd/base/random_source.h"

namespace revproxyd::upstream {

// From the hex digits of pi after the point, made odd: about as many ones as zeros, and nothing up
// the sleeve.
inline constexpr std::uint64_t kMixSeed = 0x243f6a8885a308d3U;
inline constexpr std::uint64_t kMixStep = 0x13198a2e03707345U;
inline constexpr std::uint64_t kMixLast = 0xa4093822299f31d1U;

/// Both halves of the product, so that the high bits of the factors reach the low bits of the
/// result.
constexpr std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
  const Uint128 product = Uint128{a} * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

/// One fold alone leaves the result leaning to its input: b passes two.
constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
  return fold(fold(fold(a ^ kMixSeed, kMixStep) ^ b, kMixLast) ^ kMixSeed, kMixStep);
}

/// `bits` spread over 0 .. bound-1.
constexpr std::uint64_t scale(std::uint64_t bits, std::uint64_t bound) noexcept {
  return static_cast<std::uint64_t>((Uint128{bits} * bound) >> 64);
}

}  // namespace revproxyd::upstream

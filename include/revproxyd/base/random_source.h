#pragma once
// Fast seeded random numbers for spreading load, of one thread. Not for secrets.

#include <cstddef>
#include <cstdint>
#include <span>

namespace revproxyd {

__extension__ using Uint128 = unsigned __int128;

/// Weyl sequence through a mixing function (the generator known as SplitMix64).
class RandomSource {
 public:
  explicit RandomSource(std::uint64_t seed) noexcept : state_(seed) {}

  std::uint64_t next() noexcept {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }

  /// 0 .. bound-1; bound > 0. The bias is below bound / 2^64.
  std::uint64_t below(std::uint64_t bound) noexcept {
    return static_cast<std::uint64_t>((Uint128{next()} * bound) >> 64);
  }

 private:
  std::uint64_t state_;
};

/// The position of a random candidate, each in proportion to its weight.
template <typename Candidate>
std::size_t weighted_choice(std::span<const Candidate> candidates, RandomSource& random) noexcept {
  std::uint64_t total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  std::uint64_t mark = random.below(total);
  std::size_t position = 0;
  while (mark >= candidates[position].weight) mark -= candidates[position++].weight;
  return position;
}

}  // namespace revproxyd

// hash: weighted rendezvous hashing. For a key every server has a score of its own, from the key,
// the server's URL and its weight; the best score wins. A server that goes gives up its own keys
// and moves no other, one that comes takes only what it wins, and the order in which the others
// stand in for it is fixed for each key.

#include <bit>
#include <cmath>
#include <cstring>

#include "revproxyd/base/random_source.h"
#include "upstream/balancers/methods.h"

namespace revproxyd::upstream {

namespace {

// From the hex digits of pi after the point, made odd: about as many ones as zeros, and nothing up
// the sleeve.
constexpr std::uint64_t kSeed = 0x243f6a8885a308d3U;
constexpr std::uint64_t kStep = 0x13198a2e03707345U;
constexpr std::uint64_t kLast = 0xa4093822299f31d1U;

// Both halves of the product, so that the high bits of the factors reach the low bits of the
// result.
std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
  const Uint128 product = Uint128{a} * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// One fold alone leaves the result leaning to its input: b passes two.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
  return fold(fold(fold(a ^ kSeed, kStep) ^ b, kLast) ^ kSeed, kStep);
}

// Up to 8 bytes as a little-endian number.
std::uint64_t load(std::string_view bytes) noexcept {
  std::uint64_t word = 0;
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(&word, bytes.data(), bytes.size());
  } else {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      word |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    }
  }
  return word;
}

class Hash final : public Balancer {
 public:
  explicit Hash(std::uint64_t seed) noexcept : random_(seed) {}

 private:
  void reset() override {}
  std::size_t choose(std::span<const Candidate> candidates, PickKey key) noexcept override;

  RandomSource random_;  // for requests without a key
};

// How late a server comes to the key's call: exponentially distributed with its weight as the rate,
// so that the chance to be first is the share of the weight, whoever else takes part.
double delay(const Endpoint& endpoint, std::uint64_t weight, std::uint64_t key) noexcept {
  const std::uint64_t bits = mix(key, endpoint.url_hash());
  // Within (0, 1), both ends excluded.
  const double uniform = (static_cast<double>(bits >> 12) + 0.5) * 0x1p-52;
  return -std::log(uniform) / static_cast<double>(weight);
}

std::size_t Hash::choose(std::span<const Candidate> candidates, PickKey key) noexcept {
  if (!key.has_hash) return weighted_choice(candidates, random_);
  std::size_t best = 0;
  double best_delay = delay(*candidates[0].endpoint, candidates[0].weight, key.hash);
  for (std::size_t position = 1; position < candidates.size(); ++position) {
    const double its_delay =
        delay(*candidates[position].endpoint, candidates[position].weight, key.hash);
    if (its_delay >= best_delay) continue;
    best = position;
    best_delay = its_delay;
  }
  return best;
}

}  // namespace

std::uint64_t hash_bytes(std::string_view bytes) noexcept {
  std::uint64_t state = kSeed ^ (bytes.size() * kStep);
  for (; bytes.size() > 8; bytes.remove_prefix(8)) {
    // The addend keeps what came before even if the product is zero.
    state = fold(state ^ load(bytes.substr(0, 8)), kStep) + std::rotl(state, 29);
  }
  return mix(state, bytes.empty() ? 0 : load(bytes));
}

std::unique_ptr<Balancer> make_hash(std::uint64_t seed) { return std::make_unique<Hash>(seed); }

}  // namespace revproxyd::upstream

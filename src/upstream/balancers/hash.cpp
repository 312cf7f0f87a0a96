// hash: a key belongs to the server that owns its slot in a Maglev table. While that one cannot
// take it, the key goes from slot to slot on a way of its own, until it meets one that can: only
// the keys of the servers that are out move, and they spread over the others by weight. A key that
// meets none in kSteps goes to the winner of a weighted rendezvous over all that are left.

#include <bit>
#include <cmath>
#include <cstring>

#include "revproxyd/base/random_source.h"
#include "revproxyd/upstream/maglev_table.h"
#include "upstream/balancers/methods.h"
#include "upstream/mix.h"

namespace revproxyd::upstream {

namespace {

// With half of the servers out one key in 256 gets through all of them.
constexpr std::uint64_t kSteps = 8;

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
  void reset() override;
  std::optional<std::size_t> choose_at_once(const PickQuery& query) noexcept override;
  std::size_t choose(std::span<const Candidate> candidates, PickKey key) noexcept override;

  RandomSource random_;  // for requests without a key
  MaglevTable own_;      // where none is shared
  const MaglevTable* table_ = &own_;
};

void Hash::reset() {
  if (table() == nullptr) {
    std::vector<MaglevTable::Server> servers;
    for (const auto& endpoint : endpoints())
      servers.push_back({endpoint->url_hash(), endpoint->backup() ? 0 : endpoint->weight()});
    own_ = MaglevTable(servers);
  }
  table_ = table() == nullptr ? &own_ : table();
}

std::optional<std::size_t> Hash::choose_at_once(const PickQuery& query) noexcept {
  if (table_->empty()) return std::nullopt;
  const std::uint64_t key = query.key.has_hash ? query.key.hash : random_.next();
  std::uint64_t at = key;
  for (std::uint64_t step = 0; step < kSteps; ++step) {
    const std::size_t index = table_->owner(at);
    if (may_serve(index, query)) return index;
    at = mix(key, step);
  }
  return std::nullopt;
}

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
  std::uint64_t state = kMixSeed ^ (bytes.size() * kMixStep);
  for (; bytes.size() > 8; bytes.remove_prefix(8)) {
    // The addend keeps what came before even if the product is zero.
    state = fold(state ^ load(bytes.substr(0, 8)), kMixStep) + std::rotl(state, 29);
  }
  return mix(state, bytes.empty() ? 0 : load(bytes));
}

std::unique_ptr<Balancer> make_hash(std::uint64_t seed) { return std::make_unique<Hash>(seed); }

}  // namespace revproxyd::upstream

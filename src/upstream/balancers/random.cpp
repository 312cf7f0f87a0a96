// random: draws two different servers by weight and takes the one with fewer requests under way for
// its weight. Nearly as even as asking all of them, without every worker running to the same
// emptiest server.

#include "revproxyd/base/random_source.h"
#include "upstream/balancers/methods.h"

namespace revproxyd::upstream {

namespace {

class Random final : public Balancer {
 public:
  explicit Random(std::uint64_t seed) noexcept : random_(seed) {}

 private:
  void reset() override {}
  std::size_t choose(std::span<const Candidate> candidates, PickKey key) noexcept override;
  std::size_t draw_other(std::span<const Candidate> candidates, std::size_t first) noexcept;

  RandomSource random_;
};

std::size_t Random::choose(std::span<const Candidate> candidates, PickKey /*key*/) noexcept {
  const std::size_t first = weighted_choice(candidates, random_);
  const std::size_t second = draw_other(candidates, first);
  const std::uint64_t first_load = candidates[first].endpoint->load() * candidates[second].weight;
  const std::uint64_t second_load = candidates[second].endpoint->load() * candidates[first].weight;
  // Equals: the first, whose draw is exactly in proportion to the weights.
  return second_load < first_load ? second : first;
}

std::size_t Random::draw_other(std::span<const Candidate> candidates, std::size_t first) noexcept {
  const auto head = candidates.first(first);
  const auto tail = candidates.subspan(first + 1);
  std::uint64_t head_weight = 0;
  std::uint64_t tail_weight = 0;
  for (const Candidate& candidate : head) head_weight += candidate.weight;
  for (const Candidate& candidate : tail) tail_weight += candidate.weight;
  if (random_.below(head_weight + tail_weight) < head_weight) return weighted_choice(head, random_);
  return first + 1 + weighted_choice(tail, random_);
}

}  // namespace

std::unique_ptr<Balancer> make_random(std::uint64_t seed) { return std::make_unique<Random>(seed); }

}  // namespace revproxyd::upstream

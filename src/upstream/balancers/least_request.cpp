// least_request: the server with the fewest requests under way for its weight, counted over all
// workers. Among equals one is drawn by weight, so that an idle upstream is not all sent to its
// first server.

#include "revproxyd/base/random_source.h"
#include "upstream/balancers/methods.h"

namespace revproxyd::upstream {

namespace {

class LeastRequest final : public Balancer {
 public:
  explicit LeastRequest(std::uint64_t seed) noexcept : random_(seed) {}

 private:
  void reset() override {}
  std::size_t choose(std::span<const Candidate> candidates, PickKey key) noexcept override;

  RandomSource random_;
};

std::size_t LeastRequest::choose(std::span<const Candidate> candidates, PickKey /*key*/) noexcept {
  std::size_t best = 0;
  std::uint64_t best_load = candidates[0].endpoint->load();
  std::uint64_t tied_weight = candidates[0].weight;
  for (std::size_t position = 1; position < candidates.size(); ++position) {
    const Candidate& candidate = candidates[position];
    const std::uint64_t load = candidate.endpoint->load();
    // load / weight, compared without the division; 32-bit factors cannot overflow.
    const std::uint64_t left = load * candidates[best].weight;
    const std::uint64_t right = best_load * candidate.weight;
    if (left > right) continue;
    tied_weight = left < right ? candidate.weight : tied_weight + candidate.weight;
    // Of the equals seen so far each holds the place with probability weight / tied_weight.
    if (left < right || random_.below(tied_weight) < candidate.weight) {
      best = position;
      best_load = load;
    }
  }
  return best;
}

}  // namespace

std::unique_ptr<Balancer> make_least_request(std::uint64_t seed) {
  return std::make_unique<LeastRequest>(seed);
}

}  // namespace revproxyd::upstream

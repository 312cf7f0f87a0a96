// round_robin: smooth weighted turns. At each turn every candidate earns its weight in credit; the
// richest is picked and pays what all of them earned. Over one round each server is picked weight
// times, and the picks of a heavy server are spread over the round instead of standing together.
// The sum of the credits stays zero, so a server that was away keeps the credit it left with and is
// not given a burst for the turns that it missed.

#include <algorithm>
#include <limits>
#include <numeric>

#include "revproxyd/base/random_source.h"
#include "upstream/balancers/methods.h"

namespace revproxyd::upstream {

namespace {

// Turns that a new balancer skips at most. More would not set workers further apart, only cost time
// at a reload.
constexpr std::uint64_t kMaxSkippedTurns = 1024;

class RoundRobin final : public Balancer {
 public:
  explicit RoundRobin(std::uint64_t seed) noexcept : random_(seed) {}

 private:
  void reset() override;
  std::size_t choose(std::span<const Candidate> candidates, PickKey key) noexcept override;

  RandomSource random_;
  std::vector<std::int64_t> credits_;  // by index of the endpoint
};

void RoundRobin::reset() {
  credits_.assign(endpoints().size(), 0);
  if (endpoints().size() < 2) return;
  std::vector<Candidate> all;
  std::uint64_t sum = 0;
  std::uint64_t divisor = 0;
  for (std::size_t index = 0; index < endpoints().size(); ++index) {
    const Endpoint& endpoint = *endpoints()[index];
    if (endpoint.backup()) continue;
    all.push_back({&endpoint, index, endpoint.weight()});
    sum += all.back().weight;
    divisor = std::gcd(divisor, all.back().weight);
  }
  if (all.empty()) return;
  const std::uint64_t round = sum / divisor;
  for (auto turns = random_.below(std::min(round, kMaxSkippedTurns)); turns > 0; --turns)
    choose(all, {});
}

std::size_t RoundRobin::choose(std::span<const Candidate> candidates, PickKey /*key*/) noexcept {
  std::int64_t earned = 0;
  std::int64_t most = std::numeric_limits<std::int64_t>::min();
  std::size_t richest = 0;
  for (std::size_t position = 0; position < candidates.size(); ++position) {
    const auto weight = static_cast<std::int64_t>(candidates[position].weight);
    const std::int64_t credit = credits_[candidates[position].index] += weight;
    earned += weight;
    if (credit <= most) continue;
    most = credit;
    richest = position;
  }
  credits_[candidates[richest].index] -= earned;
  return richest;
}

}  // namespace

std::unique_ptr<Balancer> make_round_robin(std::uint64_t seed) {
  return std::make_unique<RoundRobin>(seed);
}

}  // namespace revproxyd::upstream

#include "revproxyd/upstream/maglev_table.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <tuple>

#include "upstream/mix.h"

namespace revproxyd::upstream {

namespace {

constexpr std::uint16_t kFree = MaglevTable::kMostServers;

// A server's own order of all slots, and its turns to take the next free one of them.
struct Claim {
  std::uint16_t server;
  std::uint64_t weight;
  std::uint64_t hash;
  std::uint64_t slot;
  std::uint64_t step;
  std::uint64_t turns = 0;
};

struct Turn {
  std::uint64_t time;
  std::size_t claim;
  bool operator>(const Turn& other) const noexcept {
    return std::tie(time, claim) > std::tie(other.time, other.claim);
  }
};

std::vector<Claim> claims_of(std::span<const MaglevTable::Server> servers) {
  std::vector<Claim> claims;
  for (std::size_t index = 0; index < servers.size(); ++index) {
    const MaglevTable::Server& server = servers[index];
    if (server.weight == 0) continue;
    claims.push_back({static_cast<std::uint16_t>(index), server.weight, server.url_hash, 0, 0});
  }
  // The earlier of two has the first choice, so the order must not be that of the file.
  std::ranges::sort(claims, {}, &Claim::hash);
  return claims;
}

// Turns come at a pace in proportion to the weight; half a turn ahead, so that after any time a
// server has had its share to the nearest whole slot.
Turn next_turn(const std::vector<Claim>& claims, std::size_t which, std::uint64_t most) noexcept {
  const Claim& claim = claims[which];
  return {(2 * claim.turns + 1) * most / claim.weight, which};
}

}  // namespace

MaglevTable::MaglevTable(std::span<const Server> servers) {
  if (servers.size() > kMostServers) return;
  std::vector<Claim> claims = claims_of(servers);
  if (claims.size() < 2) return;
  const std::uint64_t most = std::ranges::max(claims, {}, &Claim::weight).weight;
  std::vector<Turn> first;
  for (std::size_t which = 0; which < claims.size(); ++which) {
    Claim& claim = claims[which];
    claim.slot = scale(mix(claim.hash, 1), kSlots);
    claim.step = 1 + scale(mix(claim.hash, 2), kSlots - 1);
    first.push_back(next_turn(claims, which, most));
  }
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> turns({}, std::move(first));
  slots_.assign(kSlots, kFree);
  for (std::uint64_t taken = 0; taken < kSlots; ++taken) {
    const std::size_t which = turns.top().claim;
    turns.pop();
    Claim& claim = claims[which];
    while (slots_[claim.slot] != kFree) {
      claim.slot += claim.step;
      if (claim.slot >= kSlots) claim.slot -= kSlots;
    }
    slots_[claim.slot] = claim.server;
    ++claim.turns;
    turns.push(next_turn(claims, which, most));
  }
}

std::size_t MaglevTable::owner(std::uint64_t hash) const noexcept {
  return slots_[scale(hash, kSlots)];
}

}  // namespace revproxyd::upstream

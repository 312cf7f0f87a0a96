#include "revproxyd/upstream/balancer.h"

#include <algorithm>

namespace revproxyd::upstream {

namespace {

// From best to worst; Balancer documents the order.
enum class Tier : std::uint8_t { usable_primary, usable_backup, out_primary, out_backup, unusable };

Tier tier_of(const Endpoint& endpoint, TimePoint now) noexcept {
  switch (endpoint.availability(now)) {
    case Availability::usable:
      return endpoint.backup() ? Tier::usable_backup : Tier::usable_primary;
    case Availability::taken_out: return endpoint.backup() ? Tier::out_backup : Tier::out_primary;
    case Availability::down: break;
  }
  return Tier::unusable;
}

bool was_tried(const PickQuery& query, const Endpoint* endpoint) noexcept {
  return std::find(query.tried.begin(), query.tried.end(), endpoint) != query.tried.end();
}

bool is_busy(const PickQuery& query, const Endpoint& endpoint) noexcept {
  if (!endpoint.at_connection_limit()) return false;
  return query.spare == nullptr || !query.spare->has_spare(endpoint);
}

}  // namespace

void Balancer::rebuild(std::span<const std::shared_ptr<Endpoint>> endpoints,
                       const MaglevTable* table) {
  table_ = table;
  endpoints_.assign(endpoints.begin(), endpoints.end());
  candidates_.clear();
  candidates_.reserve(endpoints_.size());
  reset();
}

bool Balancer::may_serve(std::size_t index, const PickQuery& query) const noexcept {
  const Endpoint& endpoint = *endpoints_[index];
  return tier_of(endpoint, query.now) == Tier::usable_primary && !was_tried(query, &endpoint) &&
         !is_busy(query, endpoint);
}

Pick Balancer::pick(const PickQuery& query) noexcept {
  if (const auto index = choose_at_once(query)) return {PickStatus::picked, *index};
  collect_best_tier(query.now);
  const auto tried = [&](const Candidate& candidate) {
    return was_tried(query, candidate.endpoint);
  };
  if (!query.tried.empty() &&
      (!query.allow_tried || !std::all_of(candidates_.begin(), candidates_.end(), tried))) {
    std::erase_if(candidates_, tried);
  }
  if (candidates_.empty()) return {PickStatus::none_usable};
  std::erase_if(candidates_,
                [&](const Candidate& candidate) { return is_busy(query, *candidate.endpoint); });
  if (candidates_.empty()) return {PickStatus::all_busy};
  const std::size_t position = candidates_.size() == 1 ? 0 : choose(candidates_, query.key);
  return {PickStatus::picked, candidates_[position].index};
}

void Balancer::collect_best_tier(TimePoint now) noexcept {
  candidates_.clear();
  Tier best = Tier::unusable;
  for (std::size_t index = 0; index < endpoints_.size(); ++index) {
    const Endpoint& endpoint = *endpoints_[index];
    const Tier tier = tier_of(endpoint, now);
    if (tier < best) {
      best = tier;
      candidates_.clear();
    }
    if (tier == best && tier != Tier::unusable) {
      candidates_.push_back({&endpoint, index, endpoint.weight()});
    }
  }
}

}  // namespace revproxyd::upstream

// To add a method: its file here, its line below, its test and its page in docs/balancers.

#include <algorithm>
#include <array>
#include <cassert>

#include "upstream/balancers/methods.h"

namespace revproxyd::upstream {

namespace {

constexpr std::array kBalancers{
    BalancerEntry{"first", BalanceMethod::first, &make_first},
    BalancerEntry{"hash", BalanceMethod::hash, &make_hash},
    BalancerEntry{"least_request", BalanceMethod::least_request, &make_least_request},
    BalancerEntry{"random", BalanceMethod::random, &make_random},
    BalancerEntry{"round_robin", BalanceMethod::round_robin, &make_round_robin},
};
static_assert(std::ranges::is_sorted(kBalancers, {}, &BalancerEntry::name));

const BalancerEntry& entry(BalanceMethod method) noexcept {
  const auto* found = std::ranges::find(kBalancers, method, &BalancerEntry::method);
  assert(found != kBalancers.end());
  return *found;
}

}  // namespace

std::span<const BalancerEntry> balancers() noexcept { return kBalancers; }

std::optional<BalanceMethod> find_balance_method(std::string_view name) noexcept {
  const auto* found = std::ranges::lower_bound(kBalancers, name, {}, &BalancerEntry::name);
  if (found == kBalancers.end() || found->name != name) return std::nullopt;
  return found->method;
}

std::string_view name(BalanceMethod method) noexcept { return entry(method).name; }

std::unique_ptr<Balancer> make_balancer(BalanceMethod method, std::uint64_t seed) {
  return entry(method).make(seed);
}

}  // namespace revproxyd::upstream

// Whether a server that has broken off under a request has died: Cluster::gone(). One request
// looks, by a connect of its own, for what the pool has may be dead as well; others that ask
// meanwhile share what it finds.

#include <algorithm>
#include <cassert>
#include <optional>

#include "revproxyd/upstream/cluster.h"
#include "upstream/blame.h"
#include "upstream/dial.h"

namespace revproxyd::upstream {

/// A request that waits for what another one finds. Nothing when that one left before it knew.
struct Cluster::Onlooker {
  Event done;
  std::optional<bool> gone;
};

/// In the frame of the request that looks.
struct Cluster::Look {
  Look(Cluster& owner, const Endpoint& at) : cluster(owner), endpoint(at) {
    cluster.looks_.push_back(this);
  }
  ~Look() {
    std::erase(cluster.looks_, this);
    for (Onlooker* one : onlookers) {
      one->gone = gone;
      one->done.set();
    }
  }
  Look(const Look&) = delete;
  Look& operator=(const Look&) = delete;

  Cluster& cluster;
  const Endpoint& endpoint;
  std::optional<bool> gone;
  std::vector<Onlooker*> onlookers;
};

// Whoever finds out first takes the server out, which tells the others.
Task<bool> Cluster::gone(const Endpoint& failed) {
  const auto found = std::ranges::find_if(
      pools_, [&failed](const auto& pool) { return &pool->endpoint() == &failed; });
  assert(found != pools_.end());
  Endpoint& endpoint = (*found)->endpoint();
  for (;;) {
    if (!has_other(endpoint)) co_return false;
    if (!endpoint.usable(loop_now())) co_return true;
    const auto under_way = std::ranges::find_if(
        looks_, [&failed](const Look* look) { return &look->endpoint == &failed; });
    if (under_way == looks_.end()) break;
    auto seen = co_await look_on(**under_way);
    if (seen) co_return *seen;
  }
  auto dead = co_await look(endpoint);
  co_return dead;
}

bool Cluster::has_other(const Endpoint& endpoint) const noexcept {
  const TimePoint now = loop_now();
  return std::ranges::any_of(pools_, [&](const auto& pool) {
    return &pool->endpoint() != &endpoint && pool->endpoint().usable(now);
  });
}

Task<std::optional<bool>> Cluster::look_on(Look& look) {
  Onlooker one;
  look.onlookers.push_back(&one);
  auto code = co_await one.done.wait();
  if (code == Code::none) co_return one.gone;
  // Whoever still knows this frame must forget it.
  for (Look* other : looks_) std::erase(other->onlookers, &one);
  co_return false;
}

// Like any connection it needs a place. Without one there are those that know better: who is served
// there, or is about to connect.
Task<bool> Cluster::look(Endpoint& endpoint) {
  if (!endpoint.try_acquire_connection()) co_return false;
  Look look(*this, endpoint);
  const Origin ourselves;
  auto code = Code::none;
  {
    auto made = co_await reach(endpoint, settings(), ourselves, settings().timeouts.connect);
    if (!made) code = made.error().code();
  }
  endpoint.release_connection();
  on_place_free();
  const CancelScope* scope = co_await current_scope();
  if (scope != nullptr && scope->cancelled()) co_return false;
  look.gone = blames(endpoint, code);
  if (*look.gone) {
    endpoint.count_connect_failure();
    take_out(endpoint);
  }
  co_return *look.gone;
}

}  // namespace revproxyd::upstream

#include "revproxyd/proxy/snapshot.h"

#include <algorithm>

namespace revproxyd::proxy {

Snapshot::Snapshot(std::shared_ptr<const Plan> plan, const Snapshot* previous, std::uint64_t seed)
    : plan_(std::move(plan)) {
  for (const PlanUpstream& wanted : plan_->upstreams()) {
    std::shared_ptr<upstream::Cluster> cluster;
    if (previous != nullptr) {
      // An upstream whose settings stayed has the same shared part, and its connections are as good
      // as before.
      for (const auto& known : previous->clusters_) {
        if (&known->shared() == wanted.shared.get()) cluster = known;
      }
    }
    if (cluster == nullptr) {
      cluster = std::make_shared<upstream::Cluster>(wanted.shared, wanted.tls, seed++);
      cluster->enlist();
    }
    clusters_.push_back(std::move(cluster));
  }
  if (previous == nullptr) return;
  for (const auto& known : previous->clusters_) {
    if (std::ranges::find(clusters_, known) == clusters_.end()) known->retire();
  }
}

Snapshot::~Snapshot() = default;

void Snapshot::close_idle() const noexcept {
  for (const auto& cluster : clusters_) cluster->close_idle();
}

}  // namespace revproxyd::proxy

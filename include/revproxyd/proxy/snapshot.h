#pragma once
// A plan together with one worker's clusters: what an exchange holds on to from its beginning to
// its end.

#include <memory>
#include <vector>

#include "revproxyd/proxy/plan.h"
#include "revproxyd/upstream/cluster.h"

namespace revproxyd::proxy {

/// Bound on its worker; its control block is never shared between cores.
class Snapshot {
 public:
  /// Takes over from `previous` (may be null) the clusters whose upstream is the same.
  Snapshot(std::shared_ptr<const Plan> plan, const Snapshot* previous, std::uint64_t seed);
  ~Snapshot();
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  const Plan& plan() const noexcept { return *plan_; }
  upstream::Cluster& cluster(std::size_t index) const noexcept { return *clusters_[index]; }
  /// Closes the worker's idle connections to all servers.
  void close_idle() const noexcept;

 private:
  std::shared_ptr<const Plan> plan_;
  std::vector<std::shared_ptr<upstream::Cluster>> clusters_;  // by the plan's upstream index
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace revproxyd::proxy

#pragma once
// Active checks: asks each server of an upstream, again and again, whether it is well.

#include <map>
#include <memory>
#include <set>

#include "revproxyd/base/event.h"
#include "revproxyd/base/task_group.h"
#include "revproxyd/tls/context.h"
#include "revproxyd/upstream/shared.h"

namespace revproxyd::upstream {

/// Runs on the loop of the thread that makes it, and marks endpoints up and down for all workers.
/// Probes use the servers' own scheme and TLS settings, one connection a probe. The first comes as
/// soon as the server has an address, the others at the interval with up to a fifth more or less,
/// so that servers and proxies do not fall into step.
class HealthChecks {
 public:
  /// The upstream has a health_check. `tls` is null when no server has an https URL. Goes on from
  /// what `previous` (may be null), the checks of the upstream until now, found out.
  HealthChecks(std::shared_ptr<Shared> shared, std::shared_ptr<const tls::ClientContext> tls,
               const HealthChecks* previous = nullptr);
  ~HealthChecks();
  HealthChecks(const HealthChecks&) = delete;
  HealthChecks& operator=(const HealthChecks&) = delete;

  void start();
  /// The name of `endpoint`, one of the upstream's, has come to stand for addresses.
  void note_addresses(const Endpoint& endpoint) noexcept;
  /// Asks the checks to end and waits for it; before destruction.
  Task<void> stop();

 private:
  Task<void> check(Endpoint& endpoint);

  std::shared_ptr<Shared> shared_;
  std::shared_ptr<const tls::ClientContext> tls_;
  std::map<const Endpoint*, Event> known_;  // those of shared_ that wait for an address
  TaskGroup group_;
  std::set<const Endpoint*> judged_;  // of shared_
};

}  // namespace revproxyd::upstream

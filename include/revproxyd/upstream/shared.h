#pragma once
// What the workers share of one upstream: its servers, the limits that hold over all of them, and
// who waits for a place.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "revproxyd/upstream/endpoint.h"
#include "revproxyd/upstream/maglev_table.h"
#include "revproxyd/upstream/settings.h"
#include "revproxyd/upstream/wait_queue.h"

namespace revproxyd::net {
class Loop;
}

namespace revproxyd::upstream {

class Cluster;

/// Made from settings by who builds a plan; endpoints and waiting requests carry over from the plan
/// before. Counters are atomics.
class Shared {
 public:
  /// Takes over from `previous` (may be null) the endpoints whose URL stays; apply() gives them the
  /// new settings.
  Shared(UpstreamSettings settings, const Shared* previous);
  /// The configuration that this belongs to is in force: weights, limits and backup marks of the
  /// servers follow it, and who waits gets what there is more of.
  void apply();
  /// That server may be used, or has more places than before: wakes as many of those that wait as
  /// it has room for.
  void wake_for(const Endpoint& endpoint);
  /// A server may not be used any more: who waits for it may go to another, or learns that there is
  /// none.
  void wake_from(const Endpoint& endpoint);

  const UpstreamSettings& settings() const noexcept { return settings_; }
  const std::vector<std::shared_ptr<Endpoint>>& endpoints() const noexcept { return endpoints_; }

  /// What the workers' balancers look keys up in; null where the method is not `hash`.
  const MaglevTable* table() const noexcept { return table_.empty() ? nullptr : &table_; }

  /// Counts a request in against limits.max_requests; false when as many are under way.
  bool try_begin_request() noexcept;
  /// Counts in what is under way already, be it more than the limit.
  void count_in(std::uint32_t requests) noexcept;
  void end_request() noexcept;

  /// Who waits for a connection, and who for max_requests.
  WaitQueue& places() noexcept { return queues_->places; }
  WaitQueue& turns() noexcept { return queues_->turns; }
  /// Below limits.max_requests, or without such a limit.
  bool has_turn() const noexcept;

  /// The workers' clusters, so that one at a limit can ask the others for their idle connections.
  void enlist(net::Loop& loop, std::weak_ptr<Cluster> cluster);
  void ask_for_idle(const net::Loop& asking);

 private:
  struct Member {
    net::Loop* loop;
    std::weak_ptr<Cluster> cluster;
  };

  // One for all that this upstream ever was: what an older configuration still has under way counts
  // against the limit of the new one, and what waits there waits for the new one's places.
  struct Queues {
    WaitQueue places;
    WaitQueue turns;
    std::atomic<std::uint32_t> active{0};        // requests that are counted against max_requests
    std::atomic<std::uint32_t> max_requests{0};  // of the configuration in force
  };

  void fill_table();

  UpstreamSettings settings_;
  std::vector<std::shared_ptr<Endpoint>> endpoints_;
  MaglevTable table_;
  std::shared_ptr<Queues> queues_;
  std::mutex mutex_;
  std::vector<Member> members_;
};

}  // namespace revproxyd::upstream

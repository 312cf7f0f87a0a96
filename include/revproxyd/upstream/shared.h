#pragma once
// What the workers share of one upstream: its servers, the limits that hold over all of them, and who waits for a place.

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "revproxyd/upstream/endpoint.h"
#include "revproxyd/upstream/settings.h"

namespace revproxyd::net {
class Loop;
}

namespace revproxyd::upstream {

class Cluster;

/// Made from settings by who builds a plan; endpoints carry over from the plan before by identity. Counters are atomics; the list of waiting
/// requests has a mutex that is taken only when servers are full, never held across a suspension.
class Shared {
 public:
  /// Takes over from `previous` (may be null) the endpoints whose URL stays; apply() gives them the new settings.
  Shared(UpstreamSettings settings, const Shared* previous);
  /// The configuration that this belongs to is in force: weights, limits and backup marks of the servers follow it.
  void apply() noexcept;

  const UpstreamSettings& settings() const noexcept { return settings_; }
  const std::vector<std::shared_ptr<Endpoint>>& endpoints() const noexcept { return endpoints_; }

  /// Counts a request in against limits.max_requests.
  bool try_begin_request() noexcept;
  void end_request() noexcept;

  /// One request that waits. It is called on its own loop, once, unless it left before.
  struct Ticket {
    net::Loop* loop = nullptr;
    std::weak_ptr<Cluster> cluster;
    std::uint64_t id = 0;
  };
  /// False when limits.max_pending wait already. `front`: it has waited before and only lost its place to a faster one.
  bool enqueue(const Ticket& ticket, bool front);
  void leave(std::uint64_t id) noexcept;
  bool anyone_waiting() const noexcept { return waiting_.load(std::memory_order_relaxed) != 0; }
  /// The loop of the request that is next, or null.
  net::Loop* next_loop() const;
  /// Wakes the request that is next.
  void wake_one();
  std::uint64_t new_id() noexcept { return next_id_.fetch_add(1, std::memory_order_relaxed); }

  /// The workers' clusters, so that one at a limit can ask the others for their idle connections.
  void enlist(net::Loop& loop, std::weak_ptr<Cluster> cluster);
  void ask_for_idle(const net::Loop& asking);

 private:
  struct Member {
    net::Loop* loop;
    std::weak_ptr<Cluster> cluster;
  };

  UpstreamSettings settings_;
  std::vector<std::shared_ptr<Endpoint>> endpoints_;
  std::atomic<std::uint32_t> active_{0};
  std::atomic<std::uint32_t> waiting_{0};
  std::atomic<std::uint64_t> next_id_{1};
  mutable std::mutex mutex_;
  std::deque<Ticket> queue_;
  std::vector<Member> members_;
};

}  // namespace revproxyd::upstream

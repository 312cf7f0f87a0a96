#pragma once
// One worker's view of an upstream: picks a server, finds or makes a connection, waits when all are
// full.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "revproxyd/base/event.h"
#include "revproxyd/base/task.h"
#include "revproxyd/upstream/balancer.h"
#include "revproxyd/upstream/pool.h"
#include "revproxyd/upstream/retry_budget.h"
#include "revproxyd/upstream/shared.h"

namespace revproxyd::upstream {

/// What a request asks of the cluster; needs no HTTP, so that anything which moves bytes can use
/// it.
struct Demand {
  PickKey key;
  Origin origin;
  Reuse reuse;
  std::span<const Endpoint* const> tried;  // by earlier attempts
};

/// A stream to a server. Counts the request at the server and the upstream until it is destroyed;
/// both outlive it, held by the snapshot that the exchange keeps.
class Lease {
 public:
  /// `cluster` outlives it, and has given the request its turn.
  Lease(Cluster& cluster, Endpoint& endpoint, std::unique_ptr<http::ClientStream> stream) noexcept;
  Lease(Lease&& other) noexcept;
  Lease& operator=(Lease&&) = delete;
  ~Lease();

  Endpoint& endpoint() noexcept { return *endpoint_; }
  http::ClientStream& stream() noexcept { return *stream_; }

 private:
  Cluster* cluster_;
  Endpoint* endpoint_;
  std::unique_ptr<http::ClientStream> stream_;
};

/// The result of one try to get a stream: which server it was also when it failed.
struct Acquired {
  Acquired(const Endpoint* tried_endpoint, Result<Lease> result) noexcept
      : endpoint(tried_endpoint), lease(std::move(result)) {}
  const Endpoint* endpoint;  // null when none was picked
  Result<Lease> lease;
  bool joined = false;  // it waited for a connection of another request
  bool told = false;    // which tells of the failure
};

/// Survives a reload that leaves its upstream's settings alone. Dies with the last snapshot that
/// names it.
class Cluster final : public std::enable_shared_from_this<Cluster>, private PoolListener {
 public:
  Cluster(std::shared_ptr<Shared> shared, std::shared_ptr<const tls::ClientContext> tls,
          std::uint64_t seed);
  ~Cluster();
  /// Call once, on the worker, after construction.
  void enlist();

  const UpstreamSettings& settings() const noexcept { return shared_->settings(); }
  Shared& shared() noexcept { return *shared_; }

  /// Picks a server and gets a stream to it. Waits in the queue while every server is full, at most
  /// limits.queue_timeout. `waited` gets the time in the queue. Errors: no_server, queue_full,
  /// queue_timeout, and those of Pool::connect.
  Task<Acquired> acquire(const Demand& demand, Clock::duration& waited);

  RetryBudget& retry_budget() noexcept { return retry_budget_; }
  /// Whether a server that has just broken off takes no connections any more, and there is another
  /// to go to; it is taken out then. Asks by connecting, within timeouts.connect, where
  /// max_connections allows one more. To be asked by who holds no stream any more.
  Task<bool> gone(const Endpoint& endpoint);
  /// Wakes the request of `ticket`, which was in `queue`; if it has left, the next one.
  void wake(WaitQueue& queue, const WaitQueue::Ticket& ticket) noexcept;
  void close_idle() noexcept;
  /// Serves no new request any more: closes what is idle, since it holds places that others may
  /// want. What is under way counts against the limit of whoever comes after.
  void retire() noexcept;
  /// Another worker is out of places: closes one idle connection of a server that is at its limit.
  void give_up_idle() noexcept;

 private:
  friend class Lease;
  class Spare;
  /// Of a request on one of the queues.
  struct Claim {
    std::uint64_t id = 0;   // of its ticket; 0: it has not waited
    bool admitted = false;  // by limits.max_pending, when it came to wait for its turn
  };
  struct Look;
  struct Onlooker;

  void lease_begins() noexcept;
  void lease_ends() noexcept;
  Pick pick(const Demand& demand) noexcept;
  Task<Acquired> connect(Pool& pool, const Origin& origin);
  Task<std::optional<Acquired>> join(Pool& pool, const Origin& origin);
  bool has_other(const Endpoint& endpoint) const noexcept;
  Task<bool> look(Endpoint& endpoint);
  Task<std::optional<bool>> look_on(Look& look);
  bool any_taken_out() const noexcept;
  /// Within what is left of limits.queue_timeout after `waited`.
  Task<Result<void>> wait_in(WaitQueue& queue, const Demand* demand, Claim& claim,
                             Clock::duration waited);
  bool came_free(const Demand* demand) noexcept;
  bool is_of_use_to_others(const Demand* demand) noexcept;
  void take_out(Endpoint& endpoint, std::uint64_t trial = 0);
  bool overtakes(const Demand& demand) const noexcept;
  Task<Acquired> acquire_turn(const Demand& demand, Clock::duration& waited);
  Task<Acquired> acquire_counted(const Demand& demand, Clock::duration& waited,
                                 bool admitted = false);
  Task<Acquired> acquire_waiting(const Demand& demand, Clock::duration& waited, Pick picked,
                                 bool admitted);
  std::size_t room_to_wait(const Demand* demand) const noexcept;
  std::optional<Acquired> at_once(const Pick& picked, const Demand& demand) noexcept;
  bool on_idle() noexcept override;
  void on_place_free() noexcept override;
  void on_room() noexcept override;
  bool anyone_waits() const noexcept override { return shared_->places().anyone(); }
  bool wanted_elsewhere() const noexcept override;
  bool has_none() const noexcept;
  bool needs_place(const Demand* demand) const noexcept;

  std::shared_ptr<Shared> shared_;
  std::vector<std::unique_ptr<Pool>> pools_;  // in the order of the endpoints
  std::unique_ptr<Balancer> balancer_;
  RetryBudget retry_budget_;
  std::unordered_map<std::uint64_t, Event*> waiting_;
  std::vector<Look*> looks_;     // at servers that may be gone
  std::uint32_t uncounted_ = 0;  // leases of which the other workers know nothing
  bool retired_ = false;
};

}  // namespace revproxyd::upstream

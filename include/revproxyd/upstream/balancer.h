#pragma once
// Which server gets the next request. The rules that hold for every method (health, backups,
// limits, retries) are decided here once; a method only chooses among the servers that they leave.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "revproxyd/base/units.h"
#include "revproxyd/upstream/endpoint.h"
#include "revproxyd/upstream/maglev_table.h"
#include "revproxyd/upstream/settings.h"

namespace revproxyd::upstream {

/// A good non-cryptographic 64-bit hash with a fixed seed, so that workers, restarts and machines
/// agree. Whoever picks the bytes can make them collide: fit for spreading load, not for tables
/// that a client could degrade.
std::uint64_t hash_bytes(std::string_view bytes) noexcept;

/// What `hash` chooses by. Without a key (no such cookie, say) it spreads requests at random.
struct PickKey {
  std::uint64_t hash = 0;
  bool has_hash = false;
};

/// Asked about a server at its connection limit: can this worker send a request over a connection
/// that it has already?
class SpareConnections {
 public:
  virtual bool has_spare(const Endpoint& endpoint) const noexcept = 0;

 protected:
  ~SpareConnections() = default;
};

/// One question to a balancer. What it points to is used during the call only.
struct PickQuery {
  PickKey key;
  TimePoint now;
  /// By earlier attempts of this request; compared, never dereferenced.
  std::span<const Endpoint* const> tried;
  /// If every server that could serve was tried, pick among these again.
  bool allow_tried = false;
  /// Null: every server at its limit is busy.
  const SpareConnections* spare = nullptr;
};

enum class PickStatus : std::uint8_t {
  picked,
  none_usable,  // no server could serve, or each was tried and allow_tried is false
  all_busy,     // there are servers, but each is at its connection limit: waiting may help
};

struct Pick {
  PickStatus status = PickStatus::none_usable;
  std::size_t index = 0;  // into the span of the last rebuild(), if picked
};

/// Belongs to one worker, holds no lock, and does not allocate in pick().
///
/// Servers stand in tiers, and the first tier that has any is the only one that counts:
///   1. primaries that are usable   2. backups that are usable
///   3. primaries taken out by a failed connect   4. backups taken out by one
/// Servers that the active check calls down are in none. Tiers 3 and 4 are why a take-out never
/// takes the last server. Neither a busy nor a tried server makes way for a lower tier: overload
/// must not spill over to the backups.
class Balancer {
 public:
  virtual ~Balancer() = default;
  Balancer(const Balancer&) = delete;
  Balancer& operator=(const Balancer&) = delete;

  /// Takes a new set of servers, in file order; the method begins afresh. O(n); round_robin up to
  /// 1024 turns of O(n). Changes of health need no rebuild, nor, but for `hash`, those of weight or
  /// backup. `table` is what `hash` looks keys up in; it outlives the balancer, and without one
  /// `hash` makes its own.
  void rebuild(std::span<const std::shared_ptr<Endpoint>> endpoints,
               const MaglevTable* table = nullptr);
  /// O(n) over the servers; `hash` as a rule O(1).
  Pick pick(const PickQuery& query) noexcept;

 protected:
  /// A server that may be picked, with its weight as read once for this pick.
  struct Candidate {
    const Endpoint* endpoint;
    std::size_t index;
    std::uint64_t weight;
  };

  Balancer() = default;
  std::span<const std::shared_ptr<Endpoint>> endpoints() const noexcept { return endpoints_; }
  const MaglevTable* table() const noexcept { return table_; }
  /// Of the first tier, neither tried nor busy: whoever picks it has kept all the rules.
  bool may_serve(std::size_t index, const PickQuery& query) const noexcept;

 private:
  virtual void reset() = 0;  // after endpoints() has changed
  /// A server that may_serve(), for a method that need not look at all of them; nothing: they are
  /// looked at.
  virtual std::optional<std::size_t> choose_at_once(const PickQuery& /*query*/) noexcept {
    return std::nullopt;
  }
  /// One of two or more candidates, which are in file order: its position in the span.
  virtual std::size_t choose(std::span<const Candidate> candidates, PickKey key) noexcept = 0;

  void collect_best_tier(TimePoint now) noexcept;

  std::vector<std::shared_ptr<Endpoint>> endpoints_;
  const MaglevTable* table_ = nullptr;
  std::vector<Candidate> candidates_;  // of the current pick; capacity for all
};

/// A method as the configuration names it.
struct BalancerEntry {
  std::string_view name;
  BalanceMethod method;
  /// `seed`: random, different for each worker, so that they do not all begin at the same server.
  std::unique_ptr<Balancer> (*make)(std::uint64_t seed);
};

/// All methods, sorted by name.
std::span<const BalancerEntry> balancers() noexcept;
std::optional<BalanceMethod> find_balance_method(std::string_view name) noexcept;
std::string_view name(BalanceMethod method) noexcept;
/// An empty balancer; rebuild() gives it servers.
std::unique_ptr<Balancer> make_balancer(BalanceMethod method, std::uint64_t seed);

}  // namespace revproxyd::upstream

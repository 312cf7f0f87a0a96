#pragma once
// One server of an upstream, seen by all workers at once: what it may be sent, whether it is well,
// and how busy it is.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "revproxyd/base/units.h"
#include "revproxyd/net/address.h"
#include "revproxyd/net/settings.h"
#include "revproxyd/upstream/settings.h"

namespace revproxyd::upstream {

/// How long a failed connect keeps a server out. Then one request tries it again.
inline constexpr Duration kTakeOut{1000};

/// Whether a server may be given requests, from best to worst.
enum class Availability : std::uint8_t {
  usable,
  taken_out,  // a connect failed less than kTakeOut ago, or somebody finds out whether one fails
              // still; better than no server at all
  down,       // the active check says so
};

using AddressList = std::vector<net::Address>;

/// Shared by all workers through shared_ptr and kept over reloads by its identity, (upstream's
/// name, url().text). Every member function may be called on any thread. Counters are relaxed: they
/// say how much, never in which order.
class Endpoint {
 public:
  Endpoint(std::string upstream, const ServerSettings& server);
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  const std::string& upstream() const noexcept { return upstream_; }
  const net::ServerUrl& url() const noexcept { return url_; }
  /// Hash of url().text: the same in every worker and after every restart.
  std::uint64_t url_hash() const noexcept { return url_hash_; }

  /// Takes over weight, backup and max_connections after a reload; `server` has this endpoint's
  /// url. A limit below the number of connections that are open closes none: there is no new one
  /// until enough have gone.
  void update(const ServerSettings& server) noexcept;
  /// 1 or more; a weight of 0 in the settings counts as 1.
  std::uint32_t weight() const noexcept { return weight_.load(std::memory_order_relaxed); }
  bool backup() const noexcept { return backup_.load(std::memory_order_relaxed); }
  std::uint32_t max_connections() const noexcept {
    return max_connections_.load(std::memory_order_relaxed);
  }

  /// The verdict of the active check. mark_up() also ends a take-out, since the check has just
  /// connected.
  void mark_down() noexcept;
  void mark_up() noexcept;
  /// A connect has failed: out until kTakeOut after `now`. Shortens no take-out but that for
  /// `trial`, if the connect was one. True when it was usable before.
  bool take_out(TimePoint now, std::uint64_t trial = 0) noexcept;
  /// To be asked by who is about to connect. When a take-out is over the first to ask gets a number
  /// other than 0 and tries alone: for the others the server is out for `most` from `now` on, or
  /// until take_out(), end_take_out() or end_trial() tell what became of it.
  std::uint64_t begin_trial(TimePoint now, Duration most) noexcept;
  /// The trial has shown nothing: the next may try. True when nothing else has ended it before.
  bool end_trial(std::uint64_t trial) noexcept;
  /// A connect has succeeded. True when it ends a take-out or a trial.
  bool end_take_out() noexcept;
  /// Times count in whole milliseconds.
  Availability availability(TimePoint now) const noexcept {
    const std::uint64_t word = health_.load(std::memory_order_relaxed);
    return word == 0 ? Availability::usable : judge(word, now);
  }
  bool usable(TimePoint now) const noexcept { return availability(now) == Availability::usable; }

  /// Counts a connection in unless max_connections are open over all workers; false if so. Whoever
  /// got true calls release_connection() once, when the connection has gone or could not be made.
  bool try_acquire_connection() noexcept;
  void release_connection() noexcept;
  std::uint32_t open_connections() const noexcept {
    return open_connections_.load(std::memory_order_relaxed);
  }
  bool at_connection_limit() const noexcept {
    const std::uint32_t limit = max_connections();
    return limit != 0 && open_connections() >= limit;
  }

  /// Around the wait of a request for a connection to this server, over all workers.
  void begin_arrival() noexcept { arriving_.fetch_add(1, std::memory_order_relaxed); }
  void end_arrival() noexcept;
  /// Around each attempt at this server from when it has a connection, over all workers; begin
  /// counts into requests() too.
  void begin_request() noexcept;
  void end_request() noexcept;
  std::uint32_t active_requests() const noexcept {
    return active_requests_.load(std::memory_order_relaxed);
  }
  /// What was sent here and has not ended, with a connection or without: what a method that goes by
  /// load compares.
  std::uint32_t load() const noexcept {
    return active_requests() + arriving_.load(std::memory_order_relaxed);
  }

  /// Connections over all workers that surely have nothing to do: those beyond what was sent here.
  std::uint32_t idle_connections() const noexcept {
    const std::uint32_t open = open_connections();
    return open - std::min(open, load());
  }

  /// Totals since the endpoint was made. A failed connect counts as a failure as well.
  void count_failure() noexcept { failures_.fetch_add(1, std::memory_order_relaxed); }
  void count_connect_failure() noexcept;
  std::uint64_t requests() const noexcept { return requests_.load(std::memory_order_relaxed); }
  std::uint64_t failures() const noexcept { return failures_.load(std::memory_order_relaxed); }
  std::uint64_t connect_failures() const noexcept {
    return connect_failures_.load(std::memory_order_relaxed);
  }

  /// What the name resolved to last; null until the first success. The list never changes once it
  /// is published.
  std::shared_ptr<const AddressList> addresses() const noexcept { return addresses_.load(); }
  /// Counts the lists: an address that was in one may be missing in the next.
  std::uint32_t addresses_version() const noexcept {
    return addresses_version_.load(std::memory_order_acquire);
  }
  /// Publishes a list of one address or more and clears resolve_failed().
  void set_addresses(std::shared_ptr<const AddressList> list) noexcept;
  /// The last try to resolve failed; the addresses known before stay in use.
  void note_resolve_failure() noexcept { resolve_failed_.store(true, std::memory_order_relaxed); }
  bool resolve_failed() const noexcept { return resolve_failed_.load(std::memory_order_relaxed); }

 private:
  // A shared_ptr that threads read and replace. The one of libstdc++ 12 lets a reader go with a
  // relaxed store, which is a data race with the next writer (ThreadSanitizer reports it); this one
  // is held for a copy or a swap only.
  class AddressCell {
   public:
    std::shared_ptr<const AddressList> load() const noexcept;
    void store(std::shared_ptr<const AddressList> list) noexcept;

   private:
    void lock() const noexcept;
    void unlock() const noexcept { held_.clear(std::memory_order_release); }

    mutable std::atomic_flag held_;
    std::shared_ptr<const AddressList> list_;
  };

  static Availability judge(std::uint64_t health, TimePoint now) noexcept;

  // Read at every pick and seldom written: apart from the counters, which every request writes.
  const std::string upstream_;
  const net::ServerUrl url_;
  const std::uint64_t url_hash_;
  std::atomic<std::uint32_t> weight_;
  std::atomic<std::uint32_t> max_connections_;
  std::atomic<bool> backup_;
  std::atomic<bool> resolve_failed_ = false;
  // End of the take-out in ms << 1 | down. An end that has passed stays until a connect succeeds.
  std::atomic<std::uint64_t> health_ = 0;
  AddressCell addresses_;
  std::atomic<std::uint32_t> addresses_version_ = 0;

  alignas(64) std::atomic<std::uint32_t> open_connections_ = 0;
  std::atomic<std::uint32_t> active_requests_ = 0;
  std::atomic<std::uint32_t> arriving_ = 0;
  std::atomic<std::uint64_t> requests_ = 0;
  std::atomic<std::uint64_t> failures_ = 0;
  std::atomic<std::uint64_t> connect_failures_ = 0;
};

}  // namespace revproxyd::upstream

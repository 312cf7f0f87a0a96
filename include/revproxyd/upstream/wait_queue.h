#pragma once
// Requests that wait for the same thing, in the order they came, over all workers.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>

namespace revproxyd::net {
class Loop;
}

namespace revproxyd::upstream {

class Cluster;

/// Lives over reloads, because who gives a place back may belong to another configuration than who
/// waits for it. The mutex is taken only while somebody waits, and never held across a suspension.
class WaitQueue {
 public:
  /// One request that waits. Its cluster is told on its own loop, once, unless it left before.
  struct Ticket {
    net::Loop* loop = nullptr;
    std::weak_ptr<Cluster> cluster;
    std::uint64_t id = 0;             // of new_id(), when it came; who waits again keeps it
    bool without_connection = false;  // its worker has none to any server of the upstream
    bool needs_place = false;         // room on a connection that is in use will not do
  };

  /// False when `limit` wait already. `again`: it has waited before and was woken in vain; it goes
  /// where it was, before all that came later. The caller looks again for what it waits for
  /// afterwards: it may have come free before anybody could see the ticket.
  bool enqueue(Ticket ticket, bool again, std::size_t limit);
  void leave(std::uint64_t id) noexcept;
  /// Cheap, and may be stale.
  bool anyone() const noexcept { return waiting() != 0; }
  std::size_t waiting() const noexcept { return waiting_.load(std::memory_order_relaxed); }
  /// Whether a request that comes now would overtake another that waits, or was told and has not
  /// gone on yet: then it is to queue up as well. One that can do with room on a connection in use
  /// passes those that cannot. Cheap, and may be stale.
  bool anyone_before(bool needs_place) const noexcept {
    return (needs_place ? before_->all : before_->roomy).load(std::memory_order_relaxed) != 0;
  }
  /// A request that was told goes on, or was not there any more. Once for each that is told.
  void answered(bool needs_place) noexcept { before_->remove(needs_place); }
  /// The loop of the request that is next, or null.
  net::Loop* next_loop() const;
  bool next_is_without_connection() const;
  /// Something came free: wakes the request that is next, if there is one, of those that came after
  /// the one with the id `behind`.
  void wake_one(std::uint64_t behind = 0);
  /// The same for room on a connection of this cluster.
  void wake_one_of(const std::weak_ptr<Cluster>& cluster, std::uint64_t behind = 0);
  /// Unlike any other of the process, whatever the queue.
  static std::uint64_t new_id() noexcept {
    return next_id_.fetch_add(1, std::memory_order_relaxed);
  }

 private:
  // Tickets that wait, or whose request was told and has not answered.
  struct Before {
    std::atomic<std::uint32_t> all{0};
    std::atomic<std::uint32_t> roomy{0};  // those that do not need a place
    void add(bool needs_place) noexcept;
    void remove(bool needs_place) noexcept;
  };

  template <typename Matching>
  void wake_first(const Matching& matching);
  void take_out(std::deque<Ticket>::iterator ticket);
  void tell(Ticket ticket);

  std::atomic<std::uint32_t> waiting_{0};
  std::shared_ptr<Before> before_ = std::make_shared<Before>();  // word to the dead outlives this
  inline static std::atomic<std::uint64_t> next_id_{1};
  mutable std::mutex mutex_;
  std::deque<Ticket> queue_;
};

}  // namespace revproxyd::upstream

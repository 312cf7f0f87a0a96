#include "revproxyd/upstream/wait_queue.h"

#include <algorithm>
#include <utility>

#include "revproxyd/net/loop.h"
#include "revproxyd/upstream/cluster.h"

namespace revproxyd::upstream {

void WaitQueue::Before::add(bool needs_place) noexcept {
  all.fetch_add(1, std::memory_order_relaxed);
  if (!needs_place) roomy.fetch_add(1, std::memory_order_relaxed);
}

void WaitQueue::Before::remove(bool needs_place) noexcept {
  all.fetch_sub(1, std::memory_order_relaxed);
  if (!needs_place) roomy.fetch_sub(1, std::memory_order_relaxed);
}

bool WaitQueue::enqueue(Ticket ticket, bool again, std::size_t limit) {
  {
    const std::lock_guard lock(mutex_);
    if (!again && queue_.size() >= limit) return false;
    before_->add(ticket.needs_place);
    // Nearly sorted: workers number and queue up side by side.
    const auto place = again ? std::find_if(queue_.begin(), queue_.end(),
                                            [&](const Ticket& one) { return one.id > ticket.id; })
                             : queue_.end();
    queue_.insert(place, std::move(ticket));
    waiting_.store(static_cast<std::uint32_t>(queue_.size()), std::memory_order_relaxed);
  }
  // With the fence in wake_one(): either the one who frees sees this ticket, or the look that
  // follows sees what was freed.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return true;
}

void WaitQueue::leave(std::uint64_t id) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(queue_.begin(), queue_.end(),
                                  [id](const Ticket& ticket) { return ticket.id == id; });
  if (found == queue_.end()) return;
  before_->remove(found->needs_place);
  take_out(found);
}

net::Loop* WaitQueue::next_loop() const {
  const std::lock_guard lock(mutex_);
  return queue_.empty() ? nullptr : queue_.front().loop;
}

bool WaitQueue::next_is_without_connection() const {
  const std::lock_guard lock(mutex_);
  return !queue_.empty() && queue_.front().without_connection;
}

// With mutex_ held.
void WaitQueue::take_out(std::deque<Ticket>::iterator ticket) {
  queue_.erase(ticket);
  waiting_.store(static_cast<std::uint32_t>(queue_.size()), std::memory_order_relaxed);
}

// At once where that can be: others would be served before the word has come round.
void WaitQueue::tell(Ticket ticket) {
  auto word = [this, before = before_, ticket] {
    // The cluster keeps this queue alive.
    if (auto alive = ticket.cluster.lock()) {
      alive->wake(*this, ticket);
    } else {
      before->remove(ticket.needs_place);
    }
  };
  if (ticket.loop->is_current()) {
    word();
  } else {
    ticket.loop->post(std::move(word));
  }
}

template <typename Matching>
void WaitQueue::wake_first(const Matching& matching) {
  if (!anyone()) return;
  Ticket ticket;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(queue_.begin(), queue_.end(), matching);
    if (found == queue_.end()) return;
    ticket = std::move(*found);
    take_out(found);
  }
  tell(std::move(ticket));
}

void WaitQueue::wake_one(std::uint64_t behind) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  wake_first([behind](const Ticket& ticket) { return ticket.id > behind; });
}

void WaitQueue::wake_one_of(const std::weak_ptr<Cluster>& cluster, std::uint64_t behind) {
  wake_first([&](const Ticket& ticket) {
    return ticket.id > behind && !ticket.needs_place && !ticket.cluster.owner_before(cluster) &&
           !cluster.owner_before(ticket.cluster);
  });
}

}  // namespace revproxyd::upstream

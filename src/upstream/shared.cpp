#include "revproxyd/upstream/shared.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "revproxyd/base/deadline.h"
#include "revproxyd/net/loop.h"
#include "revproxyd/upstream/cluster.h"

namespace revproxyd::upstream {

namespace {

// As many as there is room for, and no more than wait now: who finds nothing free waits again.
void wake_within(WaitQueue& queue, std::uint32_t limit, std::uint32_t used) {
  std::size_t wakes = queue.waiting();
  if (limit != 0) wakes = std::min<std::size_t>(wakes, limit - std::min(limit, used));
  for (; wakes != 0; --wakes) queue.wake_one();
}

}  // namespace

Shared::Shared(UpstreamSettings settings, const Shared* previous)
    : settings_(std::move(settings)),
      queues_(previous != nullptr ? previous->queues_ : std::make_shared<Queues>()) {
  std::unordered_map<std::string_view, std::shared_ptr<Endpoint>> known;  // by the URL's text
  if (previous != nullptr) {
    for (const auto& endpoint : previous->endpoints_)
      known.insert_or_assign(endpoint->url().text, endpoint);
  }
  for (const ServerSettings& server : settings_.servers) {
    const auto found = known.find(server.url.text);
    const bool stays = found != known.end() && found->second->url() == server.url;
    endpoints_.push_back(stays ? found->second
                               : std::make_shared<Endpoint>(settings_.name, server));
  }
  if (settings_.balance.method == BalanceMethod::hash) fill_table();
  if (previous == nullptr) queues_->max_requests = settings_.limits.max_requests;
}

// From the settings: the endpoints that carry over know their new weights only after apply().
void Shared::fill_table() {
  std::vector<MaglevTable::Server> servers;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    const ServerSettings& server = settings_.servers[i];
    servers.push_back({endpoints_[i]->url_hash(), server.backup ? 0 : std::max(server.weight, 1U)});
  }
  table_ = MaglevTable(servers);
}

void Shared::apply() {
  for (std::size_t i = 0; i < endpoints_.size(); ++i) endpoints_[i]->update(settings_.servers[i]);
  queues_->max_requests.store(settings_.limits.max_requests, std::memory_order_relaxed);
  for (const auto& endpoint : endpoints_) wake_for(*endpoint);
  wake_within(turns(), settings_.limits.max_requests,
              queues_->active.load(std::memory_order_relaxed));
}

void Shared::wake_for(const Endpoint& endpoint) {
  wake_within(places(), endpoint.max_connections(), endpoint.open_connections());
}

void Shared::wake_from(const Endpoint& endpoint) {
  const TimePoint now = loop_now();
  bool any = false;
  for (const auto& other : endpoints_) {
    if (other.get() == &endpoint || !other->usable(now)) continue;
    any = true;
    wake_for(*other);
  }
  if (!any) wake_within(places(), 0, 0);
}

bool Shared::try_begin_request() noexcept {
  const std::uint32_t limit = queues_->max_requests.load(std::memory_order_relaxed);
  std::uint32_t active = queues_->active.load(std::memory_order_relaxed);
  do {
    if (limit != 0 && active >= limit) return false;
  } while (!queues_->active.compare_exchange_weak(active, active + 1, std::memory_order_relaxed));
  return true;
}

void Shared::count_in(std::uint32_t requests) noexcept {
  queues_->active.fetch_add(requests, std::memory_order_relaxed);
}

void Shared::end_request() noexcept {
  queues_->active.fetch_sub(1, std::memory_order_relaxed);
  turns().wake_one();
}

bool Shared::has_turn() const noexcept {
  const std::uint32_t limit = queues_->max_requests.load(std::memory_order_relaxed);
  return limit == 0 || queues_->active.load(std::memory_order_relaxed) < limit;
}

void Shared::enlist(net::Loop& loop, std::weak_ptr<Cluster> cluster) {
  const std::lock_guard lock(mutex_);
  members_.push_back({&loop, std::move(cluster)});
}

void Shared::ask_for_idle(const net::Loop& asking) {
  const std::lock_guard lock(mutex_);
  for (const Member& member : members_) {
    if (member.loop == &asking) continue;
    member.loop->post([cluster = member.cluster] {
      if (auto alive = cluster.lock()) alive->give_up_idle();
    });
  }
}

}  // namespace revproxyd::upstream

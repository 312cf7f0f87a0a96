#include "revproxyd/upstream/shared.h"

#include <algorithm>

#include "revproxyd/net/loop.h"
#include "revproxyd/upstream/cluster.h"

namespace revproxyd::upstream {

Shared::Shared(UpstreamSettings settings, const Shared* previous)
    : settings_(std::move(settings)),
      queues_(previous != nullptr ? previous->queues_ : std::make_shared<Queues>()) {
  for (const ServerSettings& server : settings_.servers) {
    std::shared_ptr<Endpoint> endpoint;
    if (previous != nullptr) {
      for (const auto& known : previous->endpoints_) {
        if (known->url() == server.url) endpoint = known;
      }
    }
    if (endpoint == nullptr) endpoint = std::make_shared<Endpoint>(settings_.name, server);
    endpoints_.push_back(std::move(endpoint));
  }
  if (settings_.balance.method == BalanceMethod::hash) fill_table();
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

void Shared::apply() noexcept {
  for (std::size_t i = 0; i < endpoints_.size(); ++i) endpoints_[i]->update(settings_.servers[i]);
}

bool Shared::try_begin_request() noexcept {
  const std::uint32_t limit = settings_.limits.max_requests;
  if (limit == 0) return true;
  std::uint32_t active = queues_->active.load(std::memory_order_relaxed);
  do {
    if (active >= limit) return false;
  } while (!queues_->active.compare_exchange_weak(active, active + 1, std::memory_order_relaxed));
  return true;
}

void Shared::end_request() noexcept {
  if (settings_.limits.max_requests == 0) return;
  queues_->active.fetch_sub(1, std::memory_order_relaxed);
  turns().wake_one();
}

bool Shared::has_turn() const noexcept {
  const std::uint32_t limit = settings_.limits.max_requests;
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

#include "app/gate.h"

#include "revproxyd/upstream/balancer.h"

namespace revproxyd::app {

std::size_t Gate::Hash::operator()(const Key& key) const noexcept {
  return upstream::hash_bytes({reinterpret_cast<const char*>(key.data()), key.size()});
}

// Whoever has an IPv6 address has a whole /64 of them.
Gate::Key Gate::key_of(const net::Address& client) noexcept {
  Key key = client.bytes();
  const bool mapped_v4 = key[10] == 0xff && key[11] == 0xff && key[0] == 0;
  if (!mapped_v4) std::fill(key.begin() + 8, key.end(), std::uint8_t{0});
  return key;
}

Code Gate::enter(const net::Address& client, std::uint64_t limit,
                 std::uint64_t per_client) noexcept {
  const std::uint64_t now = connections_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (limit != 0 && now > limit) {
    connections_.fetch_sub(1, std::memory_order_relaxed);
    return Code::connection_limit;
  }
  if (per_client == 0 || !client.is_ip()) return Code::none;
  const Key key = key_of(client);
  Stripe& stripe = stripe_of(key);
  const std::lock_guard lock(stripe.mutex);
  std::uint64_t& count = stripe.clients[key];
  if (count >= per_client) {
    connections_.fetch_sub(1, std::memory_order_relaxed);
    return Code::client_connection_limit;
  }
  ++count;
  return Code::none;
}

void Gate::leave(const net::Address& client, std::uint64_t per_client) noexcept {
  connections_.fetch_sub(1, std::memory_order_relaxed);
  if (per_client == 0 || !client.is_ip()) return;
  const Key key = key_of(client);
  Stripe& stripe = stripe_of(key);
  const std::lock_guard lock(stripe.mutex);
  const auto found = stripe.clients.find(key);
  if (found != stripe.clients.end() && --found->second == 0) stripe.clients.erase(found);
}

}  // namespace revproxyd::app

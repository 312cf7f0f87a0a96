#include "proxy/standing.h"

#include <algorithm>

namespace revproxyd::proxy {

namespace {

std::size_t find_listener(const PlanSettings& plan, const Connection& client) {
  const std::string identity = listener_identity(*client.settings);
  const auto found = std::ranges::find(plan.listeners, identity, listener_identity);
  return static_cast<std::size_t>(found - plan.listeners.begin());
}

}  // namespace

pipeline::Standing standing_under(const PlanSettings& plan, Connection& client) {
  if (client.generation != plan.generation) {
    client.generation = plan.generation;
    client.trusted = net::contains(plan.trusted_proxies, client.peer);
    client.listener_index = find_listener(plan, client);
  }
  if (client.listener_index >= plan.listeners.size())
    return {client.trusted, false, client.listener};
  const ListenerSettings& listener = plan.listeners[client.listener_index];
  return {client.trusted, listener.redirect_https, listener.name};
}

}  // namespace revproxyd::proxy

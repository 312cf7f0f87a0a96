#include "proxy/standing.h"

#include <algorithm>

namespace revproxyd::proxy {

namespace {

std::size_t find_listener(const PlanSettings& plan, const Connection& client) {
  const auto found = std::ranges::find_if(
      plan.listeners, [&](const auto& one) { return same_listener(one, *client.settings); });
  return static_cast<std::size_t>(found - plan.listeners.begin());
}

}  // namespace

pipeline::Standing standing_under(const PlanSettings& plan, Connection& client) {
  if (client.generation != plan.generation) {
    client.generation = plan.generation;
    client.trusted = net::contains(plan.trusted_proxies, client.peer);
    client.listener_index = find_listener(plan, client);
  }
  const bool known = client.listener_index < plan.listeners.size();
  const ListenerSettings& listener =
      known ? plan.listeners[client.listener_index] : *client.settings;
  // What was not served in clear when the client came is not now, where there is TLS to go to.
  const bool in_place = known && listener.tls.has_value() == client.settings->tls.has_value();
  const bool redirect =
      in_place ? listener.redirect_https : client.settings->redirect_https && plan.has_tls();
  return {client.trusted, redirect, known ? std::string_view(listener.name) : client.listener};
}

}  // namespace revproxyd::proxy

#pragma once
// Everything that a configuration compiles to, built once off the workers and shared by all of
// them.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "revproxyd/filters/settings.h"
#include "revproxyd/net/address.h"
#include "revproxyd/pipeline/chain.h"
#include "revproxyd/proxy/access_record.h"
#include "revproxyd/proxy/router.h"
#include "revproxyd/proxy/settings.h"
#include "revproxyd/tls/context.h"
#include "revproxyd/upstream/shared.h"

namespace revproxyd::proxy {

/// A route with its chains.
struct Route {
  const RouteSettings* settings = nullptr;  // in the plan
  std::unique_ptr<const pipeline::Chain> chain;
  std::unique_ptr<const pipeline::Chain> refusing;  // answers what the route does not admit
};

/// What a plan is compiled from, of this layer.
struct PlanSettings {
  std::vector<ListenerSettings> listeners;
  std::vector<RouteSettings> routes;
  net::Peers trusted_proxies;
  filters::HeadersSettings headers;  // global, for answers of no route
  bool forwarded = false;
  bool access_log = true;
  bool access_json = true;
  AccessMask mask;
  std::uint64_t generation = 1;

  /// There is a listener to send clients to that are to come over TLS.
  bool has_tls() const noexcept {
    return std::ranges::any_of(listeners,
                               [](const auto& one) { return one.tls && one.address.path.empty(); });
  }
};

/// An upstream of the plan: what its workers share, and how to secure connections to it.
struct PlanUpstream {
  std::shared_ptr<upstream::Shared> shared;
  std::shared_ptr<const tls::ClientContext> tls;  // null when no server has an https URL
};

/// Immutable. The last reference is dropped off the workers.
class Plan {
 public:
  /// Throws std::invalid_argument for a pattern that the readers of the configuration should have
  /// refused.
  Plan(PlanSettings settings, std::vector<PlanUpstream> upstreams);
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  const PlanSettings& settings() const noexcept { return settings_; }
  const Router& router() const noexcept { return router_; }
  /// A route looks at fields by which proxies tell of clients, so that those of untrusted peers
  /// have to go before. Most configurations have none, and their requests are not searched.
  bool routes_by_claims() const noexcept { return routes_by_claims_; }
  const Route& route(std::size_t index) const noexcept { return routes_[index]; }
  const std::vector<PlanUpstream>& upstreams() const noexcept { return upstreams_; }
  /// Answers what no route takes, and what is refused before routing.
  const pipeline::Handler& unrouted() const noexcept { return *unrouted_; }
  /// Answers everything on a listener with `redirect: https`.
  const pipeline::Handler& https_redirect() const noexcept { return *https_redirect_; }

 private:
  std::shared_ptr<const pipeline::Handler> handler_of(const RouteSettings& route) const;
  std::size_t upstream_index(const std::string& name) const;

  PlanSettings settings_;
  std::vector<PlanUpstream> upstreams_;
  Router router_;
  std::vector<Route> routes_;
  std::unique_ptr<const pipeline::Chain> unrouted_;
  std::unique_ptr<const pipeline::Chain> https_redirect_;
  bool routes_by_claims_;
};

}  // namespace revproxyd::proxy

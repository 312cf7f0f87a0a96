#include "revproxyd/proxy/plan.h"

#include <stdexcept>

#include "proxy/forward.h"
#include "proxy/forwarding_fields.h"
#include "proxy/respond.h"
#include "revproxyd/filters/registry.h"
#include "revproxyd/pipeline/error_response.h"

namespace revproxyd::proxy {

namespace {

std::uint16_t https_port(const std::vector<ListenerSettings>& listeners) noexcept {
  const ListenerSettings* listener = https_listener(listeners);
  return listener == nullptr ? kHttpsPort : listener->address.port;
}

bool looks_at_claims(const RouteSettings& route) noexcept {
  return std::ranges::any_of(route.match.headers, [](const ValuePattern& pattern) {
    return tells_of_client(pattern.name);
  });
}

}  // namespace

Plan::Plan(PlanSettings settings, std::vector<PlanUpstream> upstreams)
    : settings_(std::move(settings)),
      upstreams_(std::move(upstreams)),
      router_(settings_.routes),
      routes_by_claims_(std::ranges::any_of(settings_.routes, looks_at_claims)) {
  filters::ChainSettings global;
  global.headers = &settings_.headers;
  const auto global_filters = filters::make_filters(global);
  const auto refuse = std::make_shared<pipeline::Refuse>();
  unrouted_ = std::make_unique<pipeline::Chain>(global_filters, refuse);
  https_redirect_ = std::make_unique<pipeline::Chain>(
      global_filters, std::make_shared<HttpsRedirect>(https_port(settings_.listeners)));
  for (const RouteSettings& route : settings_.routes) {
    filters::ChainSettings wanted;
    wanted.headers = &route.headers;
    auto refusing = std::make_unique<pipeline::Chain>(filters::make_filters(wanted), refuse);
    wanted.rewrite = &route.rewrite;
    auto chain =
        std::make_unique<pipeline::Chain>(filters::make_filters(wanted), handler_of(route));
    routes_.push_back({&route, std::move(chain), std::move(refusing)});
  }
}

std::shared_ptr<const pipeline::Handler> Plan::handler_of(const RouteSettings& route) const {
  if (route.redirect) return std::make_shared<Redirect>(*route.redirect);
  if (route.respond) return std::make_shared<Respond>(*route.respond);
  std::vector<ForwardTarget> targets;
  for (const SplitTarget& target : route.targets)
    targets.push_back({upstream_index(target.upstream), target.weight});
  return std::make_shared<Forward>(route, std::move(targets));
}

std::size_t Plan::upstream_index(const std::string& name) const {
  for (std::size_t i = 0; i < upstreams_.size(); ++i) {
    if (upstreams_[i].shared->settings().name == name) return i;
  }
  throw std::invalid_argument("upstream '" + name + "' does not exist");
}

}  // namespace revproxyd::proxy

#include "app/upstream_watch.h"

#include <algorithm>
#include <set>

#include "revproxyd/base/log.h"
#include "revproxyd/net/loop.h"

namespace revproxyd::app {

namespace {

Task<void> stop_checks(std::unique_ptr<upstream::HealthChecks> checks) { co_await checks->stop(); }

std::string key_of(const upstream::Endpoint& endpoint) {
  return endpoint.upstream() + " " + endpoint.url().text;
}

// On the resolver's thread, for servers of all workers.
void take_answer(upstream::Endpoint& endpoint, const Result<net::AddressList>& answer) {
  if (answer) {
    endpoint.set_addresses(*answer);
    return;
  }
  endpoint.note_resolve_failure();
  log::Line(log::Level::warn) << "upstream " << endpoint.upstream() << ": server "
                              << endpoint.url().text << ": " << answer.error();
}

}  // namespace

UpstreamWatch::UpstreamWatch() = default;
UpstreamWatch::~UpstreamWatch() = default;

void UpstreamWatch::resolve(const std::vector<proxy::PlanUpstream>& upstreams) {
  std::set<const upstream::Endpoint*> wanted;
  for (const auto& upstream : upstreams) {
    for (const auto& endpoint : upstream.shared->endpoints()) {
      wanted.insert(endpoint.get());
      resolve_server(endpoint);
      // Without checks nobody would ever bring it back.
      if (upstream.shared->settings().health_check && inherited_down_.contains(key_of(*endpoint)))
        endpoint->mark_down();
    }
  }
  std::erase_if(names_, [&](const auto& entry) { return !wanted.contains(entry.first); });
  inherited_.clear();  // it grows old
  inherited_down_.clear();
}

void UpstreamWatch::check(const std::vector<proxy::PlanUpstream>& upstreams) {
  std::set<std::string> names;
  for (const auto& upstream : upstreams) {
    const auto& settings = upstream.shared->settings();
    if (!settings.health_check) continue;
    names.insert(settings.name);
    Checked& known = checks_[settings.name];
    if (known.shared == upstream.shared) continue;
    auto checks =
        std::make_unique<upstream::HealthChecks>(upstream.shared, upstream.tls, known.checks.get());
    if (known.checks != nullptr) retire(std::move(known.checks));
    known.shared = upstream.shared;
    known.checks = std::move(checks);
    known.checks->start();
  }
  for (auto at = checks_.begin(); at != checks_.end();) {
    if (names.contains(at->first)) {
      ++at;
      continue;
    }
    // Nobody asks these servers any more, so nobody may call them down.
    for (const auto& endpoint : at->second.shared->endpoints()) {
      endpoint->mark_up();
      at->second.shared->wake_for(*endpoint);
    }
    retire(std::move(at->second.checks));
    at = checks_.erase(at);
  }
}

void UpstreamWatch::resolve_server(const std::shared_ptr<upstream::Endpoint>& endpoint) {
  if (names_.contains(endpoint.get())) return;
  Name& name = names_[endpoint.get()];
  name.endpoint = endpoint;
  const net::ServerUrl& url = endpoint->url();
  if (!url.path.empty()) {
    if (const auto address = net::Address::unix_path(url.path)) {
      endpoint->set_addresses(
          std::make_shared<const upstream::AddressList>(upstream::AddressList{*address}));
    }
    return;
  }
  const auto heir = inherited_.find(server_key(url.host, url.port));
  if (heir != inherited_.end()) endpoint->set_addresses(heir->second);
  const auto note = [this, endpoint] {
    const auto checked = checks_.find(endpoint->upstream());
    if (checked != checks_.end()) checked->second.checks->note_addresses(*endpoint);
  };
  name.subscription = resolver_.subscribe(
      url.host, url.port,
      [endpoint, note, &loop = net::Loop::current()](const Result<net::AddressList>& answer) {
        take_answer(*endpoint, answer);
        if (answer) loop.post(note);
      });
}

KnownAddresses UpstreamWatch::known() const {
  KnownAddresses known;
  for (const auto& [at, name] : names_) {
    const net::ServerUrl& url = name.endpoint->url();
    auto addresses = name.endpoint->addresses();
    if (url.path.empty() && addresses != nullptr)
      known[server_key(url.host, url.port)] = std::move(addresses);
  }
  return known;
}

std::vector<std::string> UpstreamWatch::down() const {
  std::vector<std::string> down;
  for (const auto& [name, checked] : checks_) {
    for (const auto& endpoint : checked.shared->endpoints()) {
      if (endpoint->availability(Clock::now()) == upstream::Availability::down)
        down.push_back(key_of(*endpoint));
    }
  }
  return down;
}

bool UpstreamWatch::all_resolved() const {
  return std::ranges::all_of(names_, [](const auto& entry) {
    return entry.second.endpoint->addresses() != nullptr || entry.second.endpoint->resolve_failed();
  });
}

void UpstreamWatch::retire(std::unique_ptr<upstream::HealthChecks> checks) {
  retiring_.spawn(stop_checks(std::move(checks)));
}

void UpstreamWatch::stop() {
  for (auto& [name, checked] : checks_) retire(std::move(checked.checks));
  checks_.clear();
}

}  // namespace revproxyd::app

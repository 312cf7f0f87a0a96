#include <algorithm>

#include "revproxyd/base/deadline.h"
#include "revproxyd/base/log.h"
#include "revproxyd/base/random_source.h"
#include "revproxyd/upstream/health_check.h"
#include "upstream/health.h"
#include "upstream/probe.h"

namespace revproxyd::upstream {

namespace {

void tell_shortage(const Endpoint& endpoint, const UpstreamSettings& upstream,
                   const ProbeResult& result) {
  log::Line(log::Level::warn) << "upstream " << upstream.name << ": server " << endpoint.url().text
                              << (result.asked ? " is checked again"
                                               : " cannot be checked: " + result.reason);
}

}  // namespace

HealthChecks::HealthChecks(std::shared_ptr<Shared> shared,
                           std::shared_ptr<const tls::ClientContext> tls,
                           const HealthChecks* previous)
    : shared_(std::move(shared)), tls_(std::move(tls)) {
  if (previous == nullptr) return;
  for (const auto& endpoint : shared_->endpoints()) {
    if (previous->judged_.contains(endpoint.get())) judged_.insert(endpoint.get());
  }
}

HealthChecks::~HealthChecks() = default;

void HealthChecks::start() {
  for (const auto& endpoint : shared_->endpoints()) group_.spawn(check(*endpoint));
}

void HealthChecks::note_addresses(const Endpoint& endpoint) noexcept {
  if (const auto found = known_.find(&endpoint); found != known_.end()) found->second.set();
}

Task<void> HealthChecks::stop() {
  group_.cancel(Code::cancelled);
  co_await group_.join();
}

Task<void> HealthChecks::check(Endpoint& endpoint) {
  // That a name is not known yet says nothing about the server.
  if (endpoint.addresses() == nullptr) {
    auto known = co_await known_[&endpoint].wait();
    if (known != Code::none) co_return;
  }
  const UpstreamSettings& upstream = shared_->settings();
  const HealthSettings& settings = *upstream.health_check;
  const bool up = endpoint.availability(loop_now()) != Availability::down;
  HealthState state(settings.rise, settings.fall, up, judged_.contains(&endpoint));
  RandomSource random(endpoint.url_hash() ^
                      static_cast<std::uint64_t>(loop_now().time_since_epoch().count()));
  bool asked = true;
  for (;;) {
    const TimePoint begun = loop_now();
    auto result = co_await probe(endpoint, upstream, tls_.get());
    if (group_.scope().cancelled()) co_return;
    if (result.asked != asked) tell_shortage(endpoint, upstream, result);
    asked = result.asked;
    if (asked) judged_.insert(&endpoint);
    const auto changed = asked ? state.record(result.well, result.reason) : std::nullopt;
    if (changed && *changed) {
      endpoint.mark_up();
      shared_->wake_for(endpoint);
      log::Line(log::Level::info) << "upstream " << upstream.name << ": server "
                                  << endpoint.url().text << " is up";
    } else if (changed) {
      endpoint.mark_down();
      shared_->wake_from(endpoint);
      log::Line(log::Level::warn) << "upstream " << upstream.name << ": server "
                                  << endpoint.url().text << " is down: " << result.reason;
    }
    const auto span = static_cast<std::uint64_t>(settings.interval.count()) * 2 / 5 + 1;
    const Duration next =
        settings.interval * 4 / 5 + Duration(static_cast<std::int64_t>(random.below(span)));
    // A check that takes longer than that is not followed by the next at once.
    auto woken = co_await Sleep(std::max(next - since(begun), settings.interval / 5));
    if (woken != Code::none) co_return;
  }
}

}  // namespace revproxyd::upstream

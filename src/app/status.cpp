#include "app/status.h"

#include <unistd.h>

#include <array>
#include <chrono>

#include "revproxyd/base/metrics.h"

namespace revproxyd::app {

namespace {

std::string duration_text(Clock::duration time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time).count();
  struct Unit {
    long long size;
    char sign;
  };
  constexpr std::array<Unit, 4> kUnits{{{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}}};
  std::string text;
  long long left = seconds;
  for (const Unit& unit : kUnits) {
    const long long count = left / unit.size;
    left %= unit.size;
    if (count == 0 && (text.empty() && unit.sign != 's')) continue;
    text += (text.empty() ? "" : " ") + std::to_string(count) + unit.sign;
  }
  return text;
}

std::string milliseconds_text(std::uint64_t microseconds) {
  const std::uint64_t tenths = (microseconds + 50) / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " ms";
}

std::string_view health_text(const upstream::Endpoint& endpoint, TimePoint now) {
  if (endpoint.addresses() == nullptr)
    return endpoint.resolve_failed() ? "no address" : "not resolved yet";
  switch (endpoint.availability(now)) {
    case upstream::Availability::usable: return "up";
    case upstream::Availability::taken_out: return "could not be connected to";
    case upstream::Availability::down: return "down";
  }
  return "";
}

void add_workers(std::string& text, const StatusView& view) {
  const TimePoint now = Clock::now();
  text += "workers:\n";
  for (const auto& worker : view.workers) {
    const auto& counts = worker->counts();
    const metrics::LoopView loop = worker->loop_view(now);
    text += "  " + worker->thread_name() + ": " + (loop.stalled ? "stalled, " : "") +
            std::to_string(counts.connections_active.value()) + " connections, " +
            std::to_string(counts.requests_active.value()) + " requests under way, busy " +
            std::to_string((worker->busy() + 5) / 10) + " %, loop lag " +
            milliseconds_text(loop.lag_us()) + " (at most " +
            milliseconds_text(loop.longest_lag_us()) + ")\n";
  }
}

void add_listeners(std::string& text, const StatusView& view) {
  text += "listeners:\n";
  for (const auto& listener : view.built.listeners) {
    const auto found = view.open.find(listener.identity);
    const std::string where = found == view.open.end() ? "closed" : found->second.where;
    text += "  " + listener.settings->name + ": " + where + (listener.tls ? ", tls" : "") + "\n";
  }
}

void add_upstreams(std::string& text, const StatusView& view) {
  const TimePoint now = Clock::now();
  text += "upstreams:\n";
  for (const auto& upstream : view.built.upstreams) {
    text += "  " + upstream.shared->settings().name + ":\n";
    for (const auto& endpoint : upstream.shared->endpoints()) {
      text += "    " + endpoint->url().text + ": " + std::string(health_text(*endpoint, now)) +
              (endpoint->backup() ? ", backup" : "") + ", " +
              std::to_string(endpoint->open_connections()) + " connections, " +
              std::to_string(endpoint->active_requests()) + " requests under way, " +
              std::to_string(endpoint->requests()) + " in all, " +
              std::to_string(endpoint->failures()) + " failed\n";
    }
  }
}

}  // namespace

std::string status_text(const StatusView& view) {
  std::vector<const metrics::WorkerCounts*> counts;
  for (const auto& worker : view.workers) counts.push_back(&worker->counts());
  const metrics::Totals totals = metrics::sum(counts);
  std::string text = "revproxyd " REVPROXYD_VERSION ", process " + std::to_string(::getpid()) +
                     ", " + std::string(view.phase) + "\n";
  text += "configuration: generation " + std::to_string(view.generation) + "\n";
  text += "up: " + duration_text(Clock::now() - view.started) + "\n";
  text += "connections: " + std::to_string(totals.connections_active) + " open, " +
          std::to_string(totals.connections_resting) + " of them at rest, " +
          std::to_string(totals.connections_accepted) + " accepted\n";
  text += "requests: " + std::to_string(totals.requests_active) + " under way, " +
          std::to_string(totals.requests) + " in all\n";
  add_workers(text, view);
  add_listeners(text, view);
  add_upstreams(text, view);
  return text;
}

}  // namespace revproxyd::app

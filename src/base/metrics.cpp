#include "revproxyd/base/metrics.h"

#include <cstddef>
#include <string_view>

namespace revproxyd::metrics {

namespace {

// The numbers outside the arrays, with their names. A member of Counts that is missing here is
// missing in sums and output, so the size is checked.
template <typename Set, typename Visit>
void each_number(Set& set, Visit&& visit) {
  visit("connections_accepted", set.connections_accepted);
  visit("connections_active", set.connections_active);
  visit("connections_resting", set.connections_resting);
  visit("connections_passed_on", set.connections_passed_on);
  visit("accept_pauses", set.accept_pauses);
  visit("requests", set.requests);
  visit("requests_active", set.requests_active);
  visit("bytes_in", set.bytes_in);
  visit("bytes_out", set.bytes_out);
  visit("upstream_connects", set.upstream_connects);
  visit("upstream_connect_failures", set.upstream_connect_failures);
  visit("upstream_reuses", set.upstream_reuses);
  visit("retries", set.retries);
  visit("queue_waits", set.queue_waits);
}
constexpr std::size_t kNumbers = 14;
static_assert(sizeof(Totals) == (kNumbers + 3 * kCodeCount + 6) * sizeof(std::uint64_t));

template <std::size_t Size>
void add(std::array<std::uint64_t, Size>& to, const std::array<Counter, Size>& from) noexcept {
  for (std::size_t i = 0; i < Size; ++i) to[i] += from[i].value();
}

void member(std::string& out, std::string_view key, std::uint64_t value) {
  if (out.back() != '{') out += ',';
  out += '"';
  out += key;
  out += "\":";
  out += std::to_string(value);
}

void begin_object(std::string& out, std::string_view key) {
  if (out.back() != '{') out += ',';
  out += '"';
  out += key;
  out += "\":{";
}

void by_code(std::string& out, std::string_view key,
             const std::array<std::uint64_t, kCodeCount>& counts) {
  begin_object(out, key);
  for (std::size_t i = 0; i < kCodeCount; ++i) {
    if (counts[i] != 0) member(out, name(static_cast<Code>(i)), counts[i]);
  }
  out += '}';
}

void add_loops(std::string& out, std::span<const LoopView> loops) {
  out += ",\"loops\":[";
  for (const LoopView& loop : loops) {
    out += out.back() == '[' ? "{" : ",{";
    member(out, "busy_us", loop.counts->busy_us.value());
    member(out, "lag_us", loop.lag_us());
    member(out, "longest_lag_us", loop.longest_lag_us());
    member(out, "long_turns", loop.counts->long_turns.value());
    member(out, "longest_turn_us", loop.counts->longest_turn_us.value());
    member(out, "stalled", loop.stalled ? 1 : 0);
    out += '}';
  }
  out += ']';
}

}  // namespace

Totals sum(std::span<const WorkerCounts* const> workers) noexcept {
  Totals totals;
  std::array<std::uint64_t, kNumbers> numbers{};
  for (const WorkerCounts* worker : workers) {
    std::size_t i = 0;
    each_number(*worker,
                [&](std::string_view, const Counter& counter) { numbers[i++] += counter.value(); });
    add(totals.connections_refused, worker->connections_refused);
    add(totals.connections_failed, worker->connections_failed);
    add(totals.responses, worker->responses);
    add(totals.reasons, worker->reasons);
  }
  std::size_t i = 0;
  each_number(totals, [&](std::string_view, std::uint64_t& number) { number = numbers[i++]; });
  return totals;
}

std::string to_json(const Totals& totals, const ProcessCounts& process,
                    std::span<const LoopView> loops) {
  std::string out = "{";
  member(out, "config_generation", process.config_generation.value());
  member(out, "reloads_ok", process.reloads_ok.value());
  member(out, "reloads_failed", process.reloads_failed.value());
  member(out, "last_reload_time_s", process.last_reload_time_s.value());
  member(out, "last_reload_failed", process.last_reload_failed.value());
  member(out, "certificate_updates_ok", process.certificate_updates_ok.value());
  member(out, "certificate_updates_failed", process.certificate_updates_failed.value());
  member(out, "access_log_dropped", process.access_log_dropped.value());
  member(out, "log_dropped", process.log_dropped.value());
  each_number(totals, [&](std::string_view key, std::uint64_t value) { member(out, key, value); });
  begin_object(out, "responses");
  constexpr std::array<std::string_view, 6> kClasses{"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
  for (std::size_t i = 0; i < kClasses.size(); ++i) member(out, kClasses[i], totals.responses[i]);
  out += '}';
  by_code(out, "reasons", totals.reasons);
  by_code(out, "connections_refused", totals.connections_refused);
  by_code(out, "connections_failed", totals.connections_failed);
  if (!loops.empty()) add_loops(out, loops);
  out += '}';
  return out;
}

}  // namespace revproxyd::metrics

#pragma once
// Counters: one set a worker, written by that worker alone and without locked instructions, added
// up by whoever reads.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>

#include "revproxyd/base/error.h"

namespace revproxyd::metrics {

/// A number that one thread changes and any thread may read. A reader may see counters of one set
/// at slightly different times.
class Counter {
 public:
  void add(std::uint64_t amount = 1) noexcept { set(value() + amount); }
  /// For numbers of what exists now.
  void subtract(std::uint64_t amount = 1) noexcept { set(value() - amount); }
  void set(std::uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// What a worker counts; T is Counter where it is counted and std::uint64_t in a sum. Totals since
/// the start of the process, but for the `active` and `resting` ones.
template <typename T>
struct Counts {
  T connections_accepted{};
  T connections_active{};
  T connections_resting{};  // of these, those that wait for their next request without a coroutine
  std::array<T, kCodeCount>
      connections_refused{};  // by the Code of the reason: a limit, a bad PROXY header, ...
  std::array<T, kCodeCount> connections_failed{};  // by what ended them otherwise than orderly
  T connections_passed_on{};  // accepted here, served by a worker that had less to do
  T accept_pauses{};          // times when a listener had no descriptor for a connection
  T requests{};               // heads received, refused ones too
  T requests_active{};
  std::array<T, 6> responses{};  // final answers to clients by status / 100; [0] = none was sent
  std::array<T, kCodeCount> reasons{};  // answers by `why`; [none] = from an upstream
  T bytes_in{};                         // from clients, bodies and heads
  T bytes_out{};                        // to clients
  T upstream_connects{};                // connections made
  T upstream_connect_failures{};
  T upstream_reuses{};  // requests on a kept connection
  T retries{};
  T queue_waits{};  // requests that waited for a connection slot
};

/// On a cache line of its own, so that two workers never write to the same one.
struct alignas(64) WorkerCounts : Counts<Counter> {};
using Totals = Counts<std::uint64_t>;

/// How a worker's event loop does. Times in microseconds.
struct alignas(64) LoopCounts {
  Counter busy_us;  // since the start, without the waiting for events
  Counter lag_us;   // from a message to the worker until it was taken, the last one
  Counter longest_lag_us;
  Counter long_turns;    // batches of events that took longer than limits::kLongTurn
  Counter long_turn_us;  // the last of these
  Counter longest_turn_us;
};

/// A loop as it is seen at one moment by whoever asks: a sign of life that is owed is late already.
struct LoopView {
  const LoopCounts* counts = nullptr;
  std::uint64_t owed_us = 0;  // for how long; 0: none is
  bool stalled = false;       // for longer than the watchdog allows

  std::uint64_t lag_us() const noexcept { return std::max(counts->lag_us.value(), owed_us); }
  std::uint64_t longest_lag_us() const noexcept {
    return std::max(counts->longest_lag_us.value(), owed_us);
  }
};

/// What is counted once a process, written by its main thread.
struct ProcessCounts {
  Counter config_generation;  // of the configuration that serves; the first is 1
  Counter reloads_ok;         // that somebody asked for
  Counter reloads_failed;
  Counter last_reload_time_s;          // Unix time, 0 = none yet
  Counter last_reload_failed;          // 0 or 1
  Counter certificate_updates_ok;      // of files that changed, without a reload
  Counter certificate_updates_failed;  // where at least one file could not be used
  Counter access_log_dropped;          // lines, as of the last look at the writer
  Counter log_dropped;
};

/// Adds up the workers. A pointer must not be null.
Totals sum(std::span<const WorkerCounts* const> workers) noexcept;

/// One JSON object. Of the arrays by Code only what is not zero appears, under the code's word.
/// `loops` are the workers', in order.
std::string to_json(const Totals& totals, const ProcessCounts& process,
                    std::span<const LoopView> loops = {});

}  // namespace revproxyd::metrics

#pragma once
// Which worker serves a new connection: what each lets the others see, and the comparison.

#include <atomic>
#include <cstdint>

namespace revproxyd::app {

/// What the other workers see of one. On a cache line of its own, for others write to it.
struct alignas(64) Visible {
  std::atomic<std::uint64_t> coming{0};  // connections that others are passing on to it
  /// Of the configuration that is in force there; 0 when a listener could not be opened.
  std::atomic<std::uint64_t> generation{0};
  /// How much of the last second its loop did not wait, in thousandths.
  std::atomic<std::uint32_t> busy{0};
  /// It owes a sign of life: it is in a long turn, or stalled.
  std::atomic<bool> owes{false};
};

/// One side of a comparison.
struct Share {
  std::uint64_t connections = 0;  // with those that are coming
  std::uint32_t busy = 0;         // see Visible
};

/// Of a worker that has just accepted a connection. The kernel spreads connections by a hash of
/// their addresses; few that stay for long, or carry unequal loads, may all have met one worker.
class Spread {
 public:
  /// How much busier one must be for the number of connections to say nothing.
  static constexpr std::uint32_t kBusier = 250;

  /// Whether one of two others has less to do.
  static bool has_less(const Share& one, const Share& other) noexcept;
  /// Whether `theirs` has so much less that the connection should be passed on. Where both have
  /// about as much to do, connections are evened out; where `mine` is busier, as many are passed on
  /// as it is busier, for what they bring is not known yet.
  bool passes(const Share& mine, const Share& theirs) noexcept;

 private:
  std::uint64_t due_ = 0;  // thousandths of connections to be passed on for being busier
};

}  // namespace revproxyd::app

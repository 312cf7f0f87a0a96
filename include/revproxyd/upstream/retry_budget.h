#pragma once
// How many retries an upstream may be given, so that retries do not finish off what is overloaded
// already.

#include <array>
#include <cstddef>
#include <cstdint>

#include "revproxyd/base/units.h"

namespace revproxyd::upstream {

/// The window over which requests and retries are compared: this second and the nine before it.
inline constexpr std::size_t kRetryWindowSeconds = 10;
/// Retries that are granted in every second, however few requests there were.
inline constexpr std::uint32_t kMinRetriesPerSecond = 3;

/// Per worker and upstream: each worker measures its own traffic, and the minimum is each worker's.
///
/// A retry is granted while the retries of the window are fewer than `percent` of its requests, or
/// while this second has had fewer than kMinRetriesPerSecond. Not for attempts of which provably
/// nothing was sent, nor for a kept connection that was lost: these are retried without it and
/// never counted. A percentage of 0 leaves the minimum; who wants no retry sets one attempt.
class RetryBudget {
 public:
  explicit RetryBudget(std::uint32_t percent) noexcept : percent_(percent) {}

  /// For each request of a client, once, however many attempts it takes.
  void record_request(TimePoint now) noexcept;
  /// True if a retry may be made now; it is counted then.
  bool try_spend(TimePoint now) noexcept;

 private:
  struct Second {
    std::uint32_t requests = 0;
    std::uint32_t retries = 0;
  };

  Second& second_at(TimePoint now) noexcept;

  std::array<Second, kRetryWindowSeconds> window_{};
  Second sum_;                // of the window
  std::int64_t current_ = 0;  // the newest second of the window, since the clock's epoch
  std::uint32_t percent_;
};

}  // namespace revproxyd::upstream

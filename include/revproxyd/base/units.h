#pragma once
// Units that settings are written in.

#include <chrono>
#include <cstdint>

namespace revproxyd {

/// Every time span of the configuration. Zero means "none" only where the setting says so.
using Duration = std::chrono::milliseconds;

/// Monotonic time as the loops see it.
using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

/// So many within so long; a count of 0 is no limit.
struct Rate {
  std::uint32_t count = 0;
  Duration period{1000};
  bool operator==(const Rate&) const = default;
};

}  // namespace revproxyd

#pragma once
// Whether a body moves at the least rate that is asked of it.

#include <cstdint>

#include "revproxyd/base/limits.h"
#include "revproxyd/base/units.h"

namespace revproxyd::http {

/// Counts the time that was spent waiting for the peer; time that the proxy itself needs is not
/// counted.
class RateMeter {
 public:
  void waited(Duration time) noexcept { waited_ += time; }
  void restart() noexcept { waited_ = Duration::zero(); }
  /// `bytes` so far fall behind `min_rate` bytes a second, after limits::kRateGrace. A rate of 0 is
  /// none.
  bool too_slow(std::uint64_t bytes, std::uint64_t min_rate) const noexcept {
    return min_rate != 0 && waited_ > limits::kRateGrace &&
           bytes * 1000 < min_rate * static_cast<std::uint64_t>(waited_.count());
  }

 private:
  Duration waited_{0};
};

}  // namespace revproxyd::http

#include "revproxyd/upstream/retry_budget.h"

#include <algorithm>
#include <chrono>

namespace revproxyd::upstream {

void RetryBudget::record_request(TimePoint now) noexcept {
  ++second_at(now).requests;
  ++sum_.requests;
}

bool RetryBudget::try_spend(TimePoint now) noexcept {
  Second& second = second_at(now);
  const bool within_share =
      std::uint64_t{sum_.retries} * 100 < std::uint64_t{sum_.requests} * percent_;
  if (!within_share && second.retries >= kMinRetriesPerSecond) return false;
  ++second.retries;
  ++sum_.retries;
  return true;
}

// Empties the seconds that have left the window since the last call. A time before the newest
// second counts as it.
RetryBudget::Second& RetryBudget::second_at(TimePoint now) noexcept {
  constexpr std::int64_t kSeconds = kRetryWindowSeconds;
  const std::int64_t target =
      std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
  if (target > current_) {
    const std::int64_t steps = std::min(target - current_, kSeconds);
    for (std::int64_t step = 1; step <= steps; ++step) {
      Second& old = window_[static_cast<std::size_t>((target - steps + step) % kSeconds)];
      sum_.requests -= old.requests;
      sum_.retries -= old.retries;
      old = Second{};
    }
    current_ = target;
  }
  return window_[static_cast<std::size_t>(current_ % kSeconds)];
}

}  // namespace revproxyd::upstream

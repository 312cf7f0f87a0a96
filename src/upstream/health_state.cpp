#include <algorithm>

#include "upstream/health.h"

namespace revproxyd::upstream {

HealthState::HealthState(std::uint32_t rise, std::uint32_t fall, bool up, bool judged) noexcept
    : rise_(std::max(rise, 1U)), fall_(std::max(fall, 1U)), up_(up), first_(!judged) {}

std::optional<bool> HealthState::record(bool success, std::string_view reason) {
  if (!success) last_failure_ = reason.substr(0, kMaxHealthReasonBytes);
  const std::uint32_t needed = first_ ? 1 : (up_ ? fall_ : rise_);
  first_ = false;
  against_ = success == up_ ? 0 : against_ + 1;
  if (against_ < needed) return std::nullopt;
  against_ = 0;
  up_ = success;
  return up_;
}

}  // namespace revproxyd::upstream

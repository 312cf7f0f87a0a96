#include "http/h2/conduct.h"

#include <algorithm>

#include "revproxyd/base/deadline.h"

namespace revproxyd::http::h2 {

namespace {

// Idle frames that a frame of some size allows, and that can be saved up.
constexpr std::uint64_t kForUseful = 8;
constexpr std::uint64_t kMostSaved = 10000;
// Smaller pieces allow a window for the stream, one for the connection, and a ping.
constexpr std::size_t kUsefulBytes = 512;
constexpr std::uint64_t kForSmall = 3;

Code code_of(Idle kind) noexcept {
  switch (kind) {
    case Idle::settings: return Code::settings_flood;
    case Idle::ping: return Code::ping_flood;
    case Idle::priority: return Code::priority_flood;
    case Idle::window_update: return Code::window_update_flood;
    case Idle::empty_frame: return Code::empty_frame_flood;
  }
  return Code::protocol_error;
}

}  // namespace

Verdict Conduct::offence(Code what) noexcept {
  if (limit_.count == 0) return Verdict::fine;
  const TimePoint now = loop_now();
  if (count_ == 0 || now - begun_ >= limit_.period) {
    begun_ = now;
    count_ = 0;
  }
  if (++count_ <= limit_.count) return Verdict::fine;
  if (worst_ == Code::none) worst_ = what;
  if (count_ > 2 * limit_.count) return Verdict::cut;
  if (warned_) return Verdict::fine;
  warned_ = true;
  return Verdict::warn;
}

Verdict Conduct::idle_frame(Idle kind) noexcept {
  if (allowed_ == 0) return offence(code_of(kind));
  --allowed_;
  return Verdict::fine;
}

void Conduct::useful_frame(std::size_t bytes) noexcept {
  allowed_ = std::min(allowed_ + (bytes >= kUsefulBytes ? kForUseful : kForSmall), kMostSaved);
}

}  // namespace revproxyd::http::h2

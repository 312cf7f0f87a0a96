#include "base/log_limiter.h"

#include <functional>

namespace revproxyd::log {

bool Limiter::admit(Level level, std::string_view text, std::string_view key, TimePoint now,
                    const Report& report) {
  sweep(now, report);
  if (level == Level::debug) return true;
  const std::size_t hash = std::hash<std::string_view>{}(key.empty() ? text : key);
  Slot& slot = slots_[hash % kSlots];
  if (slot.hash != hash || now - slot.start >= kWindow) {
    settle(slot, report);
    slot.hash = hash;
    slot.start = now;
    slot.passed = 0;
  }
  if (!take(slot, kPerKey, level, text)) return false;
  if (now - all_.start >= kWindow) {
    settle(all_, report);
    all_.start = now;
    all_.passed = 0;
  }
  return take(all_, kAll, level, text);
}

void Limiter::finish(const Report& report) {
  for (Slot& slot : slots_) settle(slot, report);
  settle(all_, report);
}

// At most once a window: what is over is reported even if its key never comes again.
void Limiter::sweep(TimePoint now, const Report& report) {
  if (now - swept_ < kWindow) return;
  swept_ = now;
  for (Slot& slot : slots_) {
    if (now - slot.start >= kWindow) settle(slot, report);
  }
  if (now - all_.start >= kWindow) settle(all_, report);
}

void Limiter::settle(Slot& slot, const Report& report) {
  if (slot.held_back == 0) return;
  report(slot.level, slot.held_back, slot.sample);
  slot.held_back = 0;
}

bool Limiter::take(Slot& slot, std::uint32_t limit, Level level, std::string_view text) {
  if (slot.passed < limit) {
    ++slot.passed;
    return true;
  }
  ++slot.held_back;
  slot.level = level;
  slot.sample = text.substr(0, kSampleSize);
  return false;
}

}  // namespace revproxyd::log

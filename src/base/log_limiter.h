#pragma once
// Keeps one cause from filling the log: how often lines of one key pass within a second.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "revproxyd/base/log.h"
#include "revproxyd/base/units.h"

namespace revproxyd::log {

/// Counts by key in a table of fixed size. Two keys that share a place take turns: the newcomer
/// evicts, nothing is miscounted.
class Limiter {
 public:
  static constexpr std::uint32_t kPerKey = 10;
  static constexpr std::uint32_t kAll = 1000;
  static constexpr Duration kWindow{1000};
  static constexpr std::size_t kSampleSize = 120;

  /// Told what was held back: how many lines, their level, and the front of the last of them.
  using Report = std::function<void(Level, std::uint64_t count, std::string_view sample)>;

  /// Whether the line may pass. Reports first what was held back in windows that are over.
  bool admit(Level level, std::string_view text, std::string_view key, TimePoint now,
             const Report& report);
  /// Reports and forgets everything that was held back.
  void finish(const Report& report);

 private:
  struct Slot {
    std::size_t hash = 0;
    TimePoint start{};
    std::uint64_t held_back = 0;
    std::uint32_t passed = 0;
    Level level = Level::debug;
    std::string sample;
  };
  static constexpr std::size_t kSlots = 256;

  static void settle(Slot& slot, const Report& report);
  static bool take(Slot& slot, std::uint32_t limit, Level level, std::string_view text);
  void sweep(TimePoint now, const Report& report);

  std::array<Slot, kSlots> slots_;
  Slot all_;
  TimePoint swept_{};
};

}  // namespace revproxyd::log

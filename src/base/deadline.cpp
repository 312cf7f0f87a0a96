#include "revproxyd/base/deadline.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

namespace revproxyd {

// Level L holds timers that are due within 64^(L+1) ticks, in the slot of bits [6L, 6L+6) of their
// tick. When the lower bits of the current tick come round to zero, the slot of the next level that
// begins there is dealt out again.

TimerWheel& TimerWheel::current() noexcept {
  thread_local TimerWheel wheel;
  return wheel;
}

TimerWheel::TimerWheel() noexcept : start_(Clock::now()), now_(start_) {}

void Timer::arm(Duration after) noexcept {
  disarm();
  TimerWheel& wheel = TimerWheel::current();
  const auto due = wheel.now_ + std::max(after, Duration::zero()) - wheel.start_;
  // Rounded up, and one more because the current tick is under way: a timer is never early.
  tick_ = static_cast<std::uint64_t>((due + TimerWheel::kTick - std::chrono::nanoseconds(1)) /
                                     TimerWheel::kTick);
  tick_ = std::max(tick_, wheel.tick_ + 1);
  wheel.place(*this);
}

void Timer::disarm() noexcept {
  if (slot_ != nullptr) TimerWheel::current().take_out(*this);
}

void TimerWheel::place(Timer& timer) noexcept {
  const std::uint64_t distance = timer.tick_ - tick_;
  std::size_t level = 0;
  while (level + 1 < kLevels && distance >= (std::uint64_t{1} << (kBits * (level + 1)))) ++level;
  // What lies beyond the last level waits in its farthest slot and is dealt out again from there.
  const std::uint64_t reach = std::uint64_t{1} << (kBits * kLevels);
  const std::uint64_t tick = distance < reach ? timer.tick_ : tick_ + reach - 1;
  const std::size_t index = (tick >> (kBits * level)) & (kSlots - 1);
  Timer*& head = slots_[level][index];
  timer.slot_ = &head;
  timer.previous_ = nullptr;
  timer.next_ = head;
  if (head != nullptr) head->previous_ = &timer;
  head = &timer;
  occupied_[level] |= std::uint64_t{1} << index;
}

void TimerWheel::take_out(Timer& timer) noexcept {
  if (timer.previous_ != nullptr) {
    timer.previous_->next_ = timer.next_;
  } else {
    *timer.slot_ = timer.next_;
  }
  if (timer.next_ != nullptr) timer.next_->previous_ = timer.previous_;
  // run_slot() and cascade() hold lists of their own, which are in no level.
  const auto offset =
      reinterpret_cast<std::uintptr_t>(timer.slot_) - reinterpret_cast<std::uintptr_t>(&slots_);
  if (*timer.slot_ == nullptr && offset < sizeof(slots_)) {
    const std::size_t at = offset / sizeof(Timer*);
    occupied_[at / kSlots] &= ~(std::uint64_t{1} << (at % kSlots));
  }
  timer.slot_ = nullptr;
  timer.previous_ = timer.next_ = nullptr;
}

std::uint64_t TimerWheel::next_tick() const noexcept {
  std::uint64_t best = std::numeric_limits<std::uint64_t>::max();
  for (std::size_t level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    const std::size_t shift = kBits * level;
    const std::uint64_t position = tick_ >> shift;
    // The slot under the hand is always the one a full turn away: what was due there has been dealt
    // out.
    const int ahead = std::countr_zero(std::rotr(occupied_[level],
                                                 static_cast<int>((position + 1) & (kSlots - 1)))) +
                      1;
    best = std::min(best, (position + static_cast<std::uint64_t>(ahead)) << shift);
  }
  return best;
}

std::optional<TimePoint> TimerWheel::next() const noexcept {
  const std::uint64_t tick = next_tick();
  if (tick == std::numeric_limits<std::uint64_t>::max()) return std::nullopt;
  return start_ + kTick * static_cast<std::int64_t>(tick);
}

void TimerWheel::advance(TimePoint now) noexcept {
  now_ = std::max(now, now_);
  const auto target = static_cast<std::uint64_t>((now_ - start_) / kTick);
  while (tick_ < target) {
    const std::uint64_t due = next_tick();
    if (due > target) {
      tick_ = target;
      return;
    }
    tick_ = due;
    cascade();
    run_slot();
  }
}

void TimerWheel::cascade() noexcept {
  for (std::size_t level = kLevels - 1; level > 0; --level) {
    const std::size_t shift = kBits * level;
    if ((tick_ & ((std::uint64_t{1} << shift) - 1)) != 0) continue;
    const std::size_t index = (tick_ >> shift) & (kSlots - 1);
    Timer* list = std::exchange(slots_[level][index], nullptr);
    occupied_[level] &= ~(std::uint64_t{1} << index);
    while (list != nullptr) {
      Timer* timer = list;
      list = timer->next_;
      place(*timer);
    }
  }
}

void TimerWheel::run_slot() noexcept {
  const std::size_t index = tick_ & (kSlots - 1);
  // A local list: firing may disarm others that are due now, and may arm again into the same slot.
  Timer* due = std::exchange(slots_[0][index], nullptr);
  occupied_[0] &= ~(std::uint64_t{1} << index);
  for (Timer* timer = due; timer != nullptr; timer = timer->next_) timer->slot_ = &due;
  while (due != nullptr) {
    Timer* timer = due;
    take_out(*timer);
    timer->fire();
  }
}

}  // namespace revproxyd

#include "app/spread.h"

namespace revproxyd::app {

namespace {

constexpr std::uint64_t kWhole = 1000;

bool is_much_busier(const Share& one, const Share& other) noexcept {
  return one.busy >= other.busy + Spread::kBusier;
}

// Passing one on costs the other thread's waking: not for differences that pass by themselves.
bool has_fewer(std::uint64_t theirs, std::uint64_t mine) noexcept {
  return mine >= theirs + 1 + theirs / 16;
}

}  // namespace

bool Spread::has_less(const Share& one, const Share& other) noexcept {
  if (is_much_busier(other, one)) return true;
  return !is_much_busier(one, other) && one.connections < other.connections;
}

bool Spread::passes(const Share& mine, const Share& theirs) noexcept {
  if (is_much_busier(theirs, mine)) return false;
  if (!is_much_busier(mine, theirs)) return has_fewer(theirs.connections, mine.connections);
  due_ += kWhole * (mine.busy - theirs.busy) / mine.busy;
  if (due_ < kWhole) return false;
  due_ -= kWhole;
  return true;
}

}  // namespace revproxyd::app

#include "app/spread.h"

namespace revproxyd::app {

namespace {

constexpr std::uint64_t kWhole = 1000;

// Passing one on costs the other thread's waking: not for differences that pass by themselves.
bool has_fewer(std::uint64_t theirs, std::uint64_t mine) noexcept {
  return mine >= theirs + 1 + theirs / 16;
}

}  // namespace

bool Spread::has_less(const Share& one, const Share& other) noexcept {
  if (one.busy + kBusier <= other.busy) return true;
  return one.busy < other.busy + kBusier && one.connections < other.connections;
}

bool Spread::passes(const Share& mine, const Share& theirs) noexcept {
  if (theirs.busy >= mine.busy + kBusier) return false;
  if (mine.busy < theirs.busy + kBusier) return has_fewer(theirs.connections, mine.connections);
  due_ += kWhole * (mine.busy - theirs.busy) / mine.busy;
  if (due_ < kWhole) return false;
  due_ -= kWhole;
  return true;
}

}  // namespace revproxyd::app

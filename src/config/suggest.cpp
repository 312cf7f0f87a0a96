#include "revproxyd/config/suggest.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace revproxyd::config {

namespace {

/// Longer words are not compared: no key of ours comes near it, and the tables stay on the stack.
constexpr std::size_t kLongest = 64;
using Row = std::array<std::size_t, kLongest + 1>;

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit) {
  const std::size_t gap = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (gap > limit || a.size() > kLongest || b.size() > kLongest) return limit + 1;
  Row before{};  // two rows ago, for swaps
  Row previous{};
  Row current{};
  for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        current[j] = std::min(current[j], before[j - 2] + 1);
    }
    before = previous;
    previous = current;
  }
  return std::min(previous[b.size()], limit + 1);
}

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& words) {
  const std::size_t limit = word.size() <= 3 ? 1 : word.size() <= 6 ? 2 : 3;
  std::size_t best = limit + 1;
  std::string_view nearest;
  for (std::string_view candidate : words) {
    const std::size_t distance = edit_distance(word, candidate, limit);
    if (distance >= best || distance >= candidate.size()) continue;
    best = distance;
    nearest = candidate;
  }
  return nearest.empty() ? std::string() : "did you mean '" + std::string(nearest) + "'?";
}

}  // namespace revproxyd::config

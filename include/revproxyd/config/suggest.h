#pragma once
// "did you mean": the nearest of the words that would have been right.

#include <string>
#include <string_view>
#include <vector>

namespace revproxyd::config {

/// Edits (insert, drop, change, swap of neighbours) from `a` to `b`, or `limit` + 1 when there are
/// more.
std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit);

/// "did you mean 'health_check'?" for the nearest of `words`, or empty when none is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& words);

}  // namespace revproxyd::config

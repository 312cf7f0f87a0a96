#pragma once
// Lines of text in messages of limited size.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace revproxyd::app {

/// In texts of at most `limit` bytes each, every line with its end. One that is longer is left out.
std::vector<std::string> pack_lines(const std::vector<std::string>& lines, std::size_t limit);
/// The lines of one of these texts.
std::vector<std::string_view> lines_of(std::string_view text);

}  // namespace revproxyd::app

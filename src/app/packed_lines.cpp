#include "app/packed_lines.h"

#include <algorithm>

namespace revproxyd::app {

std::vector<std::string> pack_lines(const std::vector<std::string>& lines, std::size_t limit) {
  std::vector<std::string> texts;
  for (const std::string& line : lines) {
    if (line.size() >= limit) continue;
    if (texts.empty() || texts.back().size() + line.size() >= limit) texts.emplace_back();
    texts.back() += line + "\n";
  }
  return texts;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace revproxyd::app

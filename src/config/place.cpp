#include "revproxyd/config/place.h"

#include "revproxyd/config/report.h"

namespace revproxyd::config {

Place place_of(const Report& report, const Node& node) { return {report.place(node.mark)}; }

Place place_of(const Report& report, const Node& map, std::string_view key) {
  const Node* value = map.find(key);
  return value == nullptr ? Place() : place_of(report, *value);
}

std::string printable(std::string_view text) {
  std::string out(text);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto c = static_cast<unsigned char>(out[i]);
    if (c == '\t')
      out[i] = ' ';
    else if (c < 0x20 || c == 0x7F)
      out[i] = '?';
    if (c == 0xC2 && i + 1 < out.size() && static_cast<unsigned char>(out[i + 1]) < 0xA0)
      out.replace(i, 2, "?");
  }
  return out;
}

std::string said(const Finding& finding, std::string_view severity) {
  std::string out = finding.place.text;
  if (!out.empty()) out += ": ";
  if (!severity.empty()) out.append(severity).append(": ");
  return printable(out + finding.text);
}

}  // namespace revproxyd::config

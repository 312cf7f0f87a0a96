#include "revproxyd/config/place.h"

namespace revproxyd::config {

Place place_of(const Report& report, const Node& map, std::string_view key) {
  const Node* value = map.find(key);
  return value == nullptr ? Place() : Place{report.place(value->mark)};
}

std::string said(const Finding& finding, std::string_view severity) {
  std::string out = finding.place.text;
  if (!out.empty()) out += ": ";
  if (!severity.empty()) out.append(severity).append(": ");
  return out + finding.text;
}

}  // namespace revproxyd::config

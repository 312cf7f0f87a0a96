#pragma once
// Places of the configuration for what is found wrong only when it is used: they outlive the Report
// of the files.

#include <string>
#include <string_view>

#include "revproxyd/config/node.h"
#include "revproxyd/config/report.h"

namespace revproxyd::config {

/// Where a file says something: "proxy.yaml:41:7", empty where none does. Settings are the same
/// wherever they are written.
struct Place {
  std::string text;
  bool operator==(const Place&) const noexcept { return true; }
};

/// What is wrong, and where that is named.
struct Finding {
  Place place;
  std::string text;
};

/// Where the value of `key` is written in a map of the files of `report`.
Place place_of(const Report& report, const Node& map, std::string_view key);

/// "proxy.yaml:41:7: certificate b.pem: key does not match", with a word for how bad it is in front
/// of the text if there is one.
std::string said(const Finding& finding, std::string_view severity = {});

}  // namespace revproxyd::config

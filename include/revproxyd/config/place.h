#pragma once
// How what is wrong is told with its place; places outlive the Report of the files for what is
// found wrong only when it is used.

#include <string>
#include <string_view>

#include "revproxyd/config/node.h"

namespace revproxyd::config {

class Report;

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

Place place_of(const Report& report, const Node& node);
/// Where the value of `key` is written in a map of the files of `report`.
Place place_of(const Report& report, const Node& map, std::string_view key);

/// What a terminal can be given, on one line: control characters (of ASCII and of Latin-1) become a
/// space or '?'.
std::string printable(std::string_view text);

/// "proxy.yaml:41:7: certificate b.pem: key does not match", with a word for how bad it is in front
/// of the text if there is one; printable, whatever files and their contents are called. All that
/// is wrong with a configuration becomes text here.
std::string said(const Finding& finding, std::string_view severity = {});

}  // namespace revproxyd::config

#pragma once
// The door to the YAML library: text in, tree out, every cap watched while it is read.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/spent.h"
#include "revproxyd/config/load_tree.h"
#include "revproxyd/config/node.h"
#include "revproxyd/config/report.h"

namespace revproxyd::config {

/// Reads one document. `spent` is that of all files so far. Returns false after reporting why
/// nothing came of it; duplicate keys, tags and merge keys are reported too but leave a tree. An
/// empty document is Kind::null.
bool parse_yaml(std::string_view text, std::uint32_t source, const ReadLimits& limits, Spent& spent,
                Report& report, Node& out);

/// Refuses what is not UTF-8 or holds control characters, and says where. Part of parse_yaml().
bool check_text(std::string_view text, std::uint32_t source, Report& report);

/// A scalar in which the library has written the escapes \N and \_ as the single bytes 0x85 and
/// 0xA0, with the characters that they stand for instead. Part of parse_yaml().
std::string whole_characters(std::string_view text);

}  // namespace revproxyd::config

#pragma once
// From files to one tree: reading, includes, `${...}`. The only place that meets the YAML library
// is behind it.

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "revproxyd/config/node.h"
#include "revproxyd/config/report.h"

namespace revproxyd::config {

/// What hostile or broken files may cost. Everything beyond is an error that names the limit.
struct ReadLimits {
  std::size_t file_bytes = 4u << 20;
  std::size_t total_bytes = 32u << 20;  // of all files, aliases and ${...} expanded
  std::size_t files = 10000;
  std::size_t depth = 64;      // of nested lists and maps
  std::size_t nodes = 500000;  // values of all files, aliases expanded
  std::size_t includes = 16;   // files that include one another, deep
  std::size_t secret_bytes = 64u << 10;
};

/// The merged tree of a file and all that it includes.
struct Tree {
  Node root;
  std::vector<std::string> files;  // every file that was read, for the watch
  std::set<std::string> secrets;   // texts of the scalars that held ${...}
  bool whole = true;  // every file could be read, whatever is wrong with what stands in it
};

/// Reads `path` and its includes. Problems go to `report`; the tree holds what could be read.
Tree load_tree(const std::string& path, Report& report, const ReadLimits& limits = {});

/// The same for a text; relative paths and includes start at the working directory. `name` is how
/// messages call it.
Tree parse_tree(std::string_view text, const std::string& name, Report& report,
                const ReadLimits& limits = {});

}  // namespace revproxyd::config

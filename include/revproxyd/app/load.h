#pragma once
// The configuration as a whole: from a file or the command line to Settings, and back to text.

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "revproxyd/app/settings.h"
#include "revproxyd/config/report.h"

namespace revproxyd::app {

/// Settings are of use only if ok(). The report may hold warnings all the same.
struct LoadResult {
  Settings settings;
  config::Report report;
  std::set<std::string> secrets;  // texts that came from ${...}; print_effective() hides them

  bool ok() const noexcept { return report.ok(); }
};

/// Reads `path` and what it includes. Changes nothing outside of the result, throws nothing but
/// std::bad_alloc, and may be called again at any time, which is what a reload does.
LoadResult load_file(const std::string& path);

/// What `path` and what it includes say of the admin socket, whatever else is wrong with them.
/// Nothing, and a report that says why, when that cannot be told.
std::optional<AdminSettings> load_admin(const std::string& path, config::Report& report);

/// The same as load_file() for a text that messages call `name`. Relative paths and includes start
/// at the working directory.
LoadResult load_text(std::string_view text, const std::string& name);

/// One listener and one route to the servers `to`, with every default: `--listen ADDR --to
/// URL[,URL...]`.
LoadResult from_command_line(const std::string& listen, const std::vector<std::string>& to);

/// A configuration that says every default and loads to equal settings, but for texts in `secrets`,
/// which print `<redacted>`.
std::string print_effective(const Settings& settings, const std::set<std::string>& secrets = {});

/// JSON Schema (draft 7) of a configuration file.
std::string json_schema();

}  // namespace revproxyd::app

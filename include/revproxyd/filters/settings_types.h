#pragma once
// How the configuration writes the settings of filters.

#include <cstddef>
#include <string>

#include "revproxyd/config/type.h"
#include "revproxyd/filters/settings.h"

namespace revproxyd::filters {

config::Type<HeadersSettings> headers_settings();
/// `rewrite: { regex, to }`; the prefixes are keys of the route itself.
config::Type<RewriteSettings> rewrite_settings();
/// "/a/b": begins with '/', does not end with one, no blank, query or fragment.
config::Type<std::string> path_prefix();
/// A list of `NAME: VALUE` pairs from a map; a name may have several values.
config::Type<std::vector<std::pair<std::string, std::string>>> fields();

/// Every edit of `global` about a field that `own` does not name in the same direction, then those
/// of `own`.
HeadersSettings merged(const HeadersSettings& global, const HeadersSettings& own);

/// What a copy takes, about.
std::size_t bytes_of(const HeadersSettings& headers) noexcept;

/// Whether `regex`, which `node` says, compiles, and fits with all that this reader has met before
/// into kRegexInstructions; otherwise reports. Linear-time matching bounds what a hostile path can
/// cost.
bool check_regex(config::Reader& reader, const config::Node& node, const std::string& regex);

}  // namespace revproxyd::filters

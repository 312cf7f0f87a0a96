#pragma once
// Settings of the filters that exist; one struct a filter.

#include <string>
#include <utility>
#include <vector>

namespace revproxyd::filters {

/// One direction of `headers`: remove, then set, then add.
struct FieldEdits {
  std::vector<std::pair<std::string, std::string>> set;
  std::vector<std::pair<std::string, std::string>> add;
  std::vector<std::string> remove;
  bool empty() const noexcept { return set.empty() && add.empty() && remove.empty(); }
  bool operator==(const FieldEdits&) const = default;
};

/// `headers`, global and on a route; the route's wins where both name a field.
struct HeadersSettings {
  FieldEdits request;
  FieldEdits response;
  bool empty() const noexcept { return request.empty() && response.empty(); }
  bool operator==(const HeadersSettings&) const = default;
};

/// `strip_prefix`, `add_prefix` and `rewrite` of a route, applied in this order to the normalised
/// path.
struct RewriteSettings {
  std::string
      strip_prefix;  // "/a"; a path that does not begin with it as whole segments is left alone
  std::string add_prefix;
  std::string regex;  // RE2; empty = none
  std::string to;  // \1 to \9 are groups; may hold a query after '?', which replaces the request's
  bool empty() const noexcept {
    return strip_prefix.empty() && add_prefix.empty() && regex.empty();
  }
  bool operator==(const RewriteSettings&) const = default;
};

}  // namespace revproxyd::filters

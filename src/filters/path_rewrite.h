#pragma once
// `strip_prefix`, `add_prefix` and `rewrite` of a route: from the normalised path to the target
// that is forwarded.

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "revproxyd/base/arena.h"
#include "revproxyd/base/result.h"
#include "revproxyd/filters/regex.h"
#include "revproxyd/filters/settings.h"

namespace revproxyd::filters {

/// Why `settings` cannot be used, or empty: a prefix that is no path, a regex that does not
/// compile, a `to` that does not begin with '/' or a group, names a group that the regex lacks, has
/// a backslash before anything but 1 to 9 or another backslash, a bad escape or a '#', or stands
/// without a regex.
std::string rewrite_problem(const RewriteSettings& settings);

/// What the request asks for after the edits. `path` is normalised (http/target.h), so it begins
/// with one '/', and every byte of `target` lies in 0x21..0x7e. Unless `edited`, path and query are
/// the views that were given and `target` is empty: the request's own bytes are to be forwarded.
struct RewrittenTarget {
  bool edited = false;
  std::string_view target;  // path and, after '?', query; in the arena
  std::string_view path;
  std::string_view query;
  bool has_query = false;
};

class PathRewrite {
 public:
  /// Throws std::invalid_argument with the rewrite_problem(). Keeps no reference.
  explicit PathRewrite(const RewriteSettings& settings);

  /// `path` is normalised; one that does not begin with '/' (the asterisk form) is left alone. A
  /// step that does not fit changes nothing: a prefix takes whole segments only, a regex must match
  /// somewhere. What `to` says takes the place of the whole path; a '?' in it takes the place of
  /// the query, and nothing after that '?' leaves no query. A group that lands in the query is
  /// data: what has a meaning there ('&', ';', '=', '+', '#') is escaped. Fails with
  /// malformed_request when the new path climbs over the root, and with encoded_slash when a %2F or
  /// %5C comes about that neither the request nor the configuration wrote.
  Result<RewrittenTarget> apply(std::string_view path, std::string_view query, bool has_query,
                                Arena& arena) const;

 private:
  static constexpr int kGroups = 10;  // the whole match and \1 to \9
  using Groups = std::array<re2::StringPiece, kGroups>;
  struct Part {
    std::string literal;    // goes first, escaped where it must be
    std::size_t group = 0;  // 0 = none
  };
  static std::vector<Part> parse_template(std::string_view text);
  /// `parts` with the groups put in, in which `also` is escaped besides what is not printable
  /// ASCII.
  static std::string_view expand(const std::vector<Part>& parts, const Groups& groups,
                                 std::string_view also, Arena& arena);

  std::string strip_;
  std::string add_;
  std::unique_ptr<const re2::RE2> regex_;
  std::vector<Part> to_path_;
  std::vector<Part> to_query_;
  bool replaces_query_ = false;
  bool writes_encoded_slash_ = false;
};

}  // namespace revproxyd::filters

#include "config/file_pattern.h"

#include <fnmatch.h>

#include <algorithm>
#include <system_error>

namespace revproxyd::config {

namespace {

namespace fs = std::filesystem;

bool is_missing(const std::error_code& failure) {
  return failure == std::errc::no_such_file_or_directory || failure == std::errc::not_a_directory;
}

/// Follows a pattern from directory to directory. glob() would pass over what it cannot read.
class Search {
 public:
  /// `rest`: what of the pattern is to be matched below `at`.
  void below(const fs::path& at, std::string_view rest) {
    rest.remove_prefix(std::min(rest.find_first_not_of('/'), rest.size()));
    if (rest.empty()) return take(at);
    const std::string segment(rest.substr(0, rest.find('/')));
    rest.remove_prefix(segment.size());
    if (!has_wildcard(segment)) return below(at / segment, rest);
    std::error_code failure;
    fs::directory_iterator entry(at.empty() ? "." : at, failure);
    for (; !failure && entry != fs::directory_iterator(); entry.increment(failure)) {
      const fs::path name = entry->path().filename();
      if (::fnmatch(segment.c_str(), name.c_str(), FNM_PERIOD) == 0) below(at / name, rest);
    }
    if (failure && !is_missing(failure)) failed(at, failure);
  }

  MatchingFiles result;

 private:
  void take(const fs::path& path) {
    std::error_code failure;
    const fs::file_status status = fs::symlink_status(path, failure);
    if (fs::exists(status))
      result.paths.push_back(path.string());
    else if (failure && !is_missing(failure))
      failed(path, failure);
  }
  void failed(const fs::path& path, const std::error_code& failure) {
    result.unread = path.string();
    result.problem = failure.message();
  }
};

}  // namespace

bool has_wildcard(std::string_view pattern) {
  return pattern.find_first_of("*?[") != std::string_view::npos;
}

MatchingFiles matching_files(const fs::path& directory, std::string_view pattern) {
  Search search;
  search.below(pattern.starts_with('/') ? fs::path("/") : directory, pattern);
  std::sort(search.result.paths.begin(), search.result.paths.end());
  return std::move(search.result);
}

}  // namespace revproxyd::config

#pragma once
// Which files the pattern of an include stands for.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace revproxyd::config {

struct MatchingFiles {
  std::vector<std::string> paths;  // sorted
  // A directory that could hold a match and was not read, and why; empty when there is none. One
  // that is not there holds none.
  std::string unread;
  std::string problem;
};

bool has_wildcard(std::string_view pattern);

/// `pattern` is absolute, or relative to `directory`, whose name is taken as it is. Wildcards are
/// those of a shell and match within one segment; a leading dot has to be written.
MatchingFiles matching_files(const std::filesystem::path& directory, std::string_view pattern);

}  // namespace revproxyd::config

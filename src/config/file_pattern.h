#pragma once
// Which files the pattern of an include stands for.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace revproxyd::config {

/// `problem` is empty when every directory that could hold a match was read; one that is not there
/// holds none.
struct MatchingFiles {
  std::vector<std::string> paths;  // sorted
  std::string problem;             // "cannot read DIR: why"
};

bool has_wildcard(std::string_view pattern);

/// `pattern` is absolute, or relative to `directory`, whose name is taken as it is. Wildcards are
/// those of a shell and match within one segment; a leading dot has to be written.
MatchingFiles matching_files(const std::filesystem::path& directory, std::string_view pattern);

}  // namespace revproxyd::config

#pragma once
// Files that an operator names, read by a thread that must not stand still: configuration, secrets,
// certificates, keys.

#include <cstddef>
#include <string>

namespace revproxyd {

/// The contents of a file, or why there are none.
struct RegularFile {
  bool ok = false;
  std::string text;
  std::string problem;          // why not ok: "No such file or directory", "too large"
  bool too_large = false;       // it is the limit that it fails
  bool world_readable = false;  // others than owner and group may read it
};

/// Never waits: devices, pipes and directories are refused, and nothing is read beyond `limit`.
RegularFile read_regular_file(const std::string& path, std::size_t limit);

}  // namespace revproxyd

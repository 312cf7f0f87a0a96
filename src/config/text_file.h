#pragma once
// A regular file into memory, up to a cap.

#include <cstddef>
#include <string>

namespace revproxyd::config {

struct TextFile {
  bool ok = false;
  std::string text;
  std::string problem;          // why not ok: "no such file", "larger than 4 MiB"
  bool world_readable = false;  // others than owner and group may read it
};

/// Never waits: devices, pipes and directories are refused.
TextFile read_text_file(const std::string& path, std::size_t limit);

}  // namespace revproxyd::config

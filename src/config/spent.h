#pragma once
// What the values of all files have taken of the caps, aliases and ${...} expanded.

#include <algorithm>
#include <cstddef>
#include <string>

#include "revproxyd/config/load_tree.h"
#include "revproxyd/config/value.h"

namespace revproxyd::config {

struct Spent {
  std::size_t nodes = 0;
  std::size_t bytes = 0;  // of the files, and of texts that are copied or expanded

  std::size_t bytes_left(const ReadLimits& limits) const noexcept {
    return limits.total_bytes - std::min(bytes, limits.total_bytes);
  }
};

inline std::string too_large_together(const ReadLimits& limits) {
  return "all files together are larger than " + size_text(limits.total_bytes) +
         ", aliases and ${...} expanded";
}

}  // namespace revproxyd::config

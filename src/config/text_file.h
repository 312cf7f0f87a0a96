#pragma once
// A file of the configuration into memory, up to a cap.

#include <cstddef>
#include <string>

#include "revproxyd/base/regular_file.h"

namespace revproxyd::config {

/// As read_regular_file(); the problem of one that is too large names the limit.
RegularFile read_text_file(const std::string& path, std::size_t limit);

}  // namespace revproxyd::config

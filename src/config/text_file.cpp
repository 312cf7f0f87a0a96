#include "config/text_file.h"

#include "revproxyd/config/value.h"

namespace revproxyd::config {

RegularFile read_text_file(const std::string& path, std::size_t limit) {
  RegularFile file = read_regular_file(path, limit);
  if (file.too_large) file.problem = "larger than " + size_text(limit);
  return file;
}

}  // namespace revproxyd::config

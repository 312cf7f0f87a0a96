#include "revproxyd/filters/regex.h"

namespace revproxyd::filters {

std::unique_ptr<const re2::RE2> compile_regex(const std::string& pattern) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kRegexMemory);
  return std::make_unique<const re2::RE2>(pattern, options);
}

}  // namespace revproxyd::filters

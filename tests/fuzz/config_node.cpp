// Any bytes as a configuration: the reader and the assembly either take them or say why not.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "revproxyd/app/load.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // Files of this machine are no part of the input.
  if (text.find("include") != std::string_view::npos || text.find("${") != std::string_view::npos)
    return 0;
  const revproxyd::app::LoadResult result = revproxyd::app::load_text(text, "fuzz");
  const std::string said = result.report.text();
  if (!result.ok()) {
    if (said.empty()) __builtin_trap();
    return 0;
  }
  const std::string printed = revproxyd::app::print_effective(result.settings);
  const revproxyd::app::LoadResult again = revproxyd::app::load_text(printed, "printed");
  if (!again.ok() || revproxyd::app::print_effective(again.settings) != printed) __builtin_trap();
  return 0;
}

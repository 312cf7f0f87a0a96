#include "revproxyd/filters/registry.h"

#include <array>

#include "filters/entries.h"

namespace revproxyd::filters {

namespace {

constexpr std::array kFilters{
    FilterEntry{"headers", &make_headers},
    FilterEntry{"rewrite", &make_rewrite},
};

}  // namespace

std::span<const FilterEntry> filters() noexcept { return kFilters; }

std::vector<std::shared_ptr<const pipeline::Filter>> make_filters(const ChainSettings& settings) {
  std::vector<std::shared_ptr<const pipeline::Filter>> made;
  for (const FilterEntry& entry : kFilters) {
    if (auto filter = entry.make(settings)) made.push_back(std::move(filter));
  }
  return made;
}

}  // namespace revproxyd::filters

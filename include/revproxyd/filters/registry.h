#pragma once
// The filters that a route or the whole configuration can have, in the order in which they run.

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "revproxyd/filters/settings.h"
#include "revproxyd/pipeline/filter.h"

namespace revproxyd::filters {

/// What a chain's filters are made from.
struct ChainSettings {
  const RewriteSettings* rewrite = nullptr;  // null: none
  const HeadersSettings* headers = nullptr;
};

struct FilterEntry {
  std::string_view name;
  /// Null when the settings ask for nothing that this filter does. What they point to must outlive
  /// the filter.
  std::shared_ptr<const pipeline::Filter> (*make)(const ChainSettings& settings);
};

/// In the order of running: the first sees the request first and the response last.
std::span<const FilterEntry> filters() noexcept;

std::vector<std::shared_ptr<const pipeline::Filter>> make_filters(const ChainSettings& settings);

}  // namespace revproxyd::filters

#pragma once
// The makers of the filters, one a file, for the registry.

#include <memory>

#include "revproxyd/filters/registry.h"

namespace revproxyd::filters {

std::shared_ptr<const pipeline::Filter> make_headers(const ChainSettings& settings);
std::shared_ptr<const pipeline::Filter> make_rewrite(const ChainSettings& settings);

}  // namespace revproxyd::filters

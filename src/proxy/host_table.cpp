#include "proxy/host_table.h"

namespace revproxyd::proxy {

namespace {
constexpr std::uint32_t kExactScope = 0;
constexpr std::uint32_t kWildcardScope = 1;
}  // namespace

std::uint32_t HostTable::add(const HostPattern& pattern) {
  std::uint32_t set = size_;
  if (pattern.kind == HostKind::any) {
    if (any_ == kNone) any_ = size_;
    set = any_;
  } else {
    const bool exact = pattern.kind == HostKind::exact;
    (exact ? has_exact_ : has_wildcard_) = true;
    set = names_.insert(exact ? kExactScope : kWildcardScope, pattern.name, size_);
  }
  if (set == size_) ++size_;
  return set;
}

std::array<std::uint32_t, 3> HostTable::find(std::string_view host) const noexcept {
  std::array<std::uint32_t, 3> sets{kNone, kNone, any_};
  if (has_exact_ && !host.empty()) sets[0] = names_.find(kExactScope, host);
  if (has_wildcard_) {
    const std::size_t dot = host.find('.');
    if (dot != std::string_view::npos && dot != 0)
      sets[1] = names_.find(kWildcardScope, host.substr(dot + 1));
  }
  return sets;
}

}  // namespace revproxyd::proxy

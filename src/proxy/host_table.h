#pragma once
// From a request's host to the sets of routes that may take it: of its exact name, of the wildcard
// one label up, of any host.

#include <array>
#include <cstdint>
#include <string_view>

#include "proxy/name_table.h"
#include "revproxyd/proxy/settings.h"

namespace revproxyd::proxy {

class HostTable {
 public:
  static constexpr std::uint32_t kNone = NameTable::kNone;

  /// The set of that pattern; a new one gets the next number, counted from 0.
  std::uint32_t add(const HostPattern& pattern);
  std::uint32_t size() const noexcept { return size_; }

  /// The sets that `host` (lower case, empty when the request names none) meets: exact, wildcard,
  /// any; kNone where there is none.
  std::array<std::uint32_t, 3> find(std::string_view host) const noexcept;

 private:
  NameTable names_;  // scope: the kind
  bool has_exact_ = false;
  bool has_wildcard_ = false;
  std::uint32_t any_ = kNone;
  std::uint32_t size_ = 0;
};

}  // namespace revproxyd::proxy

#include "proxy/name_table.h"

#include <utility>

namespace revproxyd::proxy {

std::uint32_t NameTable::insert(std::uint32_t scope, std::string_view text, std::uint32_t value) {
  if (const std::uint32_t known = find(scope, text); known != kNone) return known;
  if (4 * (used_ + 1) > 3 * slots_.size()) grow();
  const std::uint64_t hash = hash_of(scope, text);
  const Slot slot{tag_of(hash), scope, value, static_cast<std::uint32_t>(texts_.size()),
                  static_cast<std::uint32_t>(text.size())};
  texts_ += text;
  place(slot, hash);
  ++used_;
  return value;
}

void NameTable::grow() {
  std::vector<Slot> old(slots_.empty() ? 8 : 2 * slots_.size());
  std::swap(old, slots_);
  for (const Slot& slot : old) {
    if (slot.value != kNone) place(slot, hash_of(slot.scope, text_of(slot)));
  }
}

void NameTable::place(const Slot& slot, std::uint64_t hash) noexcept {
  std::uint64_t at = hash;
  while (slots_[at & (slots_.size() - 1)].value != kNone) ++at;
  slots_[at & (slots_.size() - 1)] = slot;
}

}  // namespace revproxyd::proxy

#pragma once
// A hash table from (scope, text) to a number, filled once and then only read. Keys come from the
// configuration alone, so no peer can make its chains longer.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace revproxyd::proxy {

class NameTable {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  /// The number of that key, or kNone.
  std::uint32_t find(std::uint32_t scope, std::string_view text) const noexcept {
    if (slots_.empty()) return kNone;
    const std::uint64_t hash = hash_of(scope, text);
    for (std::uint64_t at = hash;; ++at) {
      const Slot& slot = slots_[at & (slots_.size() - 1)];
      if (slot.value == kNone) return kNone;
      if (slot.tag == tag_of(hash) && slot.scope == scope && text_of(slot) == text)
        return slot.value;
    }
  }

  /// The number of that key, which is `value` if the key is new. `value` must not be kNone.
  std::uint32_t insert(std::uint32_t scope, std::string_view text, std::uint32_t value);

 private:
  struct Slot {
    std::uint32_t tag = 0;
    std::uint32_t scope = 0;
    std::uint32_t value = kNone;
    std::uint32_t offset = 0;  // of the text in texts_
    std::uint32_t size = 0;
  };

  static std::uint64_t hash_of(std::uint32_t scope, std::string_view text) noexcept {
    return std::hash<std::string_view>()(text) + scope * UINT64_C(0x9E3779B97F4A7C15);
  }
  static std::uint32_t tag_of(std::uint64_t hash) noexcept {
    return static_cast<std::uint32_t>(hash >> 32);
  }
  std::string_view text_of(const Slot& slot) const noexcept {
    return std::string_view(texts_).substr(slot.offset, slot.size);
  }
  void grow();
  void place(const Slot& slot, std::uint64_t hash) noexcept;

  std::vector<Slot> slots_;  // a power of two, at most three quarters full
  std::uint32_t used_ = 0;
  std::string texts_;
};

}  // namespace revproxyd::proxy

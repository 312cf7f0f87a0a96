#pragma once
// Bump memory that lives as long as one exchange: heads and everything written into them.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace revproxyd {

/// Hands out memory that is released all at once by the destructor. Blocks come from the slab, none
/// before first use.
class Arena {
 public:
  Arena() noexcept = default;
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// `size` bytes aligned to `alignment` (a power of two, at most 16).
  void* allocate(std::size_t size, std::size_t alignment = 8) {
    const std::size_t padding = -reinterpret_cast<std::uintptr_t>(cursor_) & (alignment - 1);
    if (size + padding > static_cast<std::size_t>(limit_ - cursor_)) return from_new_block(size);
    char* const result = cursor_ + padding;
    cursor_ = result + size;
    return result;
  }

  /// A copy of `text` that lives as long as the arena.
  std::string_view copy(std::string_view text);
  /// The texts one after the other.
  std::string_view join(std::string_view a, std::string_view b, std::string_view c = {},
                        std::string_view d = {});
  /// Room for `size` characters that the caller fills.
  char* text(std::size_t size) { return static_cast<char*>(allocate(size, 1)); }
  /// What it has taken from the slab so far; walks the blocks.
  std::size_t held_bytes() const noexcept;

 private:
  struct Block {
    Block* next;
    std::size_t size;
  };

  void* from_new_block(std::size_t size);

  Block* blocks_ = nullptr;
  char* cursor_ = nullptr;
  char* limit_ = nullptr;
};

}  // namespace revproxyd

#include "revproxyd/base/slab.h"

#include <algorithm>
#include <array>
#include <new>

namespace revproxyd::slab {

namespace detail {

constinit thread_local Lists lists;

void* allocate_from_heap(std::size_t size) {
#ifndef REVPROXYD_SANITIZED
  // A block is as large as its class, for it may come back to the list.
  if (size <= kCoarseLimit) size = size_of(class_of(size));
#endif
  return ::operator new(size);
}

void release_to_heap(void* block) noexcept { ::operator delete(block); }

}  // namespace detail

namespace {

// Blocks that one call frees at most: a millisecond or two of work.
constexpr std::size_t kSweep = 16384;

// Fewest blocks that each list was seen with since the last sweep; then what that has yet to free.
struct Surplus {
  std::array<std::size_t, detail::kClasses> blocks;
  unsigned looks = 0;
};
constinit thread_local Surplus surplus{};

std::size_t kept_blocks(std::size_t index) noexcept {
  return detail::kKeepBytes / detail::size_of(index) - detail::lists[index].room;
}

void free_blocks(detail::List& list, std::size_t count) noexcept {
  for (; count != 0; --count) {
    detail::Free* block = list.head;
    list.head = block->next;
    ++list.room;
    ::operator delete(block);
  }
}

void look() noexcept {
  const bool first = surplus.looks++ == 0;
  for (std::size_t index = 0; index < detail::kClasses; ++index) {
    std::size_t& least = surplus.blocks[index];
    least = first ? kept_blocks(index) : std::min(least, kept_blocks(index));
  }
}

std::size_t sweep() noexcept {
  std::size_t budget = kSweep;
  std::size_t bytes = 0;
  for (std::size_t index = 0; index < detail::kClasses; ++index) {
    std::size_t& due = surplus.blocks[index];
    const std::size_t count = std::min({due, kept_blocks(index), budget});
    free_blocks(detail::lists[index], count);
    due -= count;
    budget -= count;
    bytes += count * detail::size_of(index);
  }
  if (budget != 0) surplus.looks = 0;
  return bytes;
}

}  // namespace

void trim() noexcept {
  for (std::size_t index = 0; index < detail::kClasses; ++index)
    free_blocks(detail::lists[index], kept_blocks(index));
  surplus.looks = 0;
}

std::size_t scavenge() noexcept {
  if (surplus.looks == kLooks) return sweep();
  look();
  return 0;
}

}  // namespace revproxyd::slab

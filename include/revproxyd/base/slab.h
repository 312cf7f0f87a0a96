#pragma once
// Per-thread free lists for what a request needs again and again: coroutine frames, streams,
// buffers. A block returns to the list of the thread that frees it, which is mostly the one that
// took it. Sanitizer builds pass straight through to the heap so that use after free is seen.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace revproxyd::slab {

namespace detail {

// Classes: 64-byte steps up to 1 KiB, then four steps to each power of two up to 64 KiB, so that
// less than a fifth of a block is for nothing.
inline constexpr std::size_t kFineStep = 64;
inline constexpr std::size_t kFineLimit = 1024;
inline constexpr std::size_t kFineClasses = kFineLimit / kFineStep;
inline constexpr std::size_t kCoarseLimit = 64 * 1024;
inline constexpr std::size_t kCoarseSteps = 4;
inline constexpr std::size_t kClasses = kFineClasses + 6 * kCoarseSteps;
// What a thread keeps of each class at most; beyond it blocks go back to the heap.
inline constexpr std::size_t kKeepBytes = 8 * 1024 * 1024;

constexpr std::size_t class_of(std::size_t size) noexcept {
  if (size <= kFineLimit) return size == 0 ? 0 : (size - 1) / kFineStep;
  const auto width = static_cast<std::size_t>(std::bit_width(size - 1));
  return kFineClasses + (width - 11) * kCoarseSteps + ((size - 1) >> (width - 3)) % kCoarseSteps;
}

constexpr std::size_t size_of(std::size_t index) noexcept {
  if (index < kFineClasses) return (index + 1) * kFineStep;
  const std::size_t doubling = (index - kFineClasses) / kCoarseSteps;
  const std::size_t step = (index - kFineClasses) % kCoarseSteps + 1;
  return (kFineLimit << doubling) / kCoarseSteps * (kCoarseSteps + step);
}

struct Free {
  Free* next;
};

struct List {
  Free* head = nullptr;
  std::size_t room = 0;  // blocks that may still be put into it
};

struct Lists : std::array<List, kClasses> {
  constexpr Lists() noexcept : array() {
    for (std::size_t index = 0; index < kClasses; ++index)
      (*this)[index].room = kKeepBytes / size_of(index);
  }
};

// Trivially destructible on purpose: frames may still be freed while other thread-locals are being
// destroyed.
extern constinit thread_local Lists lists;

void* allocate_from_heap(std::size_t size);
void release_to_heap(void* block) noexcept;

}  // namespace detail

/// Memory for `size` bytes, aligned for any type. Blocks over 64 KiB come from the heap. Never
/// returns null.
inline void* allocate(std::size_t size) {
#ifndef REVPROXYD_SANITIZED
  if (size <= detail::kCoarseLimit) [[likely]] {
    detail::List& list = detail::lists[detail::class_of(size)];
    if (detail::Free* block = list.head; block != nullptr) [[likely]] {
      list.head = block->next;
      ++list.room;
      return block;
    }
  }
#endif
  return detail::allocate_from_heap(size);
}

/// Gives back what allocate(size) returned.
inline void release(void* block, std::size_t size) noexcept {
#ifndef REVPROXYD_SANITIZED
  if (size <= detail::kCoarseLimit) [[likely]] {
    detail::List& list = detail::lists[detail::class_of(size)];
    if (list.room != 0) [[likely]] {
      auto* free_block = static_cast<detail::Free*>(block);
      free_block->next = list.head;
      list.head = free_block;
      --list.room;
      return;
    }
  }
#endif
  (void)size;
  detail::release_to_heap(block);
}

/// Frees what the calling thread keeps; call it when a worker ends.
void trim() noexcept;

/// Frees what the calling thread has kept through kLooks calls without need, a part at each of
/// those that follow; call it once a second. How many bytes that was.
inline constexpr unsigned kLooks = 10;
std::size_t scavenge() noexcept;

/// Gives a class that is made per request slab storage: `class Stream : public slab::Allocated`.
struct Allocated {
  static void* operator new(std::size_t size) { return allocate(size); }
  static void operator delete(void* block, std::size_t size) noexcept { release(block, size); }
};

}  // namespace revproxyd::slab

#pragma once
// Per-thread free lists for what a request needs again and again: coroutine frames, streams, buffers.
// A block returns to the list of the thread that frees it; with one worker a thread that is the same one.
// Sanitizer builds pass straight through to the heap so that use after free is seen.

#include <cstddef>

namespace revproxyd::slab {

/// Memory for `size` bytes, aligned for any type. Blocks over 64 KiB come from the heap. Never returns null.
void* allocate(std::size_t size);

/// Gives back what allocate(size) returned.
void release(void* block, std::size_t size) noexcept;

/// Frees what the calling thread keeps; call it when a worker ends.
void trim() noexcept;

/// Gives a class that is made per request slab storage: `class Stream : public slab::Allocated`.
struct Allocated {
  static void* operator new(std::size_t size) { return allocate(size); }
  static void operator delete(void* block, std::size_t size) noexcept { release(block, size); }
};

}  // namespace revproxyd::slab

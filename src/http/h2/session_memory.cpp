#include "http/h2/session_memory.h"

#include <algorithm>
#include <cstring>

#include "revproxyd/base/slab.h"

namespace revproxyd::http::h2 {

namespace {

// nghttp2's memory comes from the slab, with its size in front of it.
constexpr std::size_t kPrefix = 16;
// Beyond it, what a session takes once, for its frames of 16 KiB and a little more: as large as it
// asks for and not as a block of the slab is.
constexpr std::size_t kFromSlab = 16 * 1024;

void* allocate(std::size_t size, void*) {
  const std::size_t whole = size + kPrefix;
  char* block =
      static_cast<char*>(whole <= kFromSlab ? slab::allocate(whole) : operator new(whole));
  std::memcpy(block, &size, sizeof size);
  return block + kPrefix;
}

std::size_t size_of(void* memory) noexcept {
  std::size_t size = 0;
  std::memcpy(&size, static_cast<char*>(memory) - kPrefix, sizeof size);
  return size;
}

void release(void* memory, void*) {
  if (memory == nullptr) return;
  char* block = static_cast<char*>(memory) - kPrefix;
  const std::size_t whole = size_of(memory) + kPrefix;
  whole <= kFromSlab ? slab::release(block, whole) : operator delete(block);
}

void* allocate_zeroed(std::size_t count, std::size_t size, void*) {
  void* memory = allocate(count * size, nullptr);
  std::memset(memory, 0, count * size);
  return memory;
}

void* reallocate(void* memory, std::size_t size, void*) {
  void* moved = allocate(size, nullptr);
  if (memory == nullptr) return moved;
  std::memcpy(moved, memory, std::min(size, size_of(memory)));
  release(memory, nullptr);
  return moved;
}

}  // namespace

nghttp2_mem memory_functions() noexcept {
  return {nullptr, allocate, release, allocate_zeroed, reallocate};
}

}  // namespace revproxyd::http::h2

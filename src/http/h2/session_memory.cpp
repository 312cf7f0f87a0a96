#include "http/h2/session_memory.h"

#include <algorithm>
#include <cstring>

#include "revproxyd/base/slab.h"

namespace revproxyd::http::h2 {

namespace {

// nghttp2's memory comes from the slab, with its size in front of it.
constexpr std::size_t kPrefix = 16;

void* allocate(std::size_t size, void*) {
  char* block = static_cast<char*>(slab::allocate(size + kPrefix));
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
  slab::release(static_cast<char*>(memory) - kPrefix, size_of(memory) + kPrefix);
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

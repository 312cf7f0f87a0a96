#include "revproxyd/base/slab.h"

#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace revproxyd::slab {

#ifdef REVPROXYD_SANITIZED

void* allocate(std::size_t size) { return ::operator new(size); }
void release(void* block, std::size_t) noexcept { ::operator delete(block); }
void trim() noexcept {}

#else

namespace {

// Classes: 64-byte steps up to 1 KiB, then powers of two up to 64 KiB.
constexpr std::size_t kFineStep = 64;
constexpr std::size_t kFineLimit = 1024;
constexpr std::size_t kFineClasses = kFineLimit / kFineStep;
constexpr std::size_t kCoarseLimit = 64 * 1024;
constexpr std::size_t kCoarseClasses = 6;
// What a thread keeps of each class at most; beyond it blocks go back to the heap.
constexpr std::size_t kKeepBytes = 8 * 1024 * 1024;

struct Free {
  Free* next;
};
struct List {
  Free* head = nullptr;
  std::size_t count = 0;
};

struct Class {
  std::size_t index;
  std::size_t size;
};

Class class_of(std::size_t size) noexcept {
  if (size <= kFineLimit) {
    const std::size_t index = size == 0 ? 0 : (size - 1) / kFineStep;
    return {index, (index + 1) * kFineStep};
  }
  const auto bits = static_cast<std::size_t>(std::bit_width(size - 1));
  return {kFineClasses + bits - 11, std::size_t{1} << bits};
}

// Trivially destructible on purpose: frames may still be freed while other thread-locals are being destroyed.
thread_local std::array<List, kFineClasses + kCoarseClasses> lists;

}  // namespace

void* allocate(std::size_t size) {
  if (size > kCoarseLimit) return ::operator new(size);
  const Class c = class_of(size);
  List& list = lists[c.index];
  if (list.head == nullptr) return ::operator new(c.size);
  Free* block = list.head;
  list.head = block->next;
  --list.count;
  return block;
}

void release(void* block, std::size_t size) noexcept {
  if (size > kCoarseLimit) return ::operator delete(block);
  const Class c = class_of(size);
  List& list = lists[c.index];
  if ((list.count + 1) * c.size > kKeepBytes) return ::operator delete(block);
  auto* free_block = static_cast<Free*>(block);
  free_block->next = list.head;
  list.head = free_block;
  ++list.count;
}

void trim() noexcept {
  for (List& list : lists) {
    while (list.head != nullptr) {
      Free* block = list.head;
      list.head = block->next;
      ::operator delete(block);
    }
    list.count = 0;
  }
}

#endif

}  // namespace revproxyd::slab

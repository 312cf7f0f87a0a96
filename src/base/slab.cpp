#include "revproxyd/base/slab.h"

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

void trim() noexcept {
  for (detail::List& list : detail::lists) {
    while (list.head != nullptr) {
      detail::Free* block = list.head;
      list.head = block->next;
      ++list.room;
      ::operator delete(block);
    }
  }
}

}  // namespace revproxyd::slab

#include "revproxyd/base/buffer.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "revproxyd/base/slab.h"

namespace revproxyd {

namespace {
constexpr std::size_t kSmallest = 1024;
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      capacity_(std::exchange(other.capacity_, 0)),
      read_(std::exchange(other.read_, 0)),
      written_(std::exchange(other.written_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this == &other) return *this;
  release();
  data_ = std::exchange(other.data_, nullptr);
  capacity_ = std::exchange(other.capacity_, 0);
  read_ = std::exchange(other.read_, 0);
  written_ = std::exchange(other.written_, 0);
  return *this;
}

void Buffer::reserve(std::size_t size) {
  if (capacity_ - written_ >= size) return;
  const std::size_t held = written_ - read_;
  // Moving is only cheap while little is held; otherwise a stream of small reads would move the
  // same bytes again and again.
  if (capacity_ - held >= size && held <= capacity_ / 2) {
    if (held != 0) std::memmove(data_, data_ + read_, held);
  } else {
    const std::size_t capacity = std::bit_ceil(std::max({held + size, capacity_ * 2, kSmallest}));
    char* data = static_cast<char*>(slab::allocate(capacity));
    if (held != 0) std::memcpy(data, data_ + read_, held);
    if (data_ != nullptr) slab::release(data_, capacity_);
    data_ = data;
    capacity_ = capacity;
  }
  read_ = 0;
  written_ = held;
}

void Buffer::release() noexcept {
  if (data_ != nullptr) slab::release(data_, capacity_);
  data_ = nullptr;
  capacity_ = read_ = written_ = 0;
}

}  // namespace revproxyd

#pragma once
// A growing run of bytes on slab memory with a read end and a write end: what a connection reads
// into and writes from.

#include <cstddef>
#include <cstring>
#include <string_view>

#include "revproxyd/base/bytes.h"

namespace revproxyd {

/// Bytes [read, written) are held; capacity grows by doubling through the slab's sizes. An empty
/// released buffer holds no memory.
class Buffer {
 public:
  Buffer() noexcept = default;
  explicit Buffer(std::size_t capacity) { reserve(capacity); }
  ~Buffer() { release(); }
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  Bytes held() const noexcept { return {data_ + read_, written_ - read_}; }
  std::size_t size() const noexcept { return written_ - read_; }
  bool empty() const noexcept { return read_ == written_; }
  std::size_t capacity() const noexcept { return capacity_; }

  /// Room for writing behind what is held; valid until the next call that changes the buffer.
  MutableBytes room() noexcept { return {data_ + written_, capacity_ - written_}; }
  /// Makes room() at least `size` bytes, by moving the held bytes to the front or by growing.
  void reserve(std::size_t size);
  /// `size` bytes of room() were filled.
  void commit(std::size_t size) noexcept { written_ += size; }
  /// The first `size` held bytes are done with.
  void consume(std::size_t size) noexcept {
    read_ += size;
    if (read_ == written_) read_ = written_ = 0;
  }
  void clear() noexcept { read_ = written_ = 0; }
  /// Gives the memory back; what was held is lost.
  void release() noexcept;

  void append(Bytes bytes) {
    if (bytes.empty()) return;
    if (capacity_ - written_ < bytes.size()) reserve(bytes.size());
    std::memcpy(data_ + written_, bytes.data(), bytes.size());
    written_ += bytes.size();
  }
  void append(char c) { append(Bytes(&c, 1)); }

 private:
  char* data_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t read_ = 0;
  std::size_t written_ = 0;
};

}  // namespace revproxyd

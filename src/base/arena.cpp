#include "revproxyd/base/arena.h"

#include <algorithm>

#include "revproxyd/base/copy_bytes.h"
#include "revproxyd/base/slab.h"

namespace revproxyd {

namespace {
// What the heads of a small request and its response take. Blocks of a page each would all lie on
// the same few sets of a cache, most of their lines unused.
constexpr std::size_t kBlockSize = 2048;
}  // namespace

Arena::~Arena() {
  while (blocks_ != nullptr) {
    Block* block = blocks_;
    blocks_ = block->next;
    slab::release(block, block->size);
  }
}

std::size_t Arena::held_bytes() const noexcept {
  std::size_t bytes = 0;
  for (const Block* block = blocks_; block != nullptr; block = block->next) bytes += block->size;
  return bytes;
}

void* Arena::from_new_block(std::size_t size) {
  // The header keeps the payload aligned to 16.
  const std::size_t block_size = std::max(kBlockSize, size + sizeof(Block));
  auto* block = static_cast<Block*>(slab::allocate(block_size));
  block->next = blocks_;
  block->size = block_size;
  blocks_ = block;
  char* payload = reinterpret_cast<char*>(block) + sizeof(Block);
  char* limit = reinterpret_cast<char*>(block) + block_size;
  // A large single object must not throw away the room left in the current block.
  if (cursor_ == nullptr || limit - (payload + size) > limit_ - cursor_) {
    cursor_ = payload + size;
    limit_ = limit;
  }
  return payload;
}

std::string_view Arena::copy(std::string_view source) {
  if (source.empty()) return {};
  char* out = text(source.size());
  copy_bytes(out, source);
  return {out, source.size()};
}

std::string_view Arena::join(std::string_view a, std::string_view b, std::string_view c,
                             std::string_view d) {
  const std::size_t size = a.size() + b.size() + c.size() + d.size();
  char* out = text(size);
  char* at = out;
  for (std::string_view part : {a, b, c, d}) at = copy_bytes(at, part);
  return {out, size};
}

}  // namespace revproxyd

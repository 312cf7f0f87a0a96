#include "revproxyd/base/slab.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

namespace revproxyd {
namespace {

constexpr std::size_t kSizes[] = {0,    1,    63,   64,     65,     1023,   1024,
                                  1025, 2048, 2049, 65'535, 65'536, 65'537, 1'000'000};

TEST(Slab, AlignsEveryBlockForAnyType) {
  for (std::size_t size : kSizes) {
    void* block = slab::allocate(size);
    ASSERT_NE(block, nullptr) << size;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignof(std::max_align_t), 0U) << size;
    slab::release(block, size);
  }
}

TEST(Slab, GivesWholeBlocksThatDoNotOverlap) {
  std::vector<std::pair<unsigned char*, std::size_t>> blocks;
  for (int round = 0; round < 4; ++round) {
    for (std::size_t size : kSizes) {
      auto* block = static_cast<unsigned char*>(slab::allocate(size));
      std::memset(block, static_cast<int>(blocks.size()), size);
      blocks.emplace_back(block, size);
    }
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto [block, size] = blocks[i];
    if (size != 0) {
      EXPECT_EQ(block[0], i);
      EXPECT_EQ(block[size - 1], i);
    }
    slab::release(block, size);
  }
  slab::trim();
}

TEST(Slab, ServesAClassThatAsksForIt) {
  struct Stream : slab::Allocated {
    int value = 7;
  };
  const auto stream = std::make_unique<Stream>();
  EXPECT_EQ(stream->value, 7);
}

TEST(Slab, AllocatesAfterTrim) {
  slab::release(slab::allocate(100), 100);
  slab::trim();
  void* block = slab::allocate(100);
  std::memset(block, 1, 100);
  slab::release(block, 100);
}

#ifndef REVPROXYD_SANITIZED
TEST(Slab, GivesTheBlockThatWasReleasedLast) {
  void* block = slab::allocate(200);
  slab::release(block, 200);
  // 200 and 250 bytes are of one class.
  void* again = slab::allocate(250);
  EXPECT_EQ(again, block);
  slab::release(again, 250);
}
#endif

}  // namespace
}  // namespace revproxyd

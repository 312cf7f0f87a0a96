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

TEST(Slab, EverySizeHasTheSmallestClassThatHoldsIt) {
  for (std::size_t size = 1; size <= slab::detail::kCoarseLimit; ++size) {
    const std::size_t index = slab::detail::class_of(size);
    ASSERT_LT(index, slab::detail::kClasses) << size;
    ASSERT_GE(slab::detail::size_of(index), size);
    if (index != 0) {
      ASSERT_LT(slab::detail::size_of(index - 1), size);
    }
  }
}

TEST(Slab, WastesLessThanAFifthOfALargeBlock) {
  for (std::size_t size = 1025; size <= slab::detail::kCoarseLimit; ++size) {
    const std::size_t block = slab::detail::size_of(slab::detail::class_of(size));
    ASSERT_LT((block - size) * 5, block) << size;
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
std::vector<void*> allocate_many(std::size_t count, std::size_t size) {
  std::vector<void*> blocks(count);
  for (void*& block : blocks) block = slab::allocate(size);
  return blocks;
}

void release_all(const std::vector<void*>& blocks, std::size_t size) {
  for (void* block : blocks) slab::release(block, size);
}

// Bytes freed by the calls of one round of looks and by the sweep behind it.
std::size_t scavenge_once() {
  for (unsigned look = 0; look < slab::kLooks; ++look) EXPECT_EQ(slab::scavenge(), 0U) << look;
  return slab::scavenge();
}

TEST(Slab, ScavengeFreesWhatWasNotNeeded) {
  slab::trim();
  release_all(allocate_many(100, 2048), 2048);
  EXPECT_EQ(scavenge_once(), 100U * 2048U);
  EXPECT_EQ(scavenge_once(), 0U);
}

TEST(Slab, ScavengeLeavesWhatWasNeededOnce) {
  slab::trim();
  release_all(allocate_many(100, 2048), 2048);
  EXPECT_EQ(slab::scavenge(), 0U);
  const auto used = allocate_many(60, 2048);
  EXPECT_EQ(slab::scavenge(), 0U);
  release_all(used, 2048);
  for (unsigned look = 2; look < slab::kLooks; ++look) EXPECT_EQ(slab::scavenge(), 0U);
  EXPECT_EQ(slab::scavenge(), 40U * 2048U);
}

TEST(Slab, ScavengeTakesNothingThatIsInUseByThen) {
  slab::trim();
  release_all(allocate_many(100, 2048), 2048);
  for (unsigned look = 0; look < slab::kLooks; ++look) EXPECT_EQ(slab::scavenge(), 0U);
  const auto used = allocate_many(70, 2048);
  EXPECT_EQ(slab::scavenge(), 30U * 2048U);
  release_all(used, 2048);
}

TEST(Slab, TrimEndsASweep) {
  slab::trim();
  constexpr std::size_t kMany = 40000;
  release_all(allocate_many(kMany, 64), 64);
  EXPECT_LT(scavenge_once(), kMany * 64);
  slab::trim();
  release_all(allocate_many(kMany, 64), 64);
  EXPECT_EQ(slab::scavenge(), 0U);
  slab::trim();
}

TEST(Slab, ScavengeFreesManyBlocksInParts) {
  slab::trim();
  constexpr std::size_t kMany = 40000;
  release_all(allocate_many(kMany, 64), 64);
  std::size_t freed = scavenge_once();
  EXPECT_LT(freed, kMany * 64);
  for (int call = 0; call < 10 && freed < kMany * 64; ++call) freed += slab::scavenge();
  EXPECT_EQ(freed, kMany * 64);
}

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

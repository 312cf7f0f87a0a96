#include "revproxyd/base/arena.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace revproxyd {
namespace {

TEST(Arena, AlignsAsAsked) {
  Arena arena;
  for (std::size_t alignment : {1U, 2U, 4U, 8U, 16U}) {
    arena.allocate(1, 1);
    const auto at = reinterpret_cast<std::uintptr_t>(arena.allocate(3, alignment));
    EXPECT_EQ(at % alignment, 0U) << alignment;
  }
}

TEST(Arena, AlignsTheFirstObjectOfABlock) {
  for (std::size_t size : {8U, 5000U, 100'000U}) {
    Arena arena;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena.allocate(size, 16)) % 16, 0U) << size;
  }
}

TEST(Arena, GivesPiecesThatDoNotOverlap) {
  Arena arena;
  std::vector<std::pair<char*, std::size_t>> pieces;
  for (std::size_t i = 0; i < 300; ++i) {
    const std::size_t size = i * 37 % 900 + 1;
    pieces.emplace_back(static_cast<char*>(arena.allocate(size, 1)), size);
    std::memset(pieces.back().first, static_cast<int>(i % 251), size);
  }
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const std::string expected(pieces[i].second, static_cast<char>(i % 251));
    ASSERT_EQ(std::memcmp(pieces[i].first, expected.data(), expected.size()), 0) << i;
  }
}

TEST(Arena, KeepsTheRoomOfABlockBesideALargeObject) {
  Arena arena;
  char* before = static_cast<char*>(arena.allocate(16, 1));
  arena.allocate(50'000, 1);
  EXPECT_EQ(arena.allocate(16, 1), before + 16);
}

TEST(Arena, CopiesText) {
  Arena arena;
  std::string source = "text";
  const std::string_view copy = arena.copy(source);
  source = "----";
  EXPECT_EQ(copy, "text");
  EXPECT_TRUE(arena.copy("").empty());
}

TEST(Arena, JoinsTexts) {
  Arena arena;
  EXPECT_EQ(arena.join("a", "", "bc", "d"), "abcd");
  EXPECT_EQ(arena.join("a", "b"), "ab");
  EXPECT_EQ(arena.join("", ""), "");
}

TEST(Arena, TellsWhatItHolds) {
  Arena arena;
  EXPECT_EQ(arena.held_bytes(), 0U);
  arena.copy("text");
  const std::size_t block = arena.held_bytes();
  EXPECT_GT(block, 0U);
  arena.copy("text");
  EXPECT_EQ(arena.held_bytes(), block);
  arena.text(50'000);
  EXPECT_GE(arena.held_bytes(), block + 50'000);
}

}  // namespace
}  // namespace revproxyd

#include "revproxyd/base/buffer.h"

#include <cstring>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace revproxyd {
namespace {

TEST(Buffer, HoldsNoMemoryBeforeUse) {
  const Buffer buffer;
  EXPECT_EQ(buffer.capacity(), 0U);
  EXPECT_TRUE(buffer.empty());
  EXPECT_TRUE(buffer.held().empty());
}

TEST(Buffer, HoldsWhatWasAppended) {
  Buffer buffer;
  buffer.append("ab");
  buffer.append('c');
  buffer.append("");
  EXPECT_EQ(buffer.held(), "abc");
  EXPECT_EQ(buffer.size(), 3U);
}

TEST(Buffer, HoldsWhatWasCommittedIntoItsRoom) {
  Buffer buffer(10);
  ASSERT_GE(buffer.room().size(), 10U);
  std::memcpy(buffer.room().data(), "hello", 5);
  buffer.commit(5);
  EXPECT_EQ(buffer.held(), "hello");
}

TEST(Buffer, ForgetsWhatWasConsumed) {
  Buffer buffer;
  buffer.append("hello");
  buffer.consume(2);
  EXPECT_EQ(buffer.held(), "llo");
  buffer.consume(3);
  EXPECT_TRUE(buffer.empty());
}

TEST(Buffer, ReusesItsWholeRoomOnceEmpty) {
  Buffer buffer(100);
  const std::size_t capacity = buffer.capacity();
  buffer.append("hello");
  buffer.consume(5);
  EXPECT_EQ(buffer.room().size(), capacity);
}

TEST(Buffer, KeepsItsBytesWhenItGrows) {
  Buffer buffer;
  std::string expected;
  for (int i = 0; i < 5000; ++i) {
    const std::string piece = std::to_string(i);
    buffer.append(piece);
    expected += piece;
  }
  EXPECT_EQ(buffer.held(), expected);
}

TEST(Buffer, MovesFewBytesToTheFrontInsteadOfGrowing) {
  Buffer buffer(1000);
  const std::size_t capacity = buffer.capacity();
  buffer.append(std::string(capacity, 'a'));
  buffer.consume(capacity - 3);
  buffer.reserve(capacity - 3);
  EXPECT_EQ(buffer.capacity(), capacity);
  EXPECT_EQ(buffer.held(), "aaa");
}

TEST(Buffer, GrowsRatherThanMoveManyBytes) {
  Buffer buffer(1000);
  const std::size_t capacity = buffer.capacity();
  buffer.append(std::string(capacity, 'a'));
  buffer.consume(1);
  buffer.reserve(1);
  EXPECT_GT(buffer.capacity(), capacity);
  EXPECT_EQ(buffer.size(), capacity - 1);
}

TEST(Buffer, GivesItsMemoryBackOnRelease) {
  Buffer buffer;
  buffer.append("hello");
  buffer.release();
  EXPECT_EQ(buffer.capacity(), 0U);
  EXPECT_TRUE(buffer.empty());
  buffer.append("again");
  EXPECT_EQ(buffer.held(), "again");
}

TEST(Buffer, KeepsItsMemoryOnClear) {
  Buffer buffer;
  buffer.append("hello");
  const std::size_t capacity = buffer.capacity();
  buffer.clear();
  EXPECT_EQ(buffer.capacity(), capacity);
  EXPECT_TRUE(buffer.empty());
}

TEST(Buffer, MovesAndLeavesAnEmptyOne) {
  Buffer buffer;
  buffer.append("hello");
  Buffer moved = std::move(buffer);
  EXPECT_EQ(moved.held(), "hello");
  EXPECT_EQ(buffer.capacity(), 0U);
  buffer.append("other");
  buffer = std::move(moved);
  EXPECT_EQ(buffer.held(), "hello");
}

}  // namespace
}  // namespace revproxyd

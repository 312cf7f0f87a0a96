#include "revproxyd/base/copy_bytes.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace revproxyd {
namespace {

// The source is as large as what is copied, so that a sanitizer sees a step too far.
TEST(CopyBytes, CopiesEachLengthAndNothingMore) {
  for (std::size_t size = 0; size <= 100; ++size) {
    std::vector<char> source(size);
    for (std::size_t i = 0; i < size; ++i) source[i] = static_cast<char>(i + 1);
    std::vector<char> room(size + 40, '\x7f');
    char* const end = copy_bytes(room.data() + 20, Bytes(source.data(), size));
    EXPECT_EQ(end, room.data() + 20 + size);
    const std::string guard(20, '\x7f');
    EXPECT_EQ(std::string(room.data(), room.size()),
              guard + std::string(source.begin(), source.end()) + guard);
  }
}

TEST(CopyBytes, CopiesNothingOfNoText) {
  char room = 'x';
  EXPECT_EQ(copy_bytes(&room, Bytes()), &room);
  EXPECT_EQ(room, 'x');
}

}  // namespace
}  // namespace revproxyd

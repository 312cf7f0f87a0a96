#include "http/field_text.h"

#include <vector>

#include <gtest/gtest.h>

namespace revproxyd::http {
namespace {

// RFC 9110 section 5.5: of the control characters only HTAB may stand in a value.
bool forbidden(int byte) { return (byte < 0x20 && byte != '\t') || byte == 0x7f; }

TEST(FieldText, SeesEveryControlCharacterWhereverItStands) {
  for (std::size_t size = 1; size <= 40; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::vector<char> text(size, 'a');
        text[at] = static_cast<char>(byte);
        EXPECT_EQ(has_control({text.data(), size}), forbidden(byte))
            << byte << " at " << at << " of " << size;
      }
    }
  }
}

TEST(FieldText, TakesTextsOfOtherBytesThatAreNoControlCharacters) {
  for (std::size_t size = 0; size <= 40; ++size) {
    for (const int byte : {0x09, 0x20, 0x7e, 0x80, 0xff}) {
      const std::vector<char> text(size, static_cast<char>(byte));
      EXPECT_FALSE(has_control({text.data(), size})) << byte << " times " << size;
    }
  }
}

TEST(FieldText, FindsTheFirstControlCharacter) {
  for (std::size_t size = 1; size <= 40; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::vector<char> text(size, 'a');
      text[at] = text.back() = '\n';
      EXPECT_EQ(find_control(text.data(), text.data() + size), text.data() + at);
    }
  }
}

}  // namespace
}  // namespace revproxyd::http

#include "revproxyd/http/status.h"

#include <gtest/gtest.h>

namespace revproxyd::http {
namespace {

TEST(Status, KnowsRegisteredPhrases) {
  EXPECT_EQ(reason_phrase(100), "Continue");
  EXPECT_EQ(reason_phrase(200), "OK");
  EXPECT_EQ(reason_phrase(413), "Content Too Large");
  EXPECT_EQ(reason_phrase(431), "Request Header Fields Too Large");
  EXPECT_EQ(reason_phrase(505), "HTTP Version Not Supported");
  EXPECT_EQ(reason_phrase(511), "Network Authentication Required");
}

TEST(Status, SaysSoOfOthers) {
  EXPECT_EQ(reason_phrase(299), "Unknown");
  EXPECT_EQ(reason_phrase(0), "Unknown");
  EXPECT_EQ(reason_phrase(99), "Unknown");
  EXPECT_EQ(reason_phrase(600), "Unknown");
  EXPECT_EQ(reason_phrase(65'535), "Unknown");
}

TEST(Status, TellsInterimResponsesFromTheSwitch) {
  EXPECT_TRUE(is_interim(100));
  EXPECT_TRUE(is_interim(103));
  EXPECT_FALSE(is_interim(101));
  EXPECT_FALSE(is_interim(200));
}

}  // namespace
}  // namespace revproxyd::http

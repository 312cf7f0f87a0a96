#include "http/h1/chunked.h"

#include <string>

#include <gtest/gtest.h>

// tests/wire/chunked.md holds the grammar; here is how bytes are handed out and what is limited
// over a body.

namespace revproxyd::http::h1 {
namespace {

TEST(ChunkedDecoder, HandsOutViewsOfItsInput) {
  ChunkedDecoder decoder(Kind::request, {});
  const std::string_view input = "5\r\nhello\r\n0\r\n\r\n";
  const auto step = decoder.step(input);
  ASSERT_TRUE(step.has_value());
  EXPECT_EQ(step->data.data(), input.data() + 3);
  EXPECT_EQ(step->data, "hello");
}

TEST(ChunkedDecoder, IsDoneTogetherWithTheLastRun) {
  ChunkedDecoder decoder(Kind::request, {});
  const std::string_view input = "5\r\nhello\r\n0\r\n\r\nnext";
  const auto step = decoder.step(input);
  ASSERT_TRUE(step.has_value());
  EXPECT_TRUE(decoder.done());
  EXPECT_EQ(input.substr(step->consumed), "next");
}

TEST(ChunkedDecoder, TellsWhetherItsEndIsThereWithoutTakingIt) {
  ChunkedDecoder decoder(Kind::request, {});
  const std::string_view input = "5\r\nhello\r\n0\r\nA: b\r\n\r\n";
  for (std::size_t size = 0; size < input.size(); ++size)
    EXPECT_FALSE(decoder.ends_within(input.substr(0, size))) << size;
  EXPECT_TRUE(decoder.ends_within(input));
  EXPECT_TRUE(decoder.ends_within(std::string(input) + "next"));
  EXPECT_FALSE(decoder.ends_within("5\r\nhelloX0\r\n\r\n"));
  ASSERT_EQ(decoder.step(input.substr(0, 6))->data, "hel");
  EXPECT_FALSE(decoder.ends_within("lo\r\n"));
  EXPECT_TRUE(decoder.ends_within(input.substr(6)));
  ASSERT_EQ(decoder.step(input.substr(6, 10))->data, "lo");
  EXPECT_FALSE(decoder.ends_within("\r\n\r\n")) << "within the trailers";
}

TEST(ChunkedDecoder, TakesNothingOnceItIsDone) {
  ChunkedDecoder decoder(Kind::request, {});
  ASSERT_TRUE(decoder.step("0\r\n\r\n").has_value());
  const auto step = decoder.step("0\r\n\r\n");
  ASSERT_TRUE(step.has_value());
  EXPECT_EQ(step->consumed, 0U);
  EXPECT_TRUE(step->data.empty());
}

TEST(ChunkedDecoder, GivesOneChunkACall) {
  ChunkedDecoder decoder(Kind::request, {});
  const std::string_view input = "1\r\na\r\n1\r\nb\r\n";
  const auto first = decoder.step(input);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->data, "a");
  EXPECT_EQ(decoder.step(input.substr(first->consumed))->data, "b");
}

TEST(ChunkedDecoder, GivesALargeChunkInPieces) {
  ChunkedDecoder decoder(Kind::request, {});
  EXPECT_EQ(decoder.step("7fffffffffffffff\r\nabc")->data, "abc");
  EXPECT_EQ(decoder.step("defg")->data, "defg");
  EXPECT_FALSE(decoder.done());
}

TEST(ChunkedDecoder, TakesNothingOfNothing) {
  ChunkedDecoder decoder(Kind::request, {});
  const auto step = decoder.step("");
  ASSERT_TRUE(step.has_value());
  EXPECT_EQ(step->consumed, 0U);
  EXPECT_TRUE(step->data.empty());
}

TEST(ChunkedDecoder, HandsOutWhatCameBeforeAFault) {
  ChunkedDecoder decoder(Kind::response, {});
  const std::string_view input = "5\r\nhello!";
  const auto step = decoder.step(input);
  ASSERT_TRUE(step.has_value());
  EXPECT_EQ(step->data, "hello");
  ASSERT_LT(step->consumed, input.size());
  const auto fault = decoder.step(input.substr(step->consumed));
  ASSERT_FALSE(fault.has_value());
  EXPECT_EQ(fault.error().code(), Code::malformed_response);
  EXPECT_FALSE(decoder.done());
}

TEST(ChunkedDecoder, StaysRefused) {
  ChunkedDecoder decoder(Kind::request, {});
  EXPECT_FALSE(decoder.step("x").has_value());
  EXPECT_FALSE(decoder.step("0\r\n\r\n").has_value());
  EXPECT_FALSE(decoder.done());
}

TEST(ChunkedDecoder, LimitsExtensionsOverTheWholeBody) {
  const std::string chunk = "1;" + std::string(1023, 'e') + "\r\na\r\n";
  ChunkedDecoder decoder(Kind::request, {});
  std::size_t chunks = 0;
  while (decoder.step(chunk).has_value()) ++chunks;
  // The semicolon and the CR count too: 1025 bytes a chunk.
  EXPECT_EQ(chunks, kMostExtensionBytes / 1025);
}

TEST(ChunkedDecoder, CopiesTrailersIntoTheArenaOfTheirList) {
  std::string input = "0\r\nX-Own: 1\r\nHost: b\r\n\r\n";
  ChunkedDecoder decoder(Kind::request, {});
  ASSERT_TRUE(decoder.step(input).has_value());
  ASSERT_TRUE(decoder.done());
  Arena arena;
  Fields trailers(arena);
  ASSERT_TRUE(decoder.take_trailers(trailers).has_value());
  input.assign(input.size(), '-');
  EXPECT_EQ(trailers.get("X-Own"), "1");
  EXPECT_FALSE(trailers.has(FieldName::host));
}

TEST(ChunkedDecoder, HasNoTrailersWhereNoneCame) {
  ChunkedDecoder decoder(Kind::request, {});
  ASSERT_TRUE(decoder.step("0\r\n\r\n").has_value());
  Arena arena;
  Fields trailers(arena);
  EXPECT_TRUE(decoder.take_trailers(trailers).has_value());
  EXPECT_TRUE(trailers.empty());
}

TEST(ChunkedDecoder, LeavesWhatFollowsTrailersInTheInput) {
  ChunkedDecoder decoder(Kind::request, {});
  ASSERT_EQ(decoder.step("0\r\nA:")->consumed, 5U);
  const std::string rest = " b\r\n\r\n" + std::string(100'000, 'n');
  EXPECT_EQ(decoder.step(rest)->consumed, 6U);
  EXPECT_TRUE(decoder.done());
}

}  // namespace
}  // namespace revproxyd::http::h1

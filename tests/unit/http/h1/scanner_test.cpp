#include <string>

#include <gtest/gtest.h>

#include "http/h1/parser.h"

namespace revproxyd::http::h1 {
namespace {

TEST(HeadScanner, FindsTheEndOnceItIsThere) {
  HeadScanner scanner(Kind::request, {});
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  for (std::size_t size = 0; size < head.size(); ++size)
    ASSERT_EQ(*scanner.scan(head.substr(0, size)), 0U) << size;
  EXPECT_EQ(*scanner.scan(head + "GET /next"), head.size());
}

TEST(HeadScanner, CountsSkippedLinesIntoTheLength) {
  HeadScanner scanner(Kind::request, {});
  EXPECT_EQ(*scanner.scan("\r\n\r\nGET / HTTP/1.0\r\n\r\n"), 22U);
  EXPECT_EQ(scanner.skipped(), 4U);
}

TEST(HeadScanner, CountsLinesThatAreLeftOut) {
  HeadScanner scanner(Kind::request, {});
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(*scanner.scan("\r\n\r\n"), 0U);
    ASSERT_TRUE(scanner.leave_out(4));
  }
  EXPECT_EQ(scanner.scan("\r\n").error().code(), Code::malformed_request);
}

TEST(HeadScanner, LeavesOutNothingOfWhatMayBeAHead) {
  HeadScanner scanner(Kind::request, {});
  ASSERT_EQ(*scanner.scan("\r\n\r"), 0U);
  EXPECT_FALSE(scanner.leave_out(3));
  ASSERT_EQ(*scanner.scan("\r\n\r\nG"), 0U);
  EXPECT_FALSE(scanner.leave_out(5));
}

TEST(HeadScanner, StartsAnewAfterReset) {
  HeadScanner scanner(Kind::request, {});
  ASSERT_EQ(*scanner.scan("\r\nGET / HTTP/1.0\r\n\r\n"), 20U);
  scanner.reset();
  EXPECT_EQ(scanner.skipped(), 0U);
  EXPECT_EQ(*scanner.scan("GET /b HTTP/1.0\r\n\r\n"), 19U);
}

TEST(HeadScanner, RefusesTheFirstByteThatFitsNoMessage) {
  EXPECT_EQ(HeadScanner(Kind::request, {}).scan("\x16").error().code(), Code::malformed_request);
  EXPECT_EQ(HeadScanner(Kind::request, {}).scan("\n").error().code(), Code::malformed_request);
  EXPECT_EQ(HeadScanner(Kind::response, {}).scan("\r").error().code(), Code::malformed_response);
  EXPECT_EQ(HeadScanner(Kind::response, {}).scan("I").error().code(), Code::malformed_response);
}

TEST(HeadScanner, RefusesAnUnfinishedLineAsSoonAsItIsTooLong) {
  const HeadLimits limits{.start_line = 10, .header_bytes = 10, .header_count = 5};
  // The eleventh byte may still be the CR of a line of ten.
  EXPECT_EQ(*HeadScanner(Kind::request, limits).scan("GET /234567"), 0U);
  EXPECT_EQ(HeadScanner(Kind::request, limits).scan("GET /2345678").error().code(),
            Code::request_line_too_long);
  EXPECT_EQ(*HeadScanner(Kind::request, limits).scan("GET / H\r\nA: 123456"), 0U);
  EXPECT_EQ(HeadScanner(Kind::request, limits).scan("GET / H\r\nA: 1234567").error().code(),
            Code::header_too_large);
}

TEST(HeadScanner, FindsTheEndAtEveryPlaceAndInEveryCut) {
  for (std::size_t filling = 0; filling < 40; ++filling) {
    const std::string head = "GET / HTTP/1.1\r\nA: " + std::string(filling, 'v') + "\r\nB:\r\n\r\n";
    for (std::size_t cut = 0; cut <= head.size(); ++cut) {
      HeadScanner scanner(Kind::request, {});
      const auto before = scanner.scan(std::string_view(head).substr(0, cut));
      ASSERT_TRUE(before.has_value());
      ASSERT_EQ(*before, cut == head.size() ? cut : 0U) << filling << " cut at " << cut;
      if (*before != 0) continue;
      const auto after = scanner.scan(head + "GET /next HTTP/1.1\r\n\r\n");
      ASSERT_TRUE(after.has_value());
      ASSERT_EQ(*after, head.size()) << filling << " cut at " << cut;
    }
  }
}

TEST(HeadScanner, CountsFieldLinesBeforeTheirEnd) {
  const HeadLimits limits{.start_line = 10, .header_bytes = 100, .header_count = 1};
  EXPECT_EQ(HeadScanner(Kind::request, limits).scan("GET / H\r\nA: 1\r\nB: 1\r\n").error().code(),
            Code::too_many_fields);
}

TEST(HeadScanner, ReportsLimitsOfResponsesByOneCode) {
  const HeadLimits limits{.start_line = 20, .header_bytes = 10, .header_count = 1};
  for (const char* head : {"HTTP/1.1 200 0123456789", "HTTP/1.1 200 OK\r\nA: 123456789",
                           "HTTP/1.1 200 OK\r\nA:\r\nB:\r\n"}) {
    const auto length = HeadScanner(Kind::response, limits).scan(head);
    ASSERT_FALSE(length.has_value()) << head;
    EXPECT_EQ(length.error().code(), Code::response_header_too_large) << head;
    EXPECT_EQ(length.error().side(), Side::upstream) << head;
  }
}

TEST(HeadScanner, TakesTrailersWithoutAStartLine) {
  HeadScanner scanner = HeadScanner::for_trailers(Kind::request, {});
  EXPECT_EQ(*scanner.scan("A: b\r\n\r\nnext"), 8U);
}

}  // namespace
}  // namespace revproxyd::http::h1

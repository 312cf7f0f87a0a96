#include "http/h1/serializer.h"

#include <string>

#include <gtest/gtest.h>

namespace revproxyd::http::h1 {
namespace {

class WriteRequestTest : public testing::Test {
 protected:
  WriteRequestTest() { head_.method_text = "GET"; }
  std::string written(std::string_view connection = {}) {
    Buffer out;
    write_request(head_, "/p?q", "a.example", connection, out);
    return std::string(out.held());
  }
  void method(Method method, std::string_view text) {
    head_.method = method;
    head_.method_text = text;
  }
  Arena arena_;
  RequestHead head_{arena_};
};

TEST_F(WriteRequestTest, PutsHostFirst) {
  head_.fields.add("X-Own", "1");
  head_.fields.add("Host", "other");
  EXPECT_EQ(written(), "GET /p?q HTTP/1.1\r\nHost: a.example\r\nX-Own: 1\r\n\r\n");
}

TEST_F(WriteRequestTest, KeepsOrderAndSpelling) {
  head_.fields.add("b", "1");
  head_.fields.add("ACCEPT", "2");
  head_.fields.add("b", "");
  EXPECT_EQ(written(), "GET /p?q HTTP/1.1\r\nHost: a.example\r\nb: 1\r\nACCEPT: 2\r\nb: \r\n\r\n");
}

TEST_F(WriteRequestTest, FramesByTheLengthAndByNothingElse) {
  head_.fields.add("Content-Length", "99");
  head_.fields.add("Transfer-Encoding", "gzip");
  head_.fields.add("Connection", "x");
  EXPECT_EQ(written(), "GET /p?q HTTP/1.1\r\nHost: a.example\r\n\r\n");
  head_.length = {Framing::length, 7};
  EXPECT_EQ(written(), "GET /p?q HTTP/1.1\r\nHost: a.example\r\nContent-Length: 7\r\n\r\n");
  head_.length = {Framing::chunked, 0};
  EXPECT_EQ(written(),
            "GET /p?q HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST_F(WriteRequestTest, SaysThatContentIsEmptyWhereSomeIsExpected) {
  method(Method::post, "POST");
  EXPECT_EQ(written(), "POST /p?q HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n");
  method(Method::delete_, "DELETE");
  EXPECT_EQ(written(), "DELETE /p?q HTTP/1.1\r\nHost: a.example\r\n\r\n");
}

TEST_F(WriteRequestTest, SaysWhatBecomesOfTheConnection) {
  EXPECT_EQ(written("close"), "GET /p?q HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
}

TEST_F(WriteRequestTest, WritesUpgradeOnlyWithItsConnectionOption) {
  head_.fields.add("Upgrade", "websocket");
  EXPECT_EQ(written(), "GET /p?q HTTP/1.1\r\nHost: a.example\r\n\r\n");
  EXPECT_EQ(
      written("upgrade"),
      "GET /p?q HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
}

TEST_F(WriteRequestTest, AppendsToWhatIsHeld) {
  Buffer out;
  out.append("before|");
  write_request(head_, "/", "a", {}, out);
  EXPECT_EQ(out.held(), "before|GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST_F(WriteRequestTest, FindsRoomForAnyHead) {
  for (int i = 0; i < 100; ++i)
    head_.fields.add(arena_.copy(std::string(200, 'n')), arena_.copy(std::string(300, 'v')));
  head_.length = {Framing::length, ~std::uint64_t{0}};
  const std::string text = written("close");
  EXPECT_EQ(
      text.size(),
      std::string("GET /p?q HTTP/1.1\r\nHost: a.example\r\n").size() + 100 * 504 +
          std::string("Content-Length: 18446744073709551615\r\nConnection: close\r\n\r\n").size());
}

class WriteResponseTest : public testing::Test {
 protected:
  WriteResponseTest() { head_.fields.add("Date", "D"); }
  // Without the date, which every final response carries.
  std::string written(const ResponseOptions& options = {}) {
    Buffer out;
    framing_ = write_response(head_, options, out);
    std::string text(out.held());
    if (const auto at = text.find("Date: D\r\n"); at != std::string::npos) text.erase(at, 9);
    return text;
  }
  Arena arena_;
  ResponseHead head_{arena_};
  Framing framing_ = Framing::none;
};

constexpr ResponseOptions kOld{.client_version = Version::http10};
constexpr ResponseOptions kOldClosing{.client_version = Version::http10, .keep_alive = false};
constexpr ResponseOptions kClosing{.keep_alive = false};
constexpr ResponseOptions kHead{.head_request = true};

TEST_F(WriteResponseTest, WritesALength) {
  head_.length = {Framing::length, 5};
  EXPECT_EQ(written(), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(framing_, Framing::length);
}

TEST_F(WriteResponseTest, SaysThatThereIsNoContent) {
  EXPECT_EQ(written(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(framing_, Framing::none);
}

TEST_F(WriteResponseTest, WritesChunksForHttp11) {
  head_.length = {Framing::chunked, 0};
  EXPECT_EQ(written(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(framing_, Framing::chunked);
}

TEST_F(WriteResponseTest, EndsChunksWithTheConnectionForHttp10) {
  head_.length = {Framing::chunked, 0};
  EXPECT_EQ(written(kOld), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(framing_, Framing::until_close);
}

TEST_F(WriteResponseTest, ClosesWhereTheConnectionEndsTheBody) {
  head_.length = {Framing::until_close, 0};
  EXPECT_EQ(written(), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(framing_, Framing::until_close);
}

TEST_F(WriteResponseTest, SaysWhatBecomesOfTheConnectionInTheClientsVersion) {
  EXPECT_EQ(written(kClosing), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(written(kOld),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(written(kOldClosing),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

TEST_F(WriteResponseTest, LeavesOutFramingAndConnectionOfTheFields) {
  head_.fields.add("Transfer-Encoding", "chunked");
  head_.fields.add("Content-Length", "99");
  head_.fields.add("Connection", "x");
  head_.fields.add("X-Own", "1");
  head_.length = {Framing::length, 2};
  EXPECT_EQ(written(), "HTTP/1.1 200 OK\r\nX-Own: 1\r\nContent-Length: 2\r\n\r\n");
}

TEST_F(WriteResponseTest, AddsADateOnlyWhereThereIsNone) {
  EXPECT_EQ(written().find("Date"), std::string::npos);
  head_.fields.remove(FieldName::date);
  const std::string text = written();
  const auto at = text.find("Date: ");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(text.substr(at + 6 + 25, 6), " GMT\r\n");
}

TEST_F(WriteResponseTest, KeepsAReasonAndFillsInAnEmptyOne) {
  head_.status = 404;
  EXPECT_TRUE(written().starts_with("HTTP/1.1 404 Not Found\r\n"));
  head_.reason = "Gone Fishing";
  EXPECT_TRUE(written().starts_with("HTTP/1.1 404 Gone Fishing\r\n"));
  head_.reason = {};
  head_.status = 599;
  EXPECT_TRUE(written().starts_with("HTTP/1.1 599 \r\n"));
}

TEST_F(WriteResponseTest, DescribesTheBodyThatHeadDoesNotSend) {
  head_.length = {Framing::length, 5};
  EXPECT_EQ(written(kHead), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(framing_, Framing::none);
}

TEST_F(WriteResponseTest, PassesOnTheLengthThatAnAnswerToHeadTells) {
  head_.fields.add("Content-Length", "12");
  EXPECT_EQ(written(kHead), "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n");
}

TEST_F(WriteResponseTest, ClaimsNoLengthThatNobodyTold) {
  EXPECT_EQ(written(kHead), "HTTP/1.1 200 OK\r\n\r\n");
}

TEST_F(WriteResponseTest, KeepsTheConnectionAfterHeadOfAnEndlessBody) {
  head_.length = {Framing::until_close, 0};
  EXPECT_EQ(written(kHead), "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(framing_, Framing::none);
}

TEST_F(WriteResponseTest, Frames204And304ByNothing) {
  head_.status = 204;
  head_.length = {Framing::length, 0};
  EXPECT_EQ(written(), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(framing_, Framing::none);
  head_.status = 304;
  head_.length = {};
  EXPECT_EQ(written(), "HTTP/1.1 304 Not Modified\r\n\r\n");
  EXPECT_EQ(framing_, Framing::none);
}

TEST_F(WriteResponseTest, WritesInterimHeadsBare) {
  head_.status = 103;
  head_.fields.add("Link", "x");
  EXPECT_EQ(written(kClosing), "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
  EXPECT_EQ(framing_, Framing::none);
}

TEST_F(WriteResponseTest, SparesHttp10ClientsInterimHeads) {
  head_.status = 103;
  EXPECT_EQ(written(kOld), "");
}

TEST_F(WriteResponseTest, TurnsIntoATunnelWith101) {
  head_.status = 101;
  head_.fields.add("Upgrade", "websocket");
  head_.length = {Framing::tunnel, 0};
  EXPECT_EQ(
      written(),
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
  EXPECT_EQ(framing_, Framing::tunnel);
}

TEST(WriteChunks, FrameEachRunOfBytes) {
  Buffer out;
  write_chunk_size(1, out);
  write_chunk_size(255, out);
  write_chunk_size(65'536, out);
  EXPECT_EQ(out.held(), "1\r\nff\r\n10000\r\n");
}

TEST(WriteChunks, EndWithTrailersIfThereAreAny) {
  Arena arena;
  Fields trailers(arena);
  Buffer out;
  write_last_chunk(nullptr, out);
  write_last_chunk(&trailers, out);
  EXPECT_EQ(out.held(), "0\r\n\r\n0\r\n\r\n");
  out.clear();
  trailers.add("ETag", "e");
  write_last_chunk(&trailers, out);
  EXPECT_EQ(out.held(), "0\r\nETag: e\r\n\r\n");
}

}  // namespace
}  // namespace revproxyd::http::h1

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "revproxyd/base/ascii.h"
#include "tests/unit/http/h2/sections.h"

namespace revproxyd::http::h2 {
namespace {

using testing::List;

// As on the wire, where names are lower case.
List list_of(const WireFields& fields) {
  List list;
  for (const WireField& field : fields)
    list.emplace_back(ascii::lower(field.name), std::string(field.value));
  return list;
}

bool has(const List& list, std::string_view name) {
  return std::ranges::any_of(list, [name](const auto& field) { return field.first == name; });
}

std::string value(const List& list, std::string_view name) {
  for (const auto& field : list) {
    if (field.first == name) return field.second;
  }
  return "(none)";
}

class H2RequestWriter : public ::testing::Test {
 protected:
  H2RequestWriter() : head_(arena_) { head_.method_text = "GET"; }
  List written(bool secure = true) {
    WireFields out;
    write_request(head_, "/x?q", "a.example:81", secure, out);
    return list_of(out);
  }
  Arena arena_;
  RequestHead head_;
};

TEST_F(H2RequestWriter, PutsPseudoFieldsBeforeTheOthers) {
  head_.fields.add("X-A", "1");
  const List list = written();
  ASSERT_EQ(list.size(), 5U);
  const List first(list.begin(), list.begin() + 4);
  const List expected{
      {":method", "GET"}, {":scheme", "https"}, {":authority", "a.example:81"}, {":path", "/x?q"}};
  EXPECT_TRUE(std::ranges::is_permutation(first, expected));
  EXPECT_EQ(list.back(), (List::value_type{"x-a", "1"}));
}

TEST_F(H2RequestWriter, TellsTheSchemeOfTheConnection) {
  EXPECT_EQ(value(written(true), ":scheme"), "https");
  EXPECT_EQ(value(written(false), ":scheme"), "http");
}

// RFC 9113 sections 8.2.2 and 8.3.1.
TEST_F(H2RequestWriter, LeavesOutHostAndWhatBelongsToAConnection) {
  for (const FieldName name :
       {FieldName::host, FieldName::connection, FieldName::keep_alive, FieldName::proxy_connection,
        FieldName::transfer_encoding, FieldName::upgrade, FieldName::te})
    head_.fields.add(name, "x");
  head_.fields.add("X-A", "1");
  EXPECT_EQ(written().size(), 5U);
}

TEST_F(H2RequestWriter, AsksForTrailersWhenTheClientTakesThem) {
  head_.accepts_trailers = true;
  EXPECT_EQ(value(written(), "te"), "trailers");
}

TEST_F(H2RequestWriter, WritesTheLengthThatHolds) {
  head_.fields.add(FieldName::content_length, "7");
  head_.length = {Framing::length, 5};
  const List list = written();
  EXPECT_EQ(value(list, "content-length"), "5");
  EXPECT_EQ(std::ranges::count(list, "content-length", &List::value_type::first), 1);
  head_.length = {Framing::chunked, 0};
  EXPECT_FALSE(has(written(), "content-length"));
}

// RFC 7541 section 7.1.3.
TEST_F(H2RequestWriter, KeepsCredentialsOutOfCompression) {
  head_.fields.add(FieldName::authorization, "Basic eA==");
  head_.fields.add(FieldName::proxy_authorization, "Basic eA==");
  head_.fields.add("X-A", "1");
  WireFields out;
  write_request(head_, "/", "a", true, out);
  std::size_t secret = 0;
  for (const WireField& field : out) secret += field.secret ? 1U : 0U;
  EXPECT_EQ(secret, 2U);
}

class H2ResponseWriter : public ::testing::Test {
 protected:
  H2ResponseWriter() : head_(arena_) { head_.fields.add(FieldName::date, "now"); }
  List written(bool head_request = false) {
    WireFields out;
    write_response(head_, head_request, arena_, out);
    return list_of(out);
  }
  Arena arena_;
  ResponseHead head_;
};

TEST_F(H2ResponseWriter, PutsStatusFirstAndNoReason) {
  head_.status = 404;
  head_.reason = "Not Found";
  head_.fields.add("X-A", "1");
  head_.length = {Framing::chunked, 0};
  const List list = written();
  EXPECT_EQ(list, (List{{":status", "404"}, {"date", "now"}, {"x-a", "1"}}));
}

TEST_F(H2ResponseWriter, LeavesOutWhatBelongsToAConnection) {
  for (const FieldName name :
       {FieldName::connection, FieldName::keep_alive, FieldName::proxy_connection,
        FieldName::transfer_encoding, FieldName::upgrade})
    head_.fields.add(name, "x");
  head_.length = {Framing::chunked, 0};
  EXPECT_EQ(written().size(), 2U);
}

TEST_F(H2ResponseWriter, WritesTheLengthThatHolds) {
  head_.fields.add(FieldName::content_length, "7");
  head_.length = {Framing::length, 5};
  EXPECT_EQ(value(written(), "content-length"), "5");
  head_.length = {Framing::chunked, 0};
  EXPECT_FALSE(has(written(), "content-length"));
}

TEST_F(H2ResponseWriter, SaysThatThereIsNoContent) {
  EXPECT_EQ(value(written(), "content-length"), "0");
}

// RFC 9110 section 8.6.
TEST_F(H2ResponseWriter, GivesNoLengthToNoContent) {
  head_.status = 204;
  head_.fields.add(FieldName::content_length, "7");
  EXPECT_FALSE(has(written(), "content-length"));
}

// RFC 9110 sections 9.3.2 and 15.4.5: what it would have been.
TEST_F(H2ResponseWriter, KeepsTheLengthOfContentThatIsNotSent) {
  EXPECT_FALSE(has(written(true), "content-length"));
  head_.fields.add(FieldName::content_length, "7");
  EXPECT_EQ(value(written(true), "content-length"), "7");
  head_.status = 304;
  EXPECT_EQ(value(written(), "content-length"), "7");
}

TEST_F(H2ResponseWriter, AddsADate) {
  head_.fields.remove(FieldName::date);
  EXPECT_TRUE(has(written(), "date"));
}

TEST_F(H2ResponseWriter, WritesAnInterimHeadWithItsOwnFieldsOnly) {
  head_.status = 103;
  head_.fields.add("Link", "</a>");
  head_.fields.add(FieldName::content_length, "7");
  EXPECT_EQ(written(), (List{{":status", "103"}, {"link", "</a>"}}));
}

// RFC 8441 section 5: the answer to an extended CONNECT has neither key nor 101.
TEST_F(H2ResponseWriter, MakesSuccessOfSwitchingProtocols) {
  head_.status = 101;
  head_.length = {Framing::tunnel, 0};
  head_.fields.add("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  head_.fields.add("Sec-WebSocket-Protocol", "chat");
  head_.fields.add(FieldName::upgrade, "websocket");
  const List list = written();
  EXPECT_EQ(list, (List{{":status", "200"}, {"date", "now"}, {"sec-websocket-protocol", "chat"}}));
}

TEST(H2TrailerWriter, LeavesOutWhatBelongsToAConnection) {
  Arena arena;
  Fields trailers(arena);
  trailers.add(FieldName::transfer_encoding, "chunked");
  trailers.add(FieldName::connection, "close");
  trailers.add("Grpc-Status", "0");
  WireFields out;
  write_trailers(trailers, out);
  EXPECT_EQ(list_of(out), (List{{"grpc-status", "0"}}));
}

}  // namespace
}  // namespace revproxyd::http::h2

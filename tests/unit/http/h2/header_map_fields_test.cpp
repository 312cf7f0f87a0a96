#include <string>

#include <gtest/gtest.h>

#include "tests/unit/http/h2/sections.h"

namespace revproxyd::http::h2 {
namespace {

using testing::kGet;
using testing::kOk;
using testing::List;
using testing::request_fault;
using testing::response_fault;
using testing::Taken;
using testing::trailer_fault;
using testing::with;
using testing::operator+;

// RFC 9113 section 8.2.1.
TEST(H2FieldMap, RefusesUpperCaseInNames) {
  for (const char* name : {"X-a", "x-A", "Content-Type", "cookiE"}) {
    EXPECT_EQ(request_fault(kGet + List{{name, "1"}}), Code::malformed_request) << name;
    EXPECT_EQ(response_fault(kOk + List{{name, "1"}}), Code::malformed_response) << name;
  }
}

TEST(H2FieldMap, RefusesNamesThatAreNoTokens) {
  for (const std::string name :
       {"", "a b", " a", "a ", "a:b", "a:", "a\r\nb", "a\nb", "a(b", "a/b", "a\x7f", "a\xc3\xa9"}) {
    EXPECT_EQ(request_fault(kGet + List{{name, "1"}}), Code::malformed_request) << name;
    EXPECT_EQ(response_fault(kOk + List{{name, "1"}}), Code::malformed_response) << name;
    EXPECT_EQ(trailer_fault({{name, "1"}}), Code::malformed_request) << name;
  }
  EXPECT_EQ(request_fault(kGet + List{{std::string("a\0b", 3), "1"}}), Code::malformed_request);
}

TEST(H2FieldMap, TakesEveryCharacterOfTokensInLowerCase) {
  EXPECT_EQ(request_fault(kGet + List{{"!#$%&'*+-.^`|~09az", "1"}}), Code::none);
}

TEST(H2FieldMap, RefusesUnderscoresInNamesOfRequestsOnly) {
  EXPECT_EQ(request_fault(kGet + List{{"x_a", "1"}}), Code::malformed_request);
  EXPECT_EQ(trailer_fault({{"x_a", "1"}}), Code::malformed_request);
  EXPECT_EQ(response_fault(kOk + List{{"x_a", "1"}}), Code::none);
}

TEST(H2FieldMap, RefusesControlCharactersInValues) {
  for (int byte = 0; byte <= 0x7f; ++byte) {
    const char c = static_cast<char>(byte);
    const bool control = (byte < 0x20 && c != '\t') || byte == 0x7f;
    const List bad{{"x-a", std::string("a") + c + "b"}};
    EXPECT_EQ(request_fault(kGet + bad), control ? Code::malformed_request : Code::none) << byte;
    EXPECT_EQ(response_fault(kOk + bad), control ? Code::malformed_response : Code::none) << byte;
    EXPECT_EQ(trailer_fault(bad), control ? Code::malformed_request : Code::none) << byte;
  }
}

TEST(H2FieldMap, RefusesWhiteSpaceAroundValues) {
  for (const char* value : {" a", "a ", "\ta", "a\t", " ", "\t"})
    EXPECT_EQ(request_fault(kGet + List{{"x-a", value}}), Code::malformed_request) << value;
}

TEST(H2FieldMap, TakesEmptyValuesAndBytesBeyondAscii) {
  for (const char* value : {"", "a b", "\xc3\xa9", "\xff"}) {
    Taken taken(SectionKind::request, kGet + List{{"x-a", value}});
    const auto head = taken.request();
    ASSERT_TRUE(head) << value;
    EXPECT_EQ(head->fields.get("x-a"), value);
  }
}

// RFC 9113 section 8.2.2.
TEST(H2FieldMap, RefusesFieldsThatBelongToAConnection) {
  const List fields{{"connection", "close"},          {"connection", "x-a"},
                    {"keep-alive", "timeout=5"},      {"proxy-connection", "keep-alive"},
                    {"transfer-encoding", "chunked"}, {"upgrade", "websocket"}};
  for (const auto& field : fields) {
    EXPECT_EQ(request_fault(kGet + List{field}, false), Code::malformed_request) << field.first;
    EXPECT_EQ(response_fault(kOk + List{field}), Code::malformed_response) << field.first;
    EXPECT_EQ(trailer_fault({field}), Code::malformed_request) << field.first;
  }
}

TEST(H2FieldMap, TakesTeOnlyForTrailers) {
  Taken taken(SectionKind::request, kGet + List{{"te", "trailers"}});
  const auto head = taken.request();
  ASSERT_TRUE(head);
  EXPECT_TRUE(head->accepts_trailers);
  EXPECT_FALSE(Taken(SectionKind::request, kGet).request()->accepts_trailers);
  for (const char* value : {"gzip", "trailers, deflate", "trailers;q=1", ""})
    EXPECT_EQ(request_fault(kGet + List{{"te", value}}), Code::malformed_request) << value;
}

// RFC 9113 section 8.2.3.
TEST(H2FieldMap, JoinsTheCrumbsOfACookie) {
  Taken taken(
      SectionKind::request,
      kGet + List{{"cookie", "a=1"}, {"x-a", "1"}, {"cookie", "b=2"}, {"cookie", "c=3; d=4"}});
  const auto head = taken.request();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->fields.count(FieldName::cookie), 1U);
  EXPECT_EQ(head->fields.get(FieldName::cookie), "a=1; b=2; c=3; d=4");
  EXPECT_EQ(head->fields.get("x-a"), "1");
}

TEST(H2FieldMap, LeavesEmptyCrumbsOfACookieOut) {
  const List crumbs{{"cookie", ""}, {"cookie", "a=1"}, {"cookie", ""}, {"cookie", "b=2"}};
  Taken taken(SectionKind::request, kGet + crumbs + List{{"cookie", ""}});
  const auto head = taken.request();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->fields.count(FieldName::cookie), 1U);
  EXPECT_EQ(head->fields.get(FieldName::cookie), "a=1; b=2");
}

TEST(H2FieldMap, KeepsOtherRepeatedFieldsApart) {
  Taken taken(SectionKind::request, kGet + List{{"accept", "a"}, {"accept", "b"}});
  const auto head = taken.request();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->fields.count(FieldName::accept), 2U);
}

TEST(H2FieldMap, CopiesWhatItKeeps) {
  Taken taken(SectionKind::request, kGet);
  std::string name = "x-a";
  std::string value = "one";
  taken.section().add(name, value);
  name = "???";
  value = "???";
  const auto head = taken.request();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->fields.get("x-a"), "one");
}

// RFC 9113 section 6.5.2: names and values, with 32 bytes a field.
std::size_t size_of(const List& list) {
  std::size_t size = 0;
  for (const auto& [name, value] : list) size += name.size() + value.size() + 32;
  return size;
}

TEST(H2FieldMap, TakesASectionOfTheSizeThatIsAllowedAndNoneLarger) {
  const List list = kGet + List{{"x-a", "12345"}};
  SectionLimits limits;
  limits.bytes = size_of(list);
  EXPECT_EQ(request_fault(list, true, limits), Code::none);
  limits.bytes -= 1;
  EXPECT_EQ(request_fault(list, true, limits), Code::header_too_large);
}

TEST(H2FieldMap, CountsEmptyFieldsTowardsTheSize) {
  SectionLimits limits;
  limits.bytes = size_of(kGet) + 3 * 33;
  limits.count = 1000;
  const List tiny{{"a", ""}, {"a", ""}, {"a", ""}};
  EXPECT_EQ(request_fault(kGet + tiny, true, limits), Code::none);
  EXPECT_EQ(request_fault(kGet + tiny + List{{"a", ""}}, true, limits), Code::header_too_large);
}

TEST(H2FieldMap, TakesAsManyFieldsAsAreAllowedAndNoneMore) {
  SectionLimits limits;
  limits.count = 2;
  const List two{{"x-a", "1"}, {"x-a", "1"}};
  EXPECT_EQ(request_fault(kGet + two, true, limits), Code::none);
  EXPECT_EQ(request_fault(kGet + two + List{{"x-b", "1"}}, true, limits), Code::too_many_fields);
}

TEST(H2FieldMap, CountsTheCrumbsOfACookieAsOneField) {
  SectionLimits limits;
  limits.count = 2;
  const List crumbs{{"cookie", "a=1"}, {"cookie", "b=2"}, {"cookie", "c=3"}, {"x-a", "1"}};
  EXPECT_EQ(request_fault(kGet + crumbs, true, limits), Code::none);
  EXPECT_EQ(request_fault(kGet + crumbs + List{{"x-b", "1"}}, true, limits), Code::too_many_fields);
}

TEST(H2FieldMap, RefusesAResponseLargerThanAllowed) {
  SectionLimits limits;
  limits.bytes = size_of(kOk) + 40;
  EXPECT_EQ(response_fault(kOk + List{{"x-a", "12345"}}, Method::get, false, limits), Code::none);
  EXPECT_EQ(response_fault(kOk + List{{"x-a", "123456"}}, Method::get, false, limits),
            Code::response_header_too_large);
}

TEST(H2FieldMap, BoundsWhatWouldBeARequestLine) {
  SectionLimits limits;
  limits.start_line = std::string_view("GET /x HTTP/1.1").size();
  EXPECT_EQ(request_fault(kGet, true, limits), Code::none);
  EXPECT_EQ(request_fault(with(kGet, ":path", "/xy"), true, limits), Code::request_line_too_long);
  EXPECT_EQ(request_fault(with(kGet, ":method", "HEAD"), true, limits),
            Code::request_line_too_long);
}

TEST(H2FieldMap, IsHopelessOnlyFarBeyondItsSize) {
  SectionLimits limits;
  limits.bytes = 100;
  Taken taken(SectionKind::request, kGet + List{{"x-a", std::string(200, 'a')}}, limits);
  EXPECT_EQ(taken.section().error().code(), Code::header_too_large);
  EXPECT_FALSE(taken.section().hopeless());
  for (int i = 0; i < 1000; ++i) taken.section().add("x-a", std::string(200, 'a'));
  EXPECT_TRUE(taken.section().hopeless());
}

TEST(H2FieldMap, TellsTheFirstRuleThatWasBroken) {
  SectionLimits limits;
  limits.count = 1;
  const List list = kGet + List{{"X", "1"}, {"x-a", "1"}, {"x-a", "1"}};
  EXPECT_EQ(request_fault(list, true, limits), Code::malformed_request);
}

TEST(H2FieldMap, BeginsAnewWhenItIsOpenedAgain) {
  Taken taken(SectionKind::request, kGet + List{{"X", "1"}});
  taken.section().open(SectionKind::request);
  for (const auto& [name, value] : kGet) taken.section().add(name, value);
  const auto head = taken.request();
  ASSERT_TRUE(head);
  EXPECT_TRUE(head->fields.find("X") == nullptr);
}

TEST(H2FieldMap, GivesWhatCouldBeReadOfARefusedRequest) {
  Taken taken(SectionKind::request, kGet + List{{"x-a", "1"}, {"X-B", "1"}, {"x-c", "1"}});
  ASSERT_EQ(taken.section().error().code(), Code::malformed_request);
  const RequestHead head = taken.section().take_refused();
  EXPECT_EQ(head.method, Method::get);
  EXPECT_EQ(head.raw_target, "/x");
  EXPECT_EQ(head.version, Version::http2);
  EXPECT_EQ(head.fields.get("x-a"), "1");
  EXPECT_EQ(head.fields.find("x-b"), nullptr);
}

// RFC 9113 section 8.1.
TEST(H2FieldMap, RefusesPseudoFieldsInTrailers) {
  for (const char* name : {":method", ":path", ":status", ":authority", ":foo"}) {
    EXPECT_EQ(trailer_fault({{"x-a", "1"}, {name, "1"}}), Code::malformed_request) << name;
    EXPECT_EQ(trailer_fault({{name, "1"}}), Code::malformed_request) << name;
    Taken response(SectionKind::response_trailers, {{name, "1"}});
    EXPECT_EQ(response.section().error().code(), Code::malformed_response) << name;
  }
}

// RFC 9110 section 6.5.1.
TEST(H2FieldMap, DropsTrailersThatFrameRouteOrAuthenticate) {
  Taken taken(SectionKind::request_trailers, {{"content-length", "5"},
                                              {"host", "b.example"},
                                              {"authorization", "x"},
                                              {"x-forwarded-for", "1.2.3.4"},
                                              {"x-checksum", "abc"},
                                              {"grpc-status", "0"}});
  ASSERT_EQ(taken.section().error().code(), Code::none);
  const Fields trailers = taken.section().take_trailers();
  EXPECT_EQ(trailers.size(), 2U);
  EXPECT_EQ(trailers.get("x-checksum"), "abc");
  EXPECT_EQ(trailers.get("grpc-status"), "0");
}

TEST(H2FieldMap, BoundsTrailersAsItDoesHeads) {
  SectionLimits limits;
  limits.bytes = 100;
  Taken taken(SectionKind::request_trailers, {{"x-a", std::string(66, 'a')}}, limits);
  EXPECT_EQ(taken.section().error().code(), Code::header_too_large);
}

}  // namespace
}  // namespace revproxyd::http::h2

#include <string>

#include <gtest/gtest.h>

#include "tests/unit/http/h2/sections.h"

namespace revproxyd::http::h2 {
namespace {

using testing::kOk;
using testing::List;
using testing::response_fault;
using testing::Taken;
using testing::with;
using testing::operator+;

TEST(H2ResponseMap, ReadsStatusAndFields) {
  Taken taken(SectionKind::response, {{":status", "404"}, {"x-a", "1"}});
  const auto head = taken.response();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 404);
  EXPECT_EQ(head->version, Version::http2);
  EXPECT_EQ(head->fields.size(), 1U);
  EXPECT_EQ(head->fields.get("x-a"), "1");
}

// RFC 9113 section 8.3.2.
TEST(H2ResponseMap, RefusesAResponseWithoutStatus) {
  EXPECT_EQ(response_fault({}), Code::malformed_response);
  EXPECT_EQ(response_fault({{"x-a", "1"}}), Code::malformed_response);
}

TEST(H2ResponseMap, RefusesASecondStatus) {
  EXPECT_EQ(response_fault({{":status", "200"}, {":status", "200"}}), Code::malformed_response);
}

TEST(H2ResponseMap, RefusesPseudoFieldsOfRequests) {
  for (const char* name : {":method", ":scheme", ":authority", ":path", ":protocol", ":foo"})
    EXPECT_EQ(response_fault(kOk + List{{name, "x"}}), Code::malformed_response) << name;
}

TEST(H2ResponseMap, RefusesStatusBehindAnotherField) {
  EXPECT_EQ(response_fault({{"x-a", "1"}, {":status", "200"}}), Code::malformed_response);
}

// RFC 9110 section 15: three digits, of which the first names one of five classes.
TEST(H2ResponseMap, RefusesAStatusThatIsNone) {
  for (const char* status : {"", "0", "20", "2000", "099", "600", "999", "20x", "+20", "-20",
                             "0200", "2 0", "200 OK", "\xb2\x30\x30"}) {
    EXPECT_EQ(response_fault(with(kOk, ":status", status)), Code::malformed_response) << status;
  }
}

TEST(H2ResponseMap, TakesEveryStatusOfTheFiveClasses) {
  for (const char* status : {"100", "103", "199", "200", "299", "304", "418", "599"})
    EXPECT_EQ(response_fault(with(kOk, ":status", status)), Code::none) << status;
}

// RFC 9113 section 8.6.
TEST(H2ResponseMap, RefusesSwitchingProtocols) {
  EXPECT_EQ(response_fault(with(kOk, ":status", "101")), Code::malformed_response);
}

// RFC 9113 section 8.1.
TEST(H2ResponseMap, RefusesAnInterimResponseThatEndsTheStream) {
  EXPECT_EQ(response_fault(with(kOk, ":status", "103"), Method::get, true),
            Code::malformed_response);
  EXPECT_EQ(response_fault(with(kOk, ":status", "103"), Method::get, false), Code::none);
}

TEST(H2ResponseMap, RefusesAnInterimResponseThatAnnouncesContent) {
  EXPECT_EQ(response_fault({{":status", "103"}, {"content-length", "5"}}),
            Code::malformed_response);
}

TEST(H2ResponseMap, TellsTheLengthOfContent) {
  const auto length = [](const List& fields, bool ended) {
    Taken taken(SectionKind::response, kOk + fields);
    return taken.response(Method::get, ended)->length;
  };
  EXPECT_EQ(length({{"content-length", "5"}}, false), (BodyLength{Framing::length, 5}));
  EXPECT_EQ(length({}, false), (BodyLength{Framing::chunked, 0}));
  EXPECT_EQ(length({}, true), BodyLength());
  EXPECT_EQ(length({{"content-length", "0"}}, false), (BodyLength{Framing::length, 0}))
      << "trailers may follow";
  EXPECT_EQ(length({{"content-length", "0"}}, true), BodyLength());
}

// RFC 9110 section 6.4.1.
TEST(H2ResponseMap, GivesNoContentToAnswersThatHaveNone) {
  const auto length = [](const char* status, Method method) {
    Taken taken(SectionKind::response, {{":status", status}, {"content-length", "5"}});
    return taken.response(method, true)->length;
  };
  EXPECT_EQ(length("200", Method::head), BodyLength());
  EXPECT_EQ(length("204", Method::get), BodyLength());
  EXPECT_EQ(length("304", Method::get), BodyLength());
}

TEST(H2ResponseMap, RefusesContentLengthThatIsNoNumberOrRepeated) {
  for (const char* value : {"", "x", "-1", "5, 5"})
    EXPECT_EQ(response_fault(kOk + List{{"content-length", value}}), Code::malformed_response);
  EXPECT_EQ(response_fault(kOk + List{{"content-length", "5"}, {"content-length", "5"}}),
            Code::malformed_response);
}

TEST(H2ResponseMap, KeepsSetCookieFieldsApart) {
  Taken taken(SectionKind::response, kOk + List{{"set-cookie", "a=1"}, {"set-cookie", "b=2"}});
  const auto head = taken.response();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->fields.count(FieldName::set_cookie), 2U);
}

}  // namespace
}  // namespace revproxyd::http::h2

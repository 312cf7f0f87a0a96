#include <string>

#include <gtest/gtest.h>

#include "tests/unit/http/h2/sections.h"

namespace revproxyd::http::h2 {
namespace {

using testing::kGet;
using testing::List;
using testing::request_fault;
using testing::Taken;
using testing::with;
using testing::without;
using testing::operator+;

TEST(H2RequestMap, ReadsWhatPseudoFieldsSay) {
  Taken taken(SectionKind::request, kGet);
  const auto head = taken.request();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->method, Method::get);
  EXPECT_EQ(head->method_text, "GET");
  EXPECT_EQ(head->version, Version::http2);
  EXPECT_EQ(head->raw_target, "/x");
  EXPECT_EQ(head->path, "/x");
  EXPECT_EQ(head->host, "a.example");
}

TEST(H2RequestMap, KeepsNoPseudoFieldAmongTheFields) {
  Taken taken(SectionKind::request, kGet + List{{"x-a", "1"}});
  const auto head = taken.request();
  ASSERT_TRUE(head);
  for (const Field& field : head->fields) EXPECT_NE(field.name.front(), ':') << field.name;
  EXPECT_EQ(head->fields.get("X-A"), "1");
}

TEST(H2RequestMap, KeepsAMethodThatNobodyKnows) {
  Taken taken(SectionKind::request, with(kGet, ":method", "BREW"));
  const auto head = taken.request();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->method, Method::other);
  EXPECT_EQ(head->method_text, "BREW");
}

// RFC 9113 section 8.3.1: exactly one of each but :authority.
TEST(H2RequestMap, RefusesAMissingPseudoField) {
  for (const char* name : {":method", ":scheme", ":path"})
    EXPECT_EQ(request_fault(without(kGet, name)), Code::malformed_request) << name;
}

TEST(H2RequestMap, RefusesARepeatedPseudoField) {
  for (const auto& field : kGet)
    EXPECT_EQ(request_fault(kGet + List{field}), Code::malformed_request) << field.first;
}

TEST(H2RequestMap, RefusesAnEmptyPseudoField) {
  for (const auto& [name, value] : kGet)
    EXPECT_EQ(request_fault(with(kGet, name, "")), Code::malformed_request) << name;
}

TEST(H2RequestMap, RefusesAnEmptyAuthorityBesideHost) {
  EXPECT_EQ(request_fault(with(kGet, ":authority", "") + List{{"host", "a.example"}}),
            Code::malformed_request);
}

TEST(H2RequestMap, RefusesPseudoFieldsThatNoRequestHas) {
  for (const char* name : {":status", ":foo", ":", ":Method", ":METHOD"})
    EXPECT_EQ(request_fault(kGet + List{{name, "200"}}), Code::malformed_request) << name;
}

TEST(H2RequestMap, RefusesAPseudoFieldBehindAnotherField) {
  for (const auto& field : kGet) {
    EXPECT_EQ(request_fault(without(kGet, field.first) + List{{"x-a", "1"}, field}),
              Code::malformed_request)
        << field.first;
  }
}

TEST(H2RequestMap, TakesPseudoFieldsInAnyOrder) {
  const List reversed(kGet.rbegin(), kGet.rend());
  EXPECT_EQ(request_fault(reversed), Code::none);
}

TEST(H2RequestMap, RefusesControlCharactersInPseudoFields) {
  for (const auto& field : kGet) {
    for (const char bad : {'\0', '\r', '\n', '\t', '\x01', '\x7f'}) {
      EXPECT_EQ(request_fault(with(kGet, field.first, field.second + bad + "x")),
                Code::malformed_request)
          << field.first << " with " << static_cast<int>(bad);
    }
  }
}

TEST(H2RequestMap, RefusesWhiteSpaceInWhatGoesOntoARequestLine) {
  for (const char* name : {":method", ":path", ":authority", ":scheme"}) {
    EXPECT_EQ(request_fault(with(kGet, name, "a b")), Code::malformed_request) << name;
    EXPECT_EQ(request_fault(with(kGet, name, "/ HTTP/1.1")), Code::malformed_request) << name;
  }
}

TEST(H2RequestMap, RefusesAMethodThatIsNoToken) {
  for (const char* method : {"G ET", "GET:", "G(T", "\xc3\xa9"})
    EXPECT_EQ(request_fault(with(kGet, ":method", method)), Code::malformed_request) << method;
}

TEST(H2RequestMap, TakesOnlySchemesOfHttp) {
  for (const char* scheme : {"http", "https", "HTTPS"})
    EXPECT_EQ(request_fault(with(kGet, ":scheme", scheme)), Code::none) << scheme;
  for (const char* scheme : {"ftp", "httpx", "h", "https:", "https://a"})
    EXPECT_EQ(request_fault(with(kGet, ":scheme", scheme)), Code::malformed_request) << scheme;
}

TEST(H2RequestMap, RefusesAPathThatIsNone) {
  for (const char* path :
       {"x", "http://b.example/", "https://a.example/x", "//b\\", "/a#b", "/\xc3\xa9", "*x", "?q"})
    EXPECT_EQ(request_fault(with(kGet, ":path", path)), Code::malformed_request) << path;
}

TEST(H2RequestMap, TakesAnAsteriskOnlyWithOptions) {
  EXPECT_EQ(request_fault(with(kGet, ":path", "*")), Code::malformed_request);
  Taken taken(SectionKind::request, with(with(kGet, ":path", "*"), ":method", "OPTIONS"));
  const auto head = taken.request();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->target.form, TargetForm::asterisk);
}

// RFC 9113 section 8.3.1.
TEST(H2RequestMap, RefusesAnAuthorityWithUserinfoOrMore) {
  for (const char* authority :
       {"me@a.example", "me:pw@a.example", "a.example/x", "a.example:0", "a.example:x",
        "a.example,b.example", "a..example", "[::1", "https://a.example"}) {
    EXPECT_EQ(request_fault(with(kGet, ":authority", authority)), Code::malformed_request)
        << authority;
  }
}

TEST(H2RequestMap, MakesHostOfAuthority) {
  Taken taken(SectionKind::request, with(kGet, ":authority", "A.example:81"));
  const auto head = taken.request();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->fields.get(FieldName::host), "A.example:81");
  EXPECT_EQ(head->fields.count(FieldName::host), 1U);
  EXPECT_EQ(head->host, "a.example");
  EXPECT_EQ(head->port, 81);
}

TEST(H2RequestMap, TakesAHostThatSaysTheSameAsAuthority) {
  for (const char* host : {"a.example", "A.Example"}) {
    Taken taken(SectionKind::request, kGet + List{{"host", host}});
    const auto head = taken.request();
    ASSERT_TRUE(head) << host;
    EXPECT_EQ(head->fields.count(FieldName::host), 1U);
  }
}

TEST(H2RequestMap, RefusesAHostOtherThanAuthority) {
  for (const char* host : {"b.example", "a.example:443", "a.example.", "a.exampl", ""})
    EXPECT_EQ(request_fault(kGet + List{{"host", host}}), Code::malformed_request) << host;
}

TEST(H2RequestMap, RefusesSeveralHosts) {
  const List twice{{"host", "a.example"}, {"host", "a.example"}};
  EXPECT_EQ(request_fault(kGet + twice), Code::malformed_request);
  EXPECT_EQ(request_fault(without(kGet, ":authority") + twice), Code::malformed_request);
}

TEST(H2RequestMap, TakesHostInPlaceOfAuthority) {
  Taken taken(SectionKind::request, without(kGet, ":authority") + List{{"host", "b.example"}});
  const auto head = taken.request();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->host, "b.example");
}

TEST(H2RequestMap, RefusesARequestThatNamesNoHost) {
  EXPECT_EQ(request_fault(without(kGet, ":authority")), Code::malformed_request);
}

// RFC 9113 section 8.1: content is delimited by frames; content-length only tells it beforehand.
TEST(H2RequestMap, TellsTheLengthOfContent) {
  const List with_length = kGet + List{{"content-length", "5"}};
  Taken announced(SectionKind::request, with_length);
  Taken streamed(SectionKind::request, kGet);
  Taken bare(SectionKind::request, kGet);
  EXPECT_EQ(announced.request(false)->length, (BodyLength{Framing::length, 5}));
  EXPECT_EQ(streamed.request(false)->length, (BodyLength{Framing::chunked, 0}));
  EXPECT_EQ(bare.request(true)->length, BodyLength());
}

TEST(H2RequestMap, RefusesContentLengthThatIsNoNumber) {
  for (const char* value :
       {"", "x", "-1", "+5", "5,5", "5, 5", "0x5", "5.0", "99999999999999999999"}) {
    EXPECT_EQ(request_fault(kGet + List{{"content-length", value}}, false), Code::malformed_request)
        << value;
  }
}

TEST(H2RequestMap, RefusesARepeatedContentLength) {
  for (const char* second : {"5", "6"}) {
    const List lengths{{"content-length", "5"}, {"content-length", second}};
    EXPECT_EQ(request_fault(kGet + lengths, false), Code::malformed_request) << second;
  }
}

TEST(H2RequestMap, RefusesContentLengthOfContentThatDoesNotCome) {
  EXPECT_EQ(request_fault(kGet + List{{"content-length", "5"}}, true), Code::malformed_request);
  EXPECT_EQ(request_fault(kGet + List{{"content-length", "0"}}, true), Code::none);
}

TEST(H2RequestMap, TakesOnlyTheExpectationOfContinue) {
  Taken taken(SectionKind::request, kGet + List{{"expect", "100-continue"}});
  const auto head = taken.request(false);
  ASSERT_TRUE(head);
  EXPECT_TRUE(head->expect_continue);
  EXPECT_EQ(request_fault(kGet + List{{"expect", "200-ok"}}, false), Code::expectation_failed);
}

// RFC 9113 section 8.5.
TEST(H2RequestMap, TakesConnectWithAnAuthorityAlone) {
  const List connect{{":method", "CONNECT"}, {":authority", "a.example:443"}};
  Taken taken(SectionKind::request, connect);
  const auto head = taken.request(false);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->method, Method::connect);
  EXPECT_EQ(head->target.form, TargetForm::authority);
  EXPECT_EQ(head->port, 443);
}

TEST(H2RequestMap, RefusesConnectWithASchemeOrAPath) {
  const List connect{{":method", "CONNECT"}, {":authority", "a.example:443"}};
  EXPECT_EQ(request_fault(connect + List{{":scheme", "https"}}), Code::malformed_request);
  EXPECT_EQ(request_fault(connect + List{{":path", "/"}}), Code::malformed_request);
}

TEST(H2RequestMap, RefusesConnectWithoutAnAuthority) {
  EXPECT_EQ(request_fault({{":method", "CONNECT"}}), Code::malformed_request);
  EXPECT_EQ(request_fault({{":method", "CONNECT"}, {"host", "a.example:443"}}),
            Code::malformed_request);
}

// RFC 8441 section 4: :scheme and :path are there, and :authority means what it does elsewhere.
const List kWebSocket = with(kGet, ":method", "CONNECT") + List{{":protocol", "websocket"}};

TEST(H2RequestMap, MakesAnUpgradeOfAnExtendedConnect) {
  Taken taken(SectionKind::request, kWebSocket + List{{"sec-websocket-version", "13"}});
  const auto head = taken.request(false);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->method, Method::get);
  EXPECT_EQ(head->method_text, "GET");
  EXPECT_EQ(head->upgrade, "websocket");
  EXPECT_TRUE(head->needs_upgrade);
  EXPECT_EQ(head->raw_target, "/x");
  EXPECT_EQ(head->length, BodyLength());
  EXPECT_EQ(head->fields.get(FieldName::upgrade), "websocket");
}

// RFC 6455 section 4.1: the base64 form of sixteen bytes, chosen anew each time.
TEST(H2RequestMap, MakesAKeyForAWebSocket) {
  const List own_key{{"sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="}};
  Taken one(SectionKind::request, kWebSocket);
  Taken other(SectionKind::request, kWebSocket + own_key);
  const auto first = one.request(false);
  const auto second = other.request(false);
  ASSERT_TRUE(first && second);
  const std::string_view key = first->fields.get("Sec-WebSocket-Key");
  EXPECT_EQ(key.size(), 24U);
  EXPECT_TRUE(key.ends_with("=="));
  EXPECT_NE(std::string_view("AQgw").find(key[21]), std::string_view::npos) << key;
  EXPECT_NE(key, second->fields.get("Sec-WebSocket-Key"));
  EXPECT_NE(second->fields.get("Sec-WebSocket-Key"), own_key.front().second);
}

TEST(H2RequestMap, AKeyIsMadeForWebSocketsAlone) {
  Taken taken(SectionKind::request, with(kWebSocket, ":protocol", "echo"));
  const auto head = taken.request(false);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->upgrade, "echo");
  EXPECT_EQ(head->fields.get(FieldName::upgrade), "echo");
  EXPECT_EQ(head->fields.find("Sec-WebSocket-Key"), nullptr);
}

TEST(H2RequestMap, RefusesProtocolOfAnyOtherMethod) {
  for (const char* method : {"GET", "POST", "connect"})
    EXPECT_EQ(request_fault(with(kWebSocket, ":method", method)), Code::malformed_request)
        << method;
}

TEST(H2RequestMap, RefusesAnExtendedConnectWithoutSchemePathOrHost) {
  for (const char* name : {":scheme", ":path", ":authority"}) {
    EXPECT_EQ(request_fault(without(kWebSocket, name), false), Code::malformed_request) << name;
  }
}

TEST(H2RequestMap, RefusesAProtocolThatIsNoToken) {
  for (const char* protocol : {"", "web socket", "a,b", "websocket\r\nx: 1", "a/1"}) {
    EXPECT_EQ(request_fault(with(kWebSocket, ":protocol", protocol), false),
              Code::malformed_request)
        << protocol;
  }
}

TEST(H2RequestMap, RefusesContentLengthOfAnExtendedConnect) {
  EXPECT_EQ(request_fault(kWebSocket + List{{"content-length", "5"}}, false),
            Code::malformed_request);
}

}  // namespace
}  // namespace revproxyd::http::h2

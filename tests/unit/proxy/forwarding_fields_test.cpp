#include "proxy/forwarding_fields.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/unit/proxy/exchange_fixture.h"

namespace revproxyd::proxy {
namespace {

using http::FieldName;
using testing::OneExchange;

const net::Peers kTrusted{{*net::Cidr::parse("10.0.0.0/8")}, false};

std::string get(std::string_view fields) {
  return "GET / HTTP/1.1\r\nHost: a.example:81\r\n" + std::string(fields) + "\r\n";
}

class FromAnybody : public ::testing::Test {
 protected:
  OneExchange& send(std::string_view fields, bool forwarded = false) {
    exchange_.emplace(get(fields));
    trust_client(**exchange_, kTrusted);
    set_forwarding_fields(**exchange_, forwarded);
    return *exchange_;
  }
  std::optional<OneExchange> exchange_;
};

class FromATrustedProxy : public ::testing::Test {
 protected:
  OneExchange& send(std::string_view fields, bool forwarded = false) {
    exchange_.emplace(get(fields), OneExchange::near_client());
    exchange_->trust();
    trust_client(**exchange_, kTrusted);
    set_forwarding_fields(**exchange_, forwarded);
    return *exchange_;
  }
  std::string client(std::string_view fields) { return send(fields)->address().host(); }
  std::optional<OneExchange> exchange_;
};

TEST_F(FromAnybody, TheConnectionSaysWhoIsAsking) {
  OneExchange& sent = send("");
  EXPECT_EQ(sent.field(FieldName::x_forwarded_for), "192.0.2.1");
  EXPECT_EQ(sent.field(FieldName::x_real_ip), "192.0.2.1");
  EXPECT_EQ(sent.field(FieldName::x_forwarded_proto), "http");
  EXPECT_EQ(sent.field(FieldName::x_forwarded_host), "a.example:81");
  EXPECT_EQ(sent.field(FieldName::x_forwarded_port), "8080");
  EXPECT_EQ(sent.field(FieldName::via), "1.1 revproxyd");
  EXPECT_EQ(sent.field(FieldName::x_request_id), sent->id());
}

TEST_F(FromAnybody, WhatTheyClaimIsReplaced) {
  OneExchange& sent = send(
      "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: "
      "https\r\nX-Forwarded-Host: evil\r\n"
      "X-Forwarded-Port: 1\r\nX-Real-IP: 3.3.3.3\r\nForwarded: for=4.4.4.4\r\nX-Request-Id: "
      "mine\r\n");
  EXPECT_EQ(sent.field(FieldName::x_forwarded_for), "192.0.2.1");
  EXPECT_EQ(sent->head().fields.count(FieldName::x_forwarded_for), 1U);
  EXPECT_EQ(sent.field(FieldName::x_forwarded_proto), "http");
  EXPECT_EQ(sent.field(FieldName::x_forwarded_host), "a.example:81");
  EXPECT_EQ(sent.field(FieldName::x_forwarded_port), "8080");
  EXPECT_EQ(sent.field(FieldName::x_real_ip), "192.0.2.1");
  EXPECT_FALSE(sent->head().fields.has(FieldName::forwarded));
  EXPECT_NE(sent.field(FieldName::x_request_id), "mine");
  EXPECT_EQ(sent->address().host(), "192.0.2.1");
  EXPECT_EQ(sent->scheme(), net::Scheme::http);
}

TEST(TellsOfClient, IsTrueOfFieldsThatProxiesWrite) {
  for (const char* name : {"X-Forwarded-For", "x-forwarded-proto", "X-FORWARDED-HOST",
                           "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Real-Ip", "forwarded"})
    EXPECT_TRUE(tells_of_client(name)) << name;
  for (const char* name : {"X-Forwarded-", "X-Forwarded", "Via", "X-Request-Id", "Host", ""})
    EXPECT_FALSE(tells_of_client(name)) << name;
}

constexpr const char* kClaims =
    "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n"
    "X-Forwarded-Port: 1\r\nX-Forwarded-User: root\r\nX-Real-IP: 3.3.3.3\r\n"
    "Forwarded: for=4.4.4.4\r\nX-Own: 1\r\n";

TEST(DropClaims, LeavesNoneOfAnUntrustedPeer) {
  OneExchange one(get(kClaims));
  drop_claims(*one);
  std::string left;
  for (const http::Field& field : one->head().fields) left.append(field.name).append(" ");
  EXPECT_EQ(left, "Host X-Own ");
}

TEST(DropClaims, LeavesThoseOfATrustedOne) {
  OneExchange one(get(kClaims), OneExchange::near_client());
  one.trust();
  drop_claims(*one);
  EXPECT_EQ(one.field(FieldName::x_forwarded_proto), "https");
  EXPECT_EQ(one->head().fields.get("X-Forwarded-User"), "root");
  EXPECT_EQ(one.field(FieldName::forwarded), "for=4.4.4.4");
}

TEST_F(FromAnybody, ClientCertificatesThatTheyClaimAreRemoved) {
  for (const char* claim : {"Client-Cert: :eA==:\r\n", "client-cert-chain: :eA==:, :eQ==:\r\n",
                            "Client-Cert: :eA==:\r\nCLIENT-CERT: :eQ==:\r\n"}) {
    OneExchange& sent = send(claim);
    EXPECT_FALSE(sent->head().fields.has(FieldName::client_cert));
    EXPECT_FALSE(sent->head().fields.has(FieldName::client_cert_chain));
  }
}

TEST_F(FromATrustedProxy, ClientCertificatesThatItClaimsAreRemovedToo) {
  OneExchange& sent = send("Client-Cert: :eA==:\r\nClient-Cert-Chain: :eA==:\r\n");
  EXPECT_FALSE(sent->head().fields.has(FieldName::client_cert));
  EXPECT_FALSE(sent->head().fields.has(FieldName::client_cert_chain));
}

TEST(ForwardingFields, ClientCertificatesAreThoseOfTheConnectionBeforeARouteIsLookedFor) {
  struct Info final : net::TlsInfo {
    bool covers(std::string_view) const noexcept override { return true; }
  } info;
  info.passed_on = std::make_unique<net::ClientCertFields>(net::ClientCertFields{":bGVhZg==:", ""});
  pipeline::Client client = OneExchange::ordinary_client();
  client.tls = &info;
  OneExchange exchange(
      get("Client-Cert: :eA==:\r\nClient-Cert-Chain: :eA==:\r\nConnection: Client-Cert\r\n"),
      client);
  trust_client(*exchange, kTrusted);
  EXPECT_EQ(exchange.field(FieldName::client_cert), ":bGVhZg==:");
  EXPECT_FALSE(exchange->head().fields.has(FieldName::client_cert_chain));
  set_forwarding_fields(*exchange, false);
  EXPECT_EQ(exchange.field(FieldName::client_cert), ":bGVhZg==:");
  EXPECT_EQ(exchange->head().fields.count(FieldName::client_cert), 1U);
}

TEST_F(FromAnybody, FieldsOfTheHopAndProxyAreRemoved) {
  OneExchange& sent = send(
      "Connection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nProxy: "
      "http://evil\r\nX-End: 2\r\n");
  for (const char* name : {"Connection", "X-Hop", "Keep-Alive", "TE", "Proxy"}) {
    EXPECT_EQ(sent->head().fields.find(name), nullptr) << name;
  }
  EXPECT_EQ(sent->head().fields.get("X-End"), "2");
}

TEST_F(FromAnybody, ForwardedIsWrittenWhenAskedFor) {
  EXPECT_FALSE(send("")->head().fields.has(FieldName::forwarded));
  EXPECT_EQ(send("", true).field(FieldName::forwarded),
            "for=192.0.2.1;proto=http;host=\"a.example:81\"");
}

TEST_F(FromAnybody, AnAddressOfVersion6IsQuotedInForwarded) {
  pipeline::Client client = OneExchange::ordinary_client();
  client.peer = *net::Address::ip("2001:db8::1", 1);
  OneExchange sent(get(""), client);
  set_forwarding_fields(*sent, true);
  EXPECT_EQ(sent.field(FieldName::forwarded),
            "for=\"[2001:db8::1]\";proto=http;host=\"a.example:81\"");
  EXPECT_EQ(sent.field(FieldName::x_forwarded_for), "2001:db8::1");
}

TEST(ForwardingFields, ForwardedHasNoHostWhereTheRequestHasNone) {
  OneExchange old("GET / HTTP/1.0\r\n\r\n");
  set_forwarding_fields(*old, true);
  EXPECT_EQ(old.field(FieldName::forwarded), "for=192.0.2.1;proto=http");
}

TEST_F(FromAnybody, ViaIsAppendedToWhatIsThere) {
  EXPECT_EQ(send("Via: 1.1 one\r\nVia: 1.0 two\r\n").field(FieldName::via),
            "1.1 one, 1.0 two, 1.1 revproxyd");
}

TEST_F(FromAnybody, ViaNamesTheVersionThatTheClientSpoke) {
  OneExchange old("GET / HTTP/1.0\r\n\r\n");
  set_forwarding_fields(*old, false);
  EXPECT_EQ(old.field(FieldName::via), "1.0 revproxyd");
  EXPECT_FALSE(old->head().fields.has(FieldName::x_forwarded_host)) << "it named no host";
}

TEST_F(FromATrustedProxy, TheClientIsTheFirstHopFromTheRightThatIsNotTrusted) {
  EXPECT_EQ(client("X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.0.0.2\r\n"), "192.0.2.7");
}

TEST_F(FromATrustedProxy, HopsOfSeveralFieldsAreOneList) {
  EXPECT_EQ(client("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: "
                   "10.0.0.2, 10.0.0.3\r\n"),
            "192.0.2.7");
}

TEST_F(FromATrustedProxy, TheLastFieldCountsHoweverManyThereAre) {
  std::string fields;
  for (int i = 0; i < 20; ++i) fields += "X-Forwarded-For: 6.6.6.6\r\n";
  EXPECT_EQ(client(fields + "X-Forwarded-For: 192.0.2.7\r\n"), "192.0.2.7");
}

TEST_F(FromATrustedProxy, WhenAllHopsAreTrustedTheFirstOneIsTheClient) {
  EXPECT_EQ(client("X-Forwarded-For: 10.0.0.9, 10.0.0.2\r\n"), "10.0.0.9");
}

TEST_F(FromATrustedProxy, WithoutTheFieldItIsTheClientItself) { EXPECT_EQ(client(""), "10.0.0.1"); }

TEST_F(FromATrustedProxy, AHopThatIsNoAddressEndsTheSearch) {
  EXPECT_EQ(client("X-Forwarded-For: 192.0.2.7, unknown, 10.0.0.2\r\n"), "10.0.0.2");
}

TEST_F(FromATrustedProxy, AHopOfTheWrongFormEndsTheSearch) {
  for (const char* hop : {"[", "[2001:db8::7", "[]", "x", ":", "192.0.2.7:1:2"})
    EXPECT_EQ(client("X-Forwarded-For: 192.0.2.7, " + std::string(hop) + "\r\n"), "10.0.0.1")
        << hop;
}

// RFC 9110 section 5.6.1.2.
TEST_F(FromATrustedProxy, AnEmptyElementIsNoHop) {
  for (const char* list : {"192.0.2.7,", "192.0.2.7 , ,\t,", "192.0.2.7,, 10.0.0.2", ",192.0.2.7",
                           "192.0.2.7\r\nX-Forwarded-For: ,", "192.0.2.7\r\nX-Forwarded-For:"})
    EXPECT_EQ(client("X-Forwarded-For: " + std::string(list) + "\r\n"), "192.0.2.7") << list;
  EXPECT_EQ(client("X-Forwarded-For: , ,\r\n"), "10.0.0.1");
}

TEST_F(FromATrustedProxy, OfAChainSixtyFourHopsAreLookedAt) {
  const auto chain = [](int trusted) {
    std::string field = "X-Forwarded-For: 192.0.2.7";
    for (int i = 0; i < trusted; ++i) field += ", 10.0.0." + std::to_string(i + 2);
    return field + "\r\n";
  };
  EXPECT_EQ(client(chain(63)), "192.0.2.7");
  EXPECT_EQ(client(chain(64)), "10.0.0.2");
}

TEST_F(FromATrustedProxy, HopsMayHavePortsAndBrackets) {
  EXPECT_EQ(client("X-Forwarded-For: 192.0.2.7:1234\r\n"), "192.0.2.7");
  EXPECT_EQ(client("X-Forwarded-For: [2001:db8::7]:1234\r\n"), "2001:db8::7");
  EXPECT_EQ(client("X-Forwarded-For: 2001:db8::7\r\n"), "2001:db8::7");
}

TEST_F(FromATrustedProxy, ItsAddressIsAppendedAndItsWordIsKept) {
  OneExchange& sent = send(
      "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: "
      "public\r\nX-Forwarded-Port: 443\r\n"
      "X-Request-Id: mine\r\n");
  EXPECT_EQ(sent.field(FieldName::x_forwarded_for), "192.0.2.7, 10.0.0.1");
  EXPECT_EQ(sent.field(FieldName::x_real_ip), "192.0.2.7");
  EXPECT_EQ(sent.field(FieldName::x_forwarded_proto), "https");
  EXPECT_EQ(sent.field(FieldName::x_forwarded_host), "public");
  EXPECT_EQ(sent.field(FieldName::x_forwarded_port), "443");
  EXPECT_EQ(sent.field(FieldName::x_request_id), "mine");
  EXPECT_EQ(sent->scheme(), net::Scheme::https);
}

TEST_F(FromATrustedProxy, AnEmptyFieldIsNoPartOfTheList) {
  EXPECT_EQ(
      send("X-Forwarded-For:\r\nX-Forwarded-For: 192.0.2.7\r\n").field(FieldName::x_forwarded_for),
      "192.0.2.7, 10.0.0.1");
}

TEST_F(FromATrustedProxy, ListsInManyLinesTakeTheirOwnSizeOnceMore) {
  for (const char* name : {"Via: ", "X-Forwarded-For: ", "Forwarded: "}) {
    std::string lines;
    for (int i = 0; i < 90; ++i) lines.append(name).append(std::string(300, 'a')).append("\r\n");
    exchange_.emplace(get(lines));
    exchange_->trust();
    const std::size_t before = (*exchange_)->arena().held_bytes();
    set_forwarding_fields(**exchange_, false);
    EXPECT_LE((*exchange_)->arena().held_bytes() - before, 2 * lines.size()) << name;
  }
}

TEST(ForwardingFields, ATrustedProxyThatSpeaksTlsMaySayThatItsClientDidNot) {
  pipeline::Client client = OneExchange::near_client();
  client.scheme = net::Scheme::https;
  OneExchange exchange(get("X-Forwarded-Proto: http\r\n"), client);
  exchange.trust();
  trust_client(*exchange, kTrusted);
  EXPECT_EQ(exchange->scheme(), net::Scheme::http);
}

TEST_F(FromATrustedProxy, AnUnknownSchemeIsNotBelieved) {
  EXPECT_EQ(send("X-Forwarded-Proto: gopher\r\n")->scheme(), net::Scheme::http);
}

TEST_F(FromATrustedProxy, ForwardedThatCameIsContinued) {
  EXPECT_EQ(send("Forwarded: for=192.0.2.7\r\n").field(FieldName::forwarded),
            "for=192.0.2.7, for=10.0.0.1;proto=http;host=\"a.example:81\"");
}

}  // namespace
}  // namespace revproxyd::proxy

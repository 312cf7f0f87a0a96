// What servers are told of the certificates of clients (RFC 9440).

#include <sstream>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/h2_client.h"
#include "tests/support/h2_origin.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr int kTls12 = 0x0303;
constexpr int kTls13 = 0x0304;

constexpr std::string_view kForged =
    "Client-Cert: :Zm9yZ2Vk:\r\nclient-cert-chain: :Zm9yZ2Vk:\r\nCLIENT-CERT: :Zm9yZ2Vk:\r\n";

// The first certificate of a PEM text as a byte sequence.
std::string field_of(const std::string& pem) {
  std::istringstream lines(pem);
  std::string line;
  std::string text = ":";
  std::getline(lines, line);
  while (std::getline(lines, line) && !line.starts_with("-----END")) text += line;
  return text + ":";
}

// An authority, one below it that signs clients, and certificates of both sides.
struct Identities {
  Certificates authority;
  Certificates root{"Clients"};
  Certificates middle{"Staff", root};
  Certificate own = authority.issue_for({"a.example"});
  Certificate client = middle.issue_for({"client"});

  std::string listener(const std::string& auth) const {
    return "listeners: [ { name: tls, address: '127.0.0.1:0', tls: { client_auth: { " + auth +
           ", ca: " + root.authority_file() + " } } } ]\ncertificates: [ { cert: " + own.cert_file +
           ", key: " + own.key_file + " } ]\n";
  }
  ClientTls anonymous() const {
    ClientTls tls;
    tls.sni = "a.example";
    return tls;
  }
  ClientTls known() const {
    ClientTls tls = anonymous();
    tls.certificate = &client;
    return tls;
  }
};

// The daemon on a TLS listener with an HTTP/1.1 server behind it.
struct Told : Identities {
  explicit Told(const std::string& auth, const std::string& more = {})
      : daemon(listener(auth) + "routes: [ { to: '" + origin.url() + "'" + more + " } ]\n") {}

  Request last() const { return origin.request(origin.request_count() - 1); }
  // The request as the server got it.
  Request after(RawClient& over, std::string_view fields = {}) const {
    over.send("GET / HTTP/1.1\r\nHost: a.example\r\n" + std::string(fields) + "\r\n");
    EXPECT_EQ(over.response().status, 200);
    return last();
  }
  Request after(const ClientTls& tls, std::string_view fields = {}) const {
    RawClient over(daemon.port(), tls);
    return after(over, fields);
  }
  std::string chain() const {
    return field_of(middle.authority_pem()) + ", " + field_of(root.authority_pem());
  }

  Origin origin;
  Daemon daemon;
};

void expect_none(const Request& request) {
  EXPECT_FALSE(request.has("Client-Cert"));
  EXPECT_FALSE(request.has("Client-Cert-Chain"));
}

}  // namespace

TEST(ClientCertificate, LeafIsToldToServers) {
  const Told told("mode: required, forward: leaf");
  for (const int version : {kTls12, kTls13}) {
    ClientTls tls = told.known();
    tls.max_version = version;
    const Request request = told.after(tls);
    EXPECT_EQ(request.count("Client-Cert"), 1U);
    EXPECT_EQ(request.field("Client-Cert"), field_of(told.client.cert_pem));
    EXPECT_FALSE(request.has("Client-Cert-Chain"));
  }
}

TEST(ClientCertificate, ChainIsWhatWasVerifiedAndNotWhatElseWasSent) {
  Told told("mode: required, forward: chain");
  const Certificates stranger("Stranger");
  write_file(told.client.cert_file,
             told.client.cert_pem + stranger.authority_pem() + told.middle.authority_pem());
  const Request request = told.after(told.known());
  EXPECT_EQ(request.field("Client-Cert"), field_of(told.client.cert_pem));
  EXPECT_EQ(request.field("Client-Cert-Chain"), told.chain());
}

TEST(ClientCertificate, EveryRequestOfAConnectionHasIt) {
  const Told told("mode: required, forward: leaf");
  RawClient client(told.daemon.port(), told.known());
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(told.after(client).field("Client-Cert"), field_of(told.client.cert_pem));
}

TEST(ClientCertificate, ResumedSessionsPassTheSameOn) {
  const Told told("mode: required, forward: chain");
  for (const int version : {kTls12, kTls13}) {
    SCOPED_TRACE(version);
    ClientTls tls = told.known();
    tls.max_version = version;
    // OpenSSL spoils the session of a connection that goes without close_notify, so they stay.
    std::vector<RawClient> clients;
    for (int again = 0; again < 3; ++again) {
      RawClient& client = clients.emplace_back(told.daemon.port(), tls);
      const Request request = told.after(client);
      EXPECT_EQ(client.stream().resumed(), again != 0);
      EXPECT_EQ(request.field("Client-Cert"), field_of(told.client.cert_pem));
      EXPECT_EQ(request.field("Client-Cert-Chain"), told.chain());
      tls.session = client.stream().session();
    }
  }
}

TEST(ClientCertificate, ComesOverHttp2AndGoesToHttp2) {
  const Identities who;
  const H2Origin origin;
  const Daemon daemon(who.listener("mode: optional, forward: chain") + "routes: [ { to: '" +
                      origin.url() + "' } ]\n");
  H2Client client(daemon.port(), who.known());
  H2Client anonymous(daemon.port(), who.anonymous());
  for (int i = 0; i < 2; ++i) {
    h2::Fields fields = client.fields("GET", "/", {{"client-cert", ":Zm9yZ2Vk:"}});
    for (auto& [name, value] : fields)
      if (name == ":authority") value = "a.example";
    EXPECT_EQ(client.request(fields).status(), 200);
    const H2Message told = origin.request(origin.request_count() - 1);
    EXPECT_EQ(told.field("client-cert"), field_of(who.client.cert_pem));
    EXPECT_EQ(told.field("client-cert-chain"),
              field_of(who.middle.authority_pem()) + ", " + field_of(who.root.authority_pem()));
    EXPECT_EQ(anonymous.request(fields).status(), 200);
    const H2Message untold = origin.request(origin.request_count() - 1);
    EXPECT_FALSE(untold.has("client-cert"));
    EXPECT_FALSE(untold.has("client-cert-chain"));
  }
}

TEST(ClientCertificate, IsNotToldUnlessItIsConfigured) {
  const Told told("mode: required");
  expect_none(told.after(told.known(), kForged));
}

TEST(ClientCertificate, IsNotToldOfAClientWithoutOne) {
  const Told told("mode: optional, forward: chain");
  expect_none(told.after(told.anonymous(), kForged));
  EXPECT_EQ(told.after(told.known()).field("Client-Cert"), field_of(told.client.cert_pem));
  expect_none(told.after(told.anonymous(), kForged));
}

TEST(ClientCertificate, WhatClientsClaimIsReplaced) {
  const Told told("mode: required, forward: leaf");
  for (const std::string& more :
       {std::string(), std::string("Connection: Client-Cert, Client-Cert-Chain\r\n")}) {
    const Request request = told.after(told.known(), std::string(kForged) + more);
    EXPECT_EQ(request.count("Client-Cert"), 1U);
    EXPECT_EQ(request.field("Client-Cert"), field_of(told.client.cert_pem));
    EXPECT_FALSE(request.has("Client-Cert-Chain"));
  }
}

TEST(ClientCertificate, IsNeverTakenFromPlainClientsNotEvenTrustedOnes) {
  for (const std::string trust : {"", "trusted_proxies: [ 127.0.0.1 ]\n"}) {
    const Proxy proxy(trust);
    EXPECT_EQ(proxy.get("/", kForged).status, 200);
    expect_none(proxy.origin.request());
  }
}

TEST(ClientCertificate, IsNotTakenFromTrailers) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send(
      "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
      "Client-Cert: :Zm9yZ2Vk:\r\nX-Kept: 1\r\n\r\n");
  EXPECT_EQ(client.response().status, 200);
  EXPECT_EQ(proxy.origin.request().trailer("X-Kept"), "1");
  EXPECT_EQ(proxy.origin.request().trailer("Client-Cert"), "");
}

TEST(ClientCertificate, RoutesLookAtTheProvenOneOnly) {
  const Identities who;
  const Daemon daemon(
      who.listener("mode: optional, forward: leaf") +
      "routes:\n  - { match: { header: { Client-Cert: true } }, respond: { body: known } }\n"
      "  - { respond: { body: unknown } }\n");
  const auto body = [&](const ClientTls& tls) {
    RawClient client(daemon.port(), tls);
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n" + std::string(kForged) + "\r\n");
    return client.response().body;
  };
  EXPECT_EQ(body(who.anonymous()), "unknown");
  EXPECT_EQ(body(who.known()), "known");
}

TEST(ClientCertificate, ARouteCanKeepItFromItsServers) {
  const Told told("mode: required, forward: chain",
                  ", headers: { request: { remove: [Client-Cert, Client-Cert-Chain] } }");
  expect_none(told.after(told.known(), kForged));
}

TEST(ClientCertificate, IsNotLogged) {
  const Told told("mode: required, forward: leaf");
  told.after(told.known());
  told.daemon.wait_access_of("/");
  const std::string part = field_of(told.client.cert_pem).substr(1, 60);
  const std::string written =
      told.daemon.output() + told.daemon.log() + read_file(told.daemon.access_log_file());
  EXPECT_EQ(written.find(part), std::string::npos);
}

TEST(ClientCertificate, ClientsWhomAnotherFileOfAuthoritiesLetInConnectAgain) {
  Told told("mode: required");
  const Certificates others("Others");
  RawClient client(told.daemon.port(), told.known());
  const auto is_to_go = [&] {
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    return client.response().field("Connection") == "close";
  };
  ASSERT_TRUE(told.daemon.reload());
  EXPECT_FALSE(is_to_go());
  write_file(told.root.authority_file(), others.authority_pem());
  ASSERT_TRUE(told.daemon.reload());
  EXPECT_TRUE(is_to_go());
}

TEST(ClientCertificate, ATicketOfAnotherListenerSkipsNoVerification) {
  const Identities who;
  const Certificates others("Others");
  const Origin origin;
  const auto listen = [&](const std::string& name, const std::string& auth) {
    return "  - { name: " + name + ", address: '127.0.0.1:0', tls: { client_auth: { " + auth +
           " } } }\n";
  };
  const Daemon daemon(
      "listeners:\n" + listen("open", "mode: none") +
      listen("staff", "mode: required, forward: leaf, ca: " + who.root.authority_file()) +
      listen("maybe", "mode: optional, forward: leaf, ca: " + who.root.authority_file()) +
      listen("others", "mode: required, forward: leaf, ca: " + others.authority_file()) +
      "certificates: [ { cert: " + who.own.cert_file + ", key: " + who.own.key_file +
      " } ]\nroutes: [ { to: '" + origin.url() + "' } ]\n");
  std::vector<RawClient> clients;  // they stay, or OpenSSL spoils their sessions
  const auto ticket_of = [&](const std::string& name, const ClientTls& tls) {
    RawClient& client = clients.emplace_back(daemon.port(name), tls);
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    EXPECT_EQ(client.response().status, 200) << name;
    return client.stream().session();
  };
  // What comes of the session: "resumed", "full" or "refused".
  const auto offer = [&](const std::string& name, ClientTls tls, const TlsSession& session) {
    tls.session = session;
    try {
      RawClient client(daemon.port(name), tls);
      client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
      EXPECT_EQ(client.response().status, 200) << name;
      return client.stream().resumed() ? "resumed" : "full";
    } catch (const TlsError&) {
      return "refused";
    } catch (const Disconnected&) {
      return "refused";
    }
  };
  for (const int version : {kTls12, kTls13}) {
    SCOPED_TRACE(version);
    ClientTls anonymous = who.anonymous();
    ClientTls known = who.known();
    anonymous.max_version = known.max_version = version;
    EXPECT_STREQ(offer("staff", anonymous, ticket_of("open", anonymous)), "refused");
    EXPECT_STREQ(offer("staff", anonymous, ticket_of("maybe", anonymous)), "refused");
    EXPECT_STREQ(offer("others", anonymous, ticket_of("staff", known)), "refused");
    EXPECT_STREQ(offer("others", known, ticket_of("staff", known)), "refused");
    EXPECT_STREQ(offer("open", anonymous, ticket_of("staff", known)), "full");
    // What the session says of a certificate is not believed on the listener that only asks.
    EXPECT_STREQ(offer("maybe", anonymous, ticket_of("staff", known)), "full");
    expect_none(origin.request(origin.request_count() - 1));
    // Where it was made it is good without the certificate.
    EXPECT_STREQ(offer("staff", anonymous, ticket_of("staff", known)), "resumed");
    EXPECT_EQ(origin.request(origin.request_count() - 1).field("Client-Cert"),
              field_of(who.client.cert_pem));
  }
}

}  // namespace revproxyd::testing

// TLS to servers: verified unless told otherwise.

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

/// A server with this certificate.
struct SecureOrigin {
  explicit SecureOrigin(const Certificate& certificate, const std::string& client_ca = {})
      : origin(answer_ok, options(certificate, client_ca)) {}

  static OriginOptions options(const Certificate& certificate, const std::string& client_ca) {
    OriginOptions out;
    out.tls = ServerTls{certificate, client_ca};
    return out;
  }

  Origin origin;
};

void expect_rejected(const Daemon& daemon, const std::string& why) {
  const Response response = fetch(daemon.port(), "/rejected");
  EXPECT_EQ(response.status, 502);
  EXPECT_EQ(daemon.wait_access_of("/rejected").why(), why);
}

}  // namespace

TEST(UpstreamTls, RefusesServersThatTheSystemDoesNotTrust) {
  Certificates authority;
  const SecureOrigin server(authority.issue_for({"127.0.0.1"}));
  const Daemon daemon(balance_over({server.origin.url()}));
  expect_rejected(daemon, "certificate_rejected");
  EXPECT_EQ(server.origin.request_count(), 0U);
}

TEST(UpstreamTls, TrustsTheAuthorityOfTheConfiguration) {
  Certificates authority;
  const SecureOrigin server(authority.issue_for({"127.0.0.1"}));
  const Daemon daemon(
      balance_over({server.origin.url()}, "tls: { ca: " + authority.authority_file() + " }"));
  EXPECT_EQ(fetch(daemon.port()).body, "ok");
  EXPECT_EQ(server.origin.server_names().front(), "") << "an address is no server name";
}

TEST(UpstreamTls, VerifiesAndSendsTheServerName) {
  Certificates authority;
  const SecureOrigin server(authority.issue_for({"app.internal"}));
  const std::string ca = "ca: " + authority.authority_file();
  const Daemon right(
      balance_over({server.origin.url()}, "tls: { server_name: app.internal, " + ca + " }"));
  EXPECT_EQ(fetch(right.port()).body, "ok");
  EXPECT_EQ(server.origin.server_names().front(), "app.internal");
  const Daemon wrong(
      balance_over({server.origin.url()}, "tls: { server_name: other.internal, " + ca + " }"));
  expect_rejected(wrong, "certificate_rejected");
  const Daemon address(balance_over({server.origin.url()}, "tls: { " + ca + " }"));
  expect_rejected(address, "certificate_rejected");
}

// RFC 6066 section 3: an address is no name for SNI.
TEST(UpstreamTls, VerifiesAnAddressAndSendsNoServerName) {
  Certificates authority;
  for (const std::string address : {"2001:db8::7", "192.0.2.7"}) {
    const SecureOrigin server(authority.issue_for({address}));
    const auto verifying = [&](const std::string& name) {
      return balance_over({server.origin.url()}, "tls: { server_name: '" + name +
                                                     "', ca: " + authority.authority_file() + " }");
    };
    const Daemon right(verifying(address));
    EXPECT_EQ(fetch(right.port()).body, "ok");
    EXPECT_EQ(server.origin.server_names().front(), "");
    const Daemon wrong(verifying("2001:db8::8"));
    expect_rejected(wrong, "certificate_rejected");
  }
}

TEST(UpstreamTls, RefusesExpiredCertificates) {
  Certificates authority;
  CertificateRequest request;
  request.common_name = "old";
  request.ips = {"127.0.0.1"};
  request.from_days = -10;
  request.to_days = -1;
  const SecureOrigin server(authority.issue(request));
  const Daemon daemon(
      balance_over({server.origin.url()}, "tls: { ca: " + authority.authority_file() + " }"));
  expect_rejected(daemon, "certificate_rejected");
}

TEST(UpstreamTls, SkipsVerificationOnlyWhenToldTo) {
  Certificates authority;
  const SecureOrigin server(authority.issue_for({"somebody.else"}));
  const Daemon daemon(balance_over({server.origin.url()}, "tls: { insecure_skip_verify: true }"));
  EXPECT_EQ(fetch(daemon.port()).body, "ok");
  EXPECT_NE(daemon.log().find("warning"), std::string::npos);
}

TEST(UpstreamTls, ShowsItsClientCertificate) {
  Certificates authority;
  Certificates clients("Clients");
  const SecureOrigin server(authority.issue_for({"127.0.0.1"}), clients.authority_file());
  const Certificate own = clients.issue_for({"proxy"});
  const std::string ca = "ca: " + authority.authority_file();
  const Daemon with(
      balance_over({server.origin.url()},
                   "tls: { " + ca + ", cert: " + own.cert_file + ", key: " + own.key_file + " }"));
  EXPECT_EQ(fetch(with.port()).body, "ok");
  const Daemon without(balance_over({server.origin.url()}, "tls: { " + ca + " }"));
  EXPECT_EQ(fetch(without.port()).status, 502);
}

TEST(UpstreamTls, ResumesSessions) {
  Certificates authority;
  const SecureOrigin server(authority.issue_for({"127.0.0.1"}));
  const Daemon daemon(
      balance_over({server.origin.url()},
                   "keepalive: { max_idle: 0 }, tls: { ca: " + authority.authority_file() + " }",
                   "workers: 1\n"));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(fetch(daemon.port()).body, "ok");
  EXPECT_EQ(server.origin.connections(), 4U);
  EXPECT_GE(server.origin.resumed_handshakes(), 2U);
}

TEST(UpstreamTls, KeepsConnections) {
  Certificates authority;
  const SecureOrigin server(authority.issue_for({"127.0.0.1"}));
  const Daemon daemon(balance_over(
      {server.origin.url()}, "tls: { ca: " + authority.authority_file() + " }", "workers: 1\n"));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(fetch(daemon.port()).body, "ok");
  EXPECT_EQ(server.origin.connections(), 1U);
}

TEST(UpstreamTls, ChecksHealthAsTrafficWouldGo) {
  Certificates authority;
  const SecureOrigin good(authority.issue_for({"127.0.0.1"}));
  Certificates strangers("Strangers");
  const SecureOrigin bad(strangers.issue_for({"127.0.0.1"}));
  const Daemon daemon(balance_over({good.origin.url(), bad.origin.url()},
                                   "tls: { ca: " + authority.authority_file() +
                                       " }, health_check: { interval: 100ms, fall: 1 }"));
  ASSERT_TRUE(wait_until([&] { return bad.origin.failed_handshakes() > 0; }));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(fetch(daemon.port()).status, 200);
}

TEST(UpstreamTls, SaysWhatIsWrongWhenTheServerSpeaksPlainHttp) {
  const Origin plain(
      [](OriginExchange& exchange) {
        exchange.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
      },
      [] {
        OriginOptions options;
        options.raw = true;
        return options;
      }());
  const Daemon daemon(
      balance_over({"https://" + plain.address()}, "tls: { insecure_skip_verify: true }"));
  expect_rejected(daemon, "tls_failed");
}

}  // namespace revproxyd::testing

// TLS towards clients: versions, certificates by name, client certificates, tickets, and files that
// change.

#include <signal.h>

#include <filesystem>

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

// As OpenSSL numbers them.
constexpr int kTls11 = 0x0302;
constexpr int kTls12 = 0x0303;
constexpr int kTls13 = 0x0304;

std::string entry(const std::string& hosts, const Certificate& certificate) {
  return "  - { hosts: [" + hosts + "], cert: " + certificate.cert_file +
         ", key: " + certificate.key_file + " }\n";
}

std::string tls_config(const std::string& entries, const std::string& tls = "{}",
                       const std::string& routes = "[ { respond: { body: ok } } ]") {
  return "listeners: [ { name: tls, address: '127.0.0.1:0', tls: " + tls + " } ]\ncertificates:\n" +
         entries + "routes: " + routes + "\n";
}

std::string internal_config() {
  return "listeners: [ { name: tls, address: '127.0.0.1:0', tls: internal } ]\nroutes: [ { "
         "respond: { body: ok } } ]\n";
}

ClientTls with_sni(const std::string& name) {
  ClientTls tls;
  tls.sni = name;
  return tls;
}

Response request_to(RawClient& client, const std::string& host) {
  client.send("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
  return client.response();
}

// True when a request is answered; a handshake may also fail as late as at the first read.
bool serves(const Daemon& daemon, const ClientTls& tls) {
  try {
    RawClient client(daemon.port(), tls);
    return request_to(client, tls.sni.empty() ? "test" : tls.sni).status == 200;
  } catch (const TlsError&) {
    return false;
  } catch (const Disconnected&) {
    return false;
  }
}

std::string presented(const Daemon& daemon, const ClientTls& tls) {
  return RawClient(daemon.port(), tls).stream().peer_certificate();
}

// The single certificate of a.example in files that a test may replace.
struct Replaceable {
  Certificates authority;
  Certificate now = authority.issue_for({"a.example"});
  Certificate next = authority.issue_for({"a.example"});

  void replace(const std::string& cert, const std::string& key) const {
    write_file(now.key_file, key);
    write_file(now.cert_file, cert);
  }
};

}  // namespace

TEST(Tls, SpeaksOneThreeAndOneTwo) {
  const Daemon daemon(internal_config());
  EXPECT_EQ(RawClient(daemon.port(), ClientTls{}).stream().tls_version(), "TLSv1.3");
  ClientTls old;
  old.max_version = kTls12;
  RawClient client(daemon.port(), old);
  EXPECT_EQ(client.stream().tls_version(), "TLSv1.2");
  EXPECT_EQ(client.get("/").body, "ok");
}

TEST(Tls, RefusesOlderVersions) {
  const Daemon daemon(internal_config());
  ClientTls old;
  old.max_version = kTls11;
  EXPECT_THROW(RawClient(daemon.port(), old), TlsError);
  EXPECT_TRUE(serves(daemon, {}));
}

TEST(Tls, RefusesCipherSuitesWithoutAuthenticatedEncryption) {
  const Daemon daemon(internal_config());
  ClientTls tls;
  tls.max_version = kTls12;
  for (const char* suite :
       {"ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384", "AES128-GCM-SHA256"}) {
    SCOPED_TRACE(suite);
    tls.cipher_list = suite;
    EXPECT_THROW(RawClient(daemon.port(), tls), TlsError);
  }
}

TEST(Tls, MinVersionRefusesOneTwo) {
  Certificates authority;
  const Daemon daemon(
      tls_config(entry("a.example", authority.issue_for({"a.example"})), "{ min_version: '1.3' }"));
  ClientTls tls = with_sni("a.example");
  EXPECT_TRUE(serves(daemon, tls));
  tls.max_version = kTls12;
  EXPECT_FALSE(serves(daemon, tls));
}

TEST(Tls, ChoosesHttp11ByAlpn) {
  const Daemon daemon(internal_config());
  ClientTls tls;
  tls.alpn = {"spdy/1", "http/1.1"};
  RawClient client(daemon.port(), tls);
  EXPECT_EQ(client.stream().alpn(), "http/1.1");
  EXPECT_EQ(client.get("/").body, "ok");
}

TEST(Tls, ServesClientsThatOfferHttp10Only) {
  const Daemon daemon(internal_config());
  ClientTls tls;
  tls.alpn = {"http/1.0"};
  RawClient client(daemon.port(), tls);
  EXPECT_EQ(client.stream().alpn(), "http/1.0");
  client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.response().body, "ok");
}

TEST(Tls, ShowsTheCertificateOfTheName) {
  Certificates authority;
  const Certificate a = authority.issue_for({"a.example"});
  const Certificate exact = authority.issue_for({"www.b.example"});
  const Certificate wildcard = authority.issue_for({"*.b.example"});
  const Daemon daemon(tls_config(entry("a.example", a) + entry("'*.b.example'", wildcard) +
                                 entry("www.b.example", exact)));
  const std::pair<const char*, const Certificate*> expected[] = {{"a.example", &a},
                                                                 {"A.Example", &a},
                                                                 {"www.b.example", &exact},
                                                                 {"other.b.example", &wildcard},
                                                                 {"", &a}};
  for (const auto& [name, certificate] : expected) {
    SCOPED_TRACE(name);
    EXPECT_EQ(presented(daemon, with_sni(name)), certificate->cert_pem);
  }
}

TEST(Tls, SendsAChainThatVerifies) {
  Certificates authority;
  const Daemon daemon(tls_config(entry("a.example", authority.issue_for({"a.example"}))));
  ClientTls tls = with_sni("a.example");
  tls.ca = authority.authority_file();
  EXPECT_TRUE(serves(daemon, tls));
}

TEST(Tls, RejectsUnknownNamesByDefault) {
  Certificates authority;
  const Daemon daemon(tls_config(
      entry("a.example, '*.b.example'", authority.issue_for({"a.example", "*.b.example"}))));
  for (const char* name : {"c.example", "b.example", "x.y.b.example"}) {
    SCOPED_TRACE(name);
    EXPECT_FALSE(serves(daemon, with_sni(name)));
  }
}

TEST(Tls, ShowsTheFirstCertificateToUnknownNamesWhenItIsAskedFor) {
  Certificates authority;
  const Certificate first = authority.issue_for({"a.example"});
  const Daemon daemon(
      tls_config(entry("a.example", first) + entry("b.example", authority.issue_for({"b.example"})),
                 "{ unknown_sni: first }"));
  EXPECT_EQ(presented(daemon, with_sni("c.example")), first.cert_pem);
  RawClient client(daemon.port(), with_sni("c.example"));
  EXPECT_EQ(request_to(client, "a.example").status, 200);
  EXPECT_EQ(request_to(client, "c.example").status, 421);
}

TEST(Tls, InternalCertificatesServeAnyName) {
  const Daemon daemon(internal_config());
  RawClient client(daemon.port(), with_sni("anything.example"));
  EXPECT_EQ(request_to(client, "something.else").status, 200);
}

TEST(Tls, ServesEcdsaBesideRsaForOneName) {
  Certificates authority;
  const Certificate ecdsa = authority.issue_for({"a.example"}, KeyKind::ecdsa);
  const Certificate rsa = authority.issue_for({"a.example"}, KeyKind::rsa);
  const Daemon daemon(tls_config(entry("a.example", ecdsa) + entry("a.example", rsa)));
  ClientTls tls = with_sni("a.example");
  tls.max_version = kTls12;
  tls.cipher_list = "ECDHE-RSA-AES128-GCM-SHA256";
  EXPECT_EQ(presented(daemon, tls), rsa.cert_pem);
  tls.cipher_list = "ECDHE-ECDSA-AES128-GCM-SHA256";
  EXPECT_EQ(presented(daemon, tls), ecdsa.cert_pem);
}

TEST(Tls, MisdirectsRequestsThatTheCertificateDoesNotCover) {
  Certificates authority;
  const Daemon daemon(tls_config(
      entry("a.example, '*.b.example'", authority.issue_for({"a.example", "*.b.example"})) +
      entry("c.example", authority.issue_for({"c.example"}))));
  RawClient client(daemon.port(), with_sni("a.example"));
  EXPECT_EQ(request_to(client, "a.example").status, 200);
  EXPECT_EQ(request_to(client, "A.Example:443").status, 200);
  EXPECT_EQ(request_to(client, "www.b.example").status, 200);
  RawClient wrong(daemon.port(), with_sni("a.example"));
  EXPECT_EQ(request_to(wrong, "c.example").status, 421);
  EXPECT_EQ(daemon.wait_access_why("host_mismatch").text("sni"), "a.example");
}

TEST(Tls, MisdirectsNothingWithoutServerName) {
  Certificates authority;
  const Daemon daemon(tls_config(entry("a.example", authority.issue_for({"a.example"})), "{}",
                                 "[ { host: a.example, respond: { body: ok } } ]"));
  RawClient client(daemon.port(), ClientTls{});
  EXPECT_EQ(request_to(client, "c.example").status, 404);
}

TEST(Tls, OptionalClientCertificatesMayBeMissingButNotWrong) {
  Certificates authority;
  Certificates clients("Clients");
  Certificates strangers("Strangers");
  const Daemon daemon(
      tls_config(entry("a.example", authority.issue_for({"a.example"})),
                 "{ client_auth: { mode: optional, ca: " + clients.authority_file() + " } }"));
  const Certificate good = clients.issue_for({"client"});
  const Certificate bad = strangers.issue_for({"client"});
  ClientTls tls = with_sni("a.example");
  EXPECT_TRUE(serves(daemon, tls));
  tls.certificate = &good;
  EXPECT_TRUE(serves(daemon, tls));
  tls.certificate = &bad;
  EXPECT_FALSE(serves(daemon, tls));
}

TEST(Tls, RequiredClientCertificatesMustBeThereAndRight) {
  Certificates authority;
  Certificates clients("Clients");
  const Daemon daemon(
      tls_config(entry("a.example", authority.issue_for({"a.example"})),
                 "{ client_auth: { mode: required, ca: " + clients.authority_file() + " } }"));
  const Certificate good = clients.issue_for({"client"});
  CertificateRequest request;
  request.common_name = "late";
  request.from_days = -10;
  request.to_days = -1;
  const Certificate expired = clients.issue(request);
  for (const int version : {kTls12, kTls13}) {
    SCOPED_TRACE(version);
    ClientTls tls = with_sni("a.example");
    tls.max_version = version;
    EXPECT_FALSE(serves(daemon, tls));
    tls.certificate = &good;
    EXPECT_TRUE(serves(daemon, tls));
    tls.certificate = &expired;
    EXPECT_FALSE(serves(daemon, tls));
  }
}

TEST(Tls, SessionsResumeAlsoAfterAReload) {
  Daemon daemon(internal_config());
  for (const int version : {kTls12, kTls13}) {
    SCOPED_TRACE(version);
    ClientTls tls;
    tls.max_version = version;
    RawClient first(daemon.port(), tls);
    EXPECT_EQ(first.get("/").status, 200);
    EXPECT_FALSE(first.stream().resumed());
    tls.session = first.stream().session();
    RawClient second(daemon.port(), tls);
    EXPECT_EQ(second.get("/").status, 200);
    EXPECT_TRUE(second.stream().resumed());
    ASSERT_TRUE(daemon.reload());
    tls.session = second.stream().session();
    RawClient third(daemon.port(), tls);
    EXPECT_EQ(third.get("/").status, 200);
    EXPECT_TRUE(third.stream().resumed());
  }
}

TEST(Tls, TakesUpReplacedFilesAtAReload) {
  const Replaceable files;
  Daemon daemon(tls_config(entry("a.example", files.now)));
  EXPECT_EQ(presented(daemon, with_sni("a.example")), files.now.cert_pem);
  files.replace(files.next.cert_pem, files.next.key_pem);
  ASSERT_TRUE(daemon.reload());
  EXPECT_EQ(presented(daemon, with_sni("a.example")), files.next.cert_pem);
}

TEST(Tls, TakesUpReplacedFilesByItself) {
  const Replaceable files;
  const Daemon daemon(tls_config(entry("a.example", files.now)));
  files.replace(files.next.cert_pem, files.next.key_pem);
  EXPECT_TRUE(
      wait_until([&] { return presented(daemon, with_sni("a.example")) == files.next.cert_pem; },
                 Milliseconds(20000)));
}

TEST(Tls, KeepsTheOldCertificateWhenTheNewFileIsBad) {
  const Replaceable files;
  const Daemon daemon(tls_config(entry("a.example", files.now)));
  const std::size_t before = daemon.log_lines();
  write_file(files.now.cert_file, "no certificate at all");
  EXPECT_NE(daemon.wait_log(files.now.cert_file, before, Milliseconds(20000)), "");
  EXPECT_EQ(presented(daemon, with_sni("a.example")), files.now.cert_pem);
}

// What was wrong need not have been the file.
TEST(Tls, TriesABadFileAgainThoughItHasNotChanged) {
  const Replaceable files;
  const Daemon daemon(tls_config(entry("a.example", files.now)));
  const std::size_t before = daemon.log_lines();
  const std::string& next = files.next.cert_pem;
  files.replace(std::string(next.size(), 'x'), files.next.key_pem);
  ASSERT_NE(daemon.wait_log("stays in use", before, Milliseconds(20000)), "");
  const auto changed = std::filesystem::last_write_time(files.now.cert_file);
  write_file(files.now.cert_file, next);
  std::filesystem::last_write_time(files.now.cert_file, changed);
  EXPECT_TRUE(wait_until([&] { return presented(daemon, with_sni("a.example")) == next; },
                         Milliseconds(20000)));
}

TEST(Tls, KeepsTheOldCertificateWhenAReloadFindsABadFile) {
  const Replaceable files;
  Daemon daemon(tls_config(entry("a.example", files.now)));
  const std::size_t before = daemon.log_lines();
  write_file(files.now.key_file, files.next.key_pem);
  const CommandResult told = daemon.ctl("reload");
  EXPECT_EQ(told.status, 0);
  EXPECT_NE(told.out.find("does not match"), std::string::npos) << told.out;
  EXPECT_NE(told.out.find("stays in use"), std::string::npos) << told.out;
  EXPECT_EQ(told.out.find("\n\n"), std::string::npos) << told.out;
  EXPECT_NE(daemon.wait_log("does not match", before), "");
  EXPECT_EQ(presented(daemon, with_sni("a.example")), files.now.cert_pem);
}

TEST(Tls, ABrokenFileOfAnUpstreamHoldsUpNoRenewal) {
  const Replaceable files;
  const std::string ca = files.authority.directory().file("servers.pem");
  write_file(ca, files.authority.authority_pem());
  Daemon daemon(tls_config(entry("a.example", files.now)) +
                "upstreams: { secure: { servers: [ { url: 'https://127.0.0.1:1' } ], tls: { ca: " +
                ca + " } } }\n");
  std::filesystem::remove(ca);
  files.replace(files.next.cert_pem, files.next.key_pem);
  const CommandResult told = daemon.ctl("reload");
  EXPECT_EQ(told.status, 0) << told.out;
  EXPECT_NE(told.out.find("upstream secure: ca " + ca), std::string::npos) << told.out;
  EXPECT_EQ(presented(daemon, with_sni("a.example")), files.next.cert_pem);
}

TEST(Tls, ABrokenFileOfAuthoritiesHoldsUpNoRenewal) {
  const Replaceable files;
  Certificates clients("Clients");
  Certificates strangers("Strangers");
  Daemon daemon(tls_config(entry("a.example", files.now), "{ client_auth: { mode: optional, ca: " +
                                                              clients.authority_file() + " } }"));
  write_file(clients.authority_file(), "nothing of use");
  files.replace(files.next.cert_pem, files.next.key_pem);
  const CommandResult told = daemon.ctl("reload");
  EXPECT_EQ(told.status, 0) << told.out;
  EXPECT_NE(told.out.find(clients.authority_file()), std::string::npos) << told.out;
  EXPECT_EQ(presented(daemon, with_sni("a.example")), files.next.cert_pem);
  const Certificate good = clients.issue_for({"client"});
  const Certificate bad = strangers.issue_for({"client"});
  ClientTls tls = with_sni("a.example");
  tls.certificate = &good;
  EXPECT_TRUE(serves(daemon, tls)) << "clients are judged as before";
  tls.certificate = &bad;
  EXPECT_FALSE(serves(daemon, tls)) << "clients are judged as before";
}

TEST(Tls, ASocketThatCannotBeMadeAnewHoldsUpNoRenewal) {
  const Replaceable files;
  const TempDir directory;
  const std::string gone = directory.file("run");
  std::filesystem::create_directory(gone);
  Daemon daemon(
      "listeners: [ { name: tls, address: '127.0.0.1:0', tls: {} }, { name: local, address: "
      "'unix:" +
      gone + "/web.sock' } ]\ncertificates:\n" + entry("a.example", files.now) +
      "routes: [ { respond: { body: ok } } ]\n");
  std::filesystem::remove_all(gone);
  const std::size_t before = daemon.log_lines();
  files.replace(files.next.cert_pem, files.next.key_pem);
  daemon.wait_log("certificates 2: ok", before, Milliseconds(20000));
  EXPECT_EQ(presented(daemon, with_sni("a.example")), files.next.cert_pem);
  EXPECT_FALSE(daemon.reload()) << "whoever asks for a reload hears of the socket";
  std::filesystem::create_directory(gone);
  EXPECT_TRUE(daemon.reload());
  EXPECT_EQ(RawClient::unix_socket(gone + "/web.sock").get("/").status, 200);
}

// Clients that look at it refuse it; for those that do not it is better than nothing.
TEST(Tls, ShowsACertificateThatHasExpiredAndWarnsOfIt) {
  Certificates authority;
  const Certificate old = authority.issue_expired("a.example");
  const Daemon daemon(tls_config(entry("a.example", old)));
  EXPECT_NE(daemon.wait_log("warning: ").find("expired"), std::string::npos) << daemon.log();
  EXPECT_TRUE(serves(daemon, with_sni("a.example")));
}

TEST(Tls, SurvivesPlainHttpOnItsPort) {
  const Daemon daemon(internal_config());
  RawClient plain(daemon.port());
  plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string answer = plain.last_words();
  EXPECT_EQ(answer.find("200 OK"), std::string::npos);
  EXPECT_TRUE(serves(daemon, {}));
}

TEST(Tls, CutsHandshakesThatTakeTooLong) {
  const Daemon daemon(internal_config() + "timeouts: { handshake: 500ms }\n");
  RawClient silent(daemon.port());
  EXPECT_TRUE(silent.closes(Milliseconds(5000)));
  RawClient half(daemon.port());
  half.send(std::string_view("\x16\x03\x01\x02\x00\x01", 6));
  EXPECT_TRUE(half.closes(Milliseconds(5000)));
}

TEST(Tls, TellsServersAndTheLogAboutIt) {
  const Origin origin;
  const Daemon daemon(
      "listeners: [ { name: tls, address: '127.0.0.1:0', tls: internal } ]\nroutes: [ { to: '" +
      origin.url() + "' } ]\n");
  RawClient client(daemon.port(), with_sni("a.example"));
  EXPECT_EQ(request_to(client, "a.example").status, 200);
  EXPECT_EQ(origin.request().field("X-Forwarded-Proto"), "https");
  const AccessEntry entry = daemon.wait_access_of("/");
  EXPECT_EQ(entry.text("tls"), "TLSv1.3");
  EXPECT_EQ(entry.text("sni"), "a.example");
  EXPECT_EQ(entry.text("scheme"), "https");
}

TEST(Tls, CarriesLargeBodies) {
  const Origin origin([](OriginExchange& exchange) { exchange.respond(exchange.read_body()); });
  const Daemon daemon(
      "listeners: [ { name: tls, address: '127.0.0.1:0', tls: internal } ]\nroutes: [ { to: '" +
      origin.url() + "' } ]\n");
  std::string body(3000000, 'x');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 23);
  RawClient client(daemon.port(), ClientTls{});
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + body);
  EXPECT_EQ(client.response().body, body);
}

}  // namespace revproxyd::testing

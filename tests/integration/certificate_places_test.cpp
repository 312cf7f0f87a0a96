// Where the configuration names the files of TLS that are wrong.

#include <sys/stat.h>

#include <string>

#include <gtest/gtest.h>

#include "tests/support/certificates.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kResponds = "routes: [ { respond: { body: x } } ]\n";

std::string tested(const std::string& config) {
  const TempDir directory;
  const std::string file = directory.file("proxy.yaml");
  write_file(file, config);
  return run_revproxyd({"-t", "-c", file}).out;
}

class CertificatePlaces : public ::testing::Test {
 protected:
  /// A listener on a free port, and the entry that serves it.
  std::string listener(const std::string& tls = "{}") const {
    return "listeners: [ { name: tls, address: '127.0.0.1:0', tls: " + tls + " } ]\n" +
           std::string(kResponds);
  }
  std::string entry(const std::string& cert, const std::string& key) const {
    return "  - cert: " + cert + "\n    key: " + key + "\n";
  }

  Certificates authority;
  Certificate a = authority.issue_for({"a.example"});
  Certificate b = authority.issue_for({"b.example"});
};

bool has(const std::string& said, const std::string& text) {
  return said.find(text) != std::string::npos;
}

}  // namespace

TEST_F(CertificatePlaces, OfEntriesThatCannotBeServed) {
  const std::string said =
      tested(listener() + "certificates:\n" + entry("/nonexistent/cert", a.key_file) +
             entry(a.cert_file, "/nonexistent/key") + entry(a.cert_file, b.key_file));
  EXPECT_TRUE(has(said, "proxy.yaml:4:11: error: certificate /nonexistent/cert: cannot read"))
      << said;
  EXPECT_TRUE(has(said, "proxy.yaml:7:10: error: key /nonexistent/key: cannot read")) << said;
  EXPECT_TRUE(has(said, "proxy.yaml:8:11: error: certificate " + a.cert_file + ": key does not"))
      << said;
}

TEST_F(CertificatePlaces, OfWarnings) {
  const Certificate old = authority.issue_expired("old.example");
  const std::string said =
      tested(listener() + "certificates:\n" + entry(a.cert_file, a.key_file) +
             entry(old.cert_file, old.key_file) + "    hosts: [ other.example ]\n");
  const std::string place = "proxy.yaml:6:11: warning: certificate " + old.cert_file;
  EXPECT_TRUE(has(said, place + ": expired")) << said;
  EXPECT_TRUE(has(said, place + ": does not cover other.example")) << said;
}

TEST_F(CertificatePlaces, OfTheAuthoritiesOfClients) {
  const std::string said =
      tested(listener("{ client_auth: { mode: required, ca: /nonexistent/ca } }") +
             "certificates:\n" + entry(a.cert_file, a.key_file));
  EXPECT_TRUE(has(said, "proxy.yaml:1:93: error: listener tls: ca /nonexistent/ca: ")) << said;
}

TEST_F(CertificatePlaces, OfAuthoritiesBesideAnEntryThatCannotBeServed) {
  const std::string said =
      tested(listener("{ client_auth: { mode: required, ca: /nonexistent/ca } }") +
             "certificates:\n" + entry("/nonexistent/cert", a.key_file));
  EXPECT_TRUE(has(said, "error: listener tls: ca /nonexistent/ca: ")) << said;
  EXPECT_TRUE(has(said, "error: certificate /nonexistent/cert: ")) << said;
  EXPECT_FALSE(has(said, "without a certificate")) << said;
}

TEST_F(CertificatePlaces, OfUpstreams) {
  const std::string said = tested(
      "upstreams:\n"
      "  u: { servers: [ { url: https://a } ], tls: { ca: /nonexistent/ca } }\n"
      "  v:\n"
      "    servers: [ { url: https://a } ]\n"
      "    tls:\n"
      "      cert: " +
      a.cert_file + "\n" +
      "      key: /nonexistent/key\n"
      "  w:\n"
      "    servers: [ { url: https://a } ]\n"
      "    tls: { key: /nonexistent/key, cert: /nonexistent/cert }\n"
      "listeners: [ { address: '127.0.0.1:0' } ]\n" +
      std::string(kResponds));
  EXPECT_TRUE(has(said, "proxy.yaml:2:52: error: upstream u: ca /nonexistent/ca: ")) << said;
  EXPECT_TRUE(has(said, "proxy.yaml:7:12: error: upstream v: key /nonexistent/key: ")) << said;
  EXPECT_TRUE(has(said, "proxy.yaml:10:41: error: upstream w: certificate /nonexistent/cert: "))
      << said;
}

// Reading a pipe would wait for its other end, and a device has none.
TEST_F(CertificatePlaces, OfWhatIsNoRegularFile) {
  const TempDir directory;
  const std::string pipe = directory.file("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const std::string good = "certificates:\n" + entry(a.cert_file, a.key_file);
  for (const std::string& file : {pipe, directory.path(), std::string("/dev/zero")}) {
    const std::string is = " " + file + ": cannot read: not a regular file";
    const std::string cert = tested(listener() + "certificates:\n" + entry(file, a.key_file));
    EXPECT_TRUE(has(cert, ":4:11: error: certificate" + is)) << cert;
    const std::string key = tested(listener() + "certificates:\n" + entry(a.cert_file, file));
    EXPECT_TRUE(has(key, ":5:10: error: key" + is)) << key;
    const std::string clients =
        tested(listener("{ client_auth: { mode: required, ca: " + file + " } }") + good);
    EXPECT_TRUE(has(clients, "error: listener tls: ca" + is)) << clients;
    const std::string servers =
        tested("upstreams: { u: { servers: [ { url: https://a } ], tls: { ca: " + file +
               " } } }\n" + listener() + good);
    EXPECT_TRUE(has(servers, "error: upstream u: ca" + is)) << servers;
  }
}

TEST_F(CertificatePlaces, OfFilesThatAreTooLarge) {
  const std::string large = a.cert_file + ".large";
  write_file(large, std::string(1024 * 1024 + 1, '\n'));
  const std::string said =
      tested("upstreams: { u: { servers: [ { url: https://a } ], tls: { ca: " + large + " } } }\n" +
             listener() + "certificates:\n" + entry(large, a.key_file));
  EXPECT_TRUE(has(said, "certificate " + large + ": larger than 1 MiB")) << said;
  EXPECT_TRUE(has(said, "upstream u: ca " + large + ": larger than 1 MiB")) << said;
}

TEST_F(CertificatePlaces, OfWhatAReloadRefusesAndOfWhatItKeeps) {
  const std::string good = listener() + "certificates:\n" + entry(a.cert_file, a.key_file);
  Daemon daemon(good);
  daemon.write_config(good + entry(b.cert_file, a.key_file));
  const CommandResult refused = daemon.ctl("reload");
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(has(refused.out, ":6:11: certificate " + b.cert_file + ": key does not match"))
      << refused.out;
  // Lines above it do not make another entry of it.
  daemon.write_config("# moved\n\n" + good);
  write_file(a.key_file, "nothing of use");
  const CommandResult kept = daemon.ctl("reload");
  EXPECT_EQ(kept.status, 0) << kept.out;
  EXPECT_TRUE(has(kept.out, ":7:10: key " + a.key_file)) << kept.out;
}

TEST_F(CertificatePlaces, OfTlsWithoutACertificate) {
  const std::string none = "certificates: []\n";
  const std::string without = "error: listener tls: tls without a certificate";
  for (const std::string tls : {"{}", "{ min_version: \"1.3\" }"}) {
    const std::string said = tested(listener(tls) + none);
    EXPECT_TRUE(has(said, "proxy.yaml:1:56: " + without)) << said;
  }
  const std::string empty =
      "listeners:\n  - name: tls\n    address: '127.0.0.1:0'\n    tls:\n" + std::string(kResponds);
  EXPECT_TRUE(has(tested(empty + none), "proxy.yaml:4:5: " + without)) << tested(empty + none);
  const std::string implied = tested(std::string(kResponds) + none);
  EXPECT_TRUE(has(implied, "proxy.yaml:2:15: error: listener :443: tls without")) << implied;
  const std::string top = tested("tls: {}\n" + std::string(kResponds) + none);
  EXPECT_TRUE(has(top, "proxy.yaml:1:6: error: listener :443: tls without")) << top;
}

// Names of files, and names in certificates, may be anything.
TEST_F(CertificatePlaces, GiveATerminalNoControlCharacters) {
  const std::string config =
      listener() + "certificates:\n" + entry("\"/nonexistent/\\u009B31m\"", a.key_file);
  const TempDir directory;
  const std::string file = directory.file("\x1B[31m\nproxy.yaml");
  write_file(file, config);
  const std::string told = run_revproxyd({"-t", "-c", file}).out;
  EXPECT_TRUE(has(told, "?[31m?proxy.yaml:4:11: error: certificate /nonexistent/?31m: cannot read"))
      << told;
  Daemon daemon{std::string(listener("internal"))};
  daemon.write_config(config);
  const CommandResult refused = daemon.ctl("reload");
  EXPECT_TRUE(has(refused.out, ":4:11: certificate /nonexistent/?31m: cannot read")) << refused.out;
  EXPECT_TRUE(has(daemon.wait_log("certificate /nonexistent/"), "/nonexistent/?31m: cannot read"));
}

}  // namespace revproxyd::testing

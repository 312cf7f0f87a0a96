#include "tls/client_certificate.h"

#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/pem.h>

#include "revproxyd/base/limits.h"
#include "tls_fixture.h"

namespace revproxyd::tls {
namespace {

using namespace test;

// RFC 9440 appendix A: the certificate of the client, and its field.
constexpr const char* kExampleLines[] = {
    "MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBB",
    "dXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAx",
    "MTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZI",
    "zj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p",
    "5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIw",
    "ADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMC",
    "BsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1w",
    "bGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMje",
    "SkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=",
};

std::string joined(std::string_view between) {
  std::string text;
  for (const char* line : kExampleLines) text += line + std::string(between);
  return text;
}

X509Ptr certificate_of(const std::string& pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return X509Ptr(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

std::string text_of(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

// The field of the first certificate in a PEM text, made in another way than by the code.
std::string field_of(const std::string& pem) {
  std::istringstream lines(pem);
  std::string line;
  std::string text = ":";
  std::getline(lines, line);
  while (std::getline(lines, line) && !line.starts_with("-----END")) text += line;
  return text + ":";
}

class ClientCert : public TlsTest {
 protected:
  // Listeners that ask for certificates of the authority.
  std::shared_ptr<const ServerContext> listener(ClientForward forward,
                                                ClientAuthMode mode = ClientAuthMode::optional) {
    return server({own_}, {.client_auth = {mode, ca_.file(), forward}});
  }
  // One that trusts what is in this PEM text.
  std::shared_ptr<const ServerContext> trusting_pem(const std::string& pem) {
    return server({own_}, {.client_auth = {ClientAuthMode::required, dir_.write("pinned.pem", pem),
                                           ClientForward::chain}});
  }

  // A client with that certificate, behind which the file may have others.
  std::shared_ptr<const ClientContext> bearing(const Certificate& certificate, bool tls12 = false) {
    return client({.ca = ca_.file(), .cert = certificate.cert, .key = certificate.key}, tls12);
  }

  // One below an authority that is below ours, with the chain in its file.
  Certificate below() {
    const Certificate certificate = middle_.issue("leaf", {.names = {"client"}});
    leaf_ = text_of(certificate.cert);
    dir_.write("leaf.pem", leaf_ + middle_.pem());
    return certificate;
  }

  // A connection on which a byte travels both ways, so that the client has its tickets.
  std::unique_ptr<net::Transport> connect(const ServerContext& to, const ClientContext& from) {
    Ends ends = handshake(to, from, "a.test");
    if (!ends.server || !ends.client) {
      ADD_FAILURE() << ends.server_error.text() << " / " << ends.client_error.text();
      return nullptr;
    }
    pass(*ends.server, *ends.client, "x");
    pass(*ends.client, *ends.server, "y");
    return std::move(ends.server);
  }

  const Certificate own_ = ca_.issue("a", {.names = {"a.test"}});
  const Authority middle_{dir_, "middle", &ca_};
  std::string leaf_;
  std::vector<std::shared_ptr<const ClientContext>> clients_;
};

TEST(ByteSequence, EncodesTheExampleOfTheStandard) {
  const auto certificate = certificate_of("-----BEGIN CERTIFICATE-----\n" + joined("\n") +
                                          "-----END CERTIFICATE-----\n");
  ASSERT_TRUE(certificate);
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate.get(), &der);
  ASSERT_GT(size, 0);
  const std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  EXPECT_EQ(byte_sequence(bytes), ":" + joined("") + ":");
}

TEST(ByteSequence, PadsToWholeGroups) {
  EXPECT_EQ(byte_sequence(""), "::");
  EXPECT_EQ(byte_sequence("M"), ":TQ==:");
  EXPECT_EQ(byte_sequence("Ma"), ":TWE=:");
  EXPECT_EQ(byte_sequence("Man"), ":TWFu:");
}

TEST_F(ClientCert, IsTheLeafAndTheChainThatWasVerified) {
  for (const bool tls12 : {false, true}) {
    const auto from = bearing(below(), tls12);
    const auto leaf = connect(*listener(ClientForward::leaf), *from);
    ASSERT_TRUE(leaf && leaf->tls()->passed_on);
    EXPECT_EQ(leaf->tls()->passed_on->leaf, field_of(leaf_));
    EXPECT_EQ(leaf->tls()->passed_on->chain, "");
    const auto chain = connect(*listener(ClientForward::chain), *from);
    ASSERT_TRUE(chain && chain->tls()->passed_on);
    EXPECT_EQ(chain->tls()->passed_on->leaf, field_of(leaf_));
    EXPECT_EQ(chain->tls()->passed_on->chain, field_of(middle_.pem()) + ", " + field_of(ca_.pem()));
  }
}

// RFC 9440 section 2.3: what was used in the verification. Of an issuer above what is trusted
// nobody knows whether it is one.
TEST_F(ClientCert, HasNoChainAboveWhatIsTrusted) {
  const auto from = bearing(below());
  const auto leaf = connect(*trusting_pem(leaf_), *from);
  ASSERT_TRUE(leaf && leaf->tls()->passed_on);
  EXPECT_EQ(leaf->tls()->passed_on->leaf, field_of(leaf_));
  EXPECT_EQ(leaf->tls()->passed_on->chain, "");
  const auto middle = connect(*trusting_pem(middle_.pem()), *from);
  ASSERT_TRUE(middle && middle->tls()->passed_on);
  EXPECT_EQ(middle->tls()->passed_on->chain, field_of(middle_.pem()));
  const auto both = connect(*trusting_pem(leaf_ + ca_.pem()), *from);
  ASSERT_TRUE(both && both->tls()->passed_on);
  EXPECT_EQ(both->tls()->passed_on->chain, field_of(middle_.pem()) + ", " + field_of(ca_.pem()));
}

TEST_F(ClientCert, IsTheSameOnAResumedSession) {
  for (const bool tls12 : {false, true}) {
    const auto from = bearing(below(), tls12);
    for (const ClientForward forward : {ClientForward::leaf, ClientForward::chain}) {
      const auto first = connect(*listener(forward), *from);
      ASSERT_TRUE(first && first->tls()->passed_on);
      EXPECT_FALSE(first->tls()->resumed) << "what another listener sealed holds another chain";
      // The ticket of a resumed connection has to carry it, too.
      for (int again = 0; again < 3; ++again) {
        const auto next = connect(*listener(forward), *from);
        ASSERT_TRUE(next && next->tls()->passed_on);
        EXPECT_TRUE(next->tls()->resumed);
        EXPECT_EQ(next->tls()->passed_on->leaf, first->tls()->passed_on->leaf);
        EXPECT_EQ(next->tls()->passed_on->chain, first->tls()->passed_on->chain);
      }
    }
  }
}

TEST_F(ClientCert, IsNothingUnlessItWasAskedForAndVerified) {
  const auto mine = ca_.issue("mine", {.names = {"client"}});
  const auto untold = connect(*listener(ClientForward::none), *bearing(mine));
  ASSERT_TRUE(untold);
  EXPECT_TRUE(untold->tls()->client_certificate);
  EXPECT_EQ(untold->tls()->passed_on, nullptr);
  const auto anonymous = connect(*listener(ClientForward::chain), *trusting(ca_));
  ASSERT_TRUE(anonymous);
  EXPECT_EQ(anonymous->tls()->passed_on, nullptr);
  const auto unasked = connect(*server({own_}), *bearing(mine));
  ASSERT_TRUE(unasked);
  EXPECT_EQ(unasked->tls()->passed_on, nullptr);
}

TEST_F(ClientCert, IsRefusedInTheHandshakeWhenItIsTooLarge) {
  Wanted wanted;
  for (std::size_t bytes = 0; bytes < limits::kClientCertBytes; bytes += 20)
    wanted.names.push_back("client" + std::to_string(10000 + bytes) + ".example");
  const auto large = bearing(ca_.issue("large", wanted));
  for (const ClientForward forward : {ClientForward::leaf, ClientForward::chain}) {
    const Ends ends = handshake(*listener(forward), *large, "a.test");
    EXPECT_EQ(ends.server_error.code(), Code::certificate_rejected);
    EXPECT_EQ(ends.server_error.text(), "the client's certificates are too large to be passed on");
  }
  EXPECT_TRUE(connect(*listener(ClientForward::none), *large)) << "nobody is told of it";
}

TEST_F(ClientCert, DoesNotLiveOnInATicketWhenItHasExpired) {
  const auto to = listener(ClientForward::leaf, ClientAuthMode::required);
  const auto brief = ca_.issue("brief", {.names = {"client"}, .days_after = 0, .seconds_after = 5});
  for (const bool tls12 : {false, true}) {
    const auto from = bearing(brief, tls12);
    EXPECT_FALSE(connect(*to, *from)->tls()->resumed);
    EXPECT_TRUE(connect(*to, *from)->tls()->resumed);
    clients_.push_back(from);
  }
  const auto certificate = certificate_of(text_of(brief.cert));
  while (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) > 0)
    std::this_thread::sleep_for(50ms);
  for (const auto& from : clients_)
    EXPECT_EQ(handshake(*to, *from, "a.test").server_error.code(), Code::certificate_rejected);
}

}  // namespace
}  // namespace revproxyd::tls

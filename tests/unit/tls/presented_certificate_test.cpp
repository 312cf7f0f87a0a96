// Which of the certificates of a name a client is shown, and what it covers.

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tls/client_context.h"
#include "tls_fixture.h"

namespace revproxyd::tls {
namespace {

using namespace test;

class PresentedCertificate : public TlsTest {};

SSL_CTX* raw(const ClientContext& context) { return context.state().context.get(); }

TEST_F(PresentedCertificate, IsEcdsaBesideRsaByWhatTheClientVerifies) {
  const auto listener = server({ca_.issue("rsa", {.names = {"a.test"}, .kind = Kind::rsa}),
                                ca_.issue("ec", {.names = {"a.test"}})});
  const auto kind = [&](bool tls12, const char* algorithms) {
    const auto upstream = trusting(ca_, tls12);
    // ECDSA stays on the list for the authority's signature; the suites leave it no use in the
    // handshake.
    if (algorithms != nullptr) SSL_CTX_set1_sigalgs_list(raw(*upstream), algorithms);
    if (tls12 && algorithms != nullptr)
      SSL_CTX_set_cipher_list(raw(*upstream), "ECDHE-RSA-AES128-GCM-SHA256");
    const Ends ends = handshake(*listener, *upstream, "a.test");
    if (!ends.client) return std::string(ends.client_error.text());
    return std::string(ends.client->tls()->cipher);
  };
  EXPECT_EQ(kind(true, nullptr), "ECDHE-ECDSA-AES128-GCM-SHA256");
  EXPECT_EQ(kind(true, "RSA-PSS+SHA256:RSA+SHA256:ECDSA+SHA256"), "ECDHE-RSA-AES128-GCM-SHA256");
}

TEST_F(PresentedCertificate,
       IsEcdsaForATls13ClientThatPrefersNothingAndRsaForOneThatKnowsOnlyThat) {
  const auto listener = server({ca_.issue("rsa", {.names = {"a.test"}, .kind = Kind::rsa}),
                                ca_.issue("ec", {.names = {"a.test"}})});
  const auto insecure = client({.insecure_skip_verify = true});
  std::vector<int> kinds;
  for (const char* algorithms : {"RSA-PSS+SHA256:ECDSA+SHA256", "RSA-PSS+SHA256"}) {
    SSL_CTX_set1_sigalgs_list(raw(*insecure), algorithms);
    SSL_CTX_set_verify(raw(*insecure), SSL_VERIFY_NONE, nullptr);
    static int seen;
    seen = 0;
    SSL_CTX_set_cert_verify_callback(
        raw(*insecure),
        [](X509_STORE_CTX* store, void*) {
          seen = EVP_PKEY_get_base_id(X509_get0_pubkey(X509_STORE_CTX_get0_cert(store)));
          return 1;
        },
        nullptr);
    const Ends ends = handshake(*listener, *insecure, "a.test");
    ASSERT_TRUE(ends.client) << ends.client_error.text();
    kinds.push_back(seen);
  }
  EXPECT_EQ(kinds, (std::vector<int>{EVP_PKEY_EC, EVP_PKEY_RSA}));
}

TEST_F(PresentedCertificate, SaysWhichHostsAreCoveredWhateverOthersOfTheNameCover) {
  const auto listener =
      server({ca_.issue("rsa", {.names = {"a.test", "r.test"}, .kind = Kind::rsa}),
              ca_.issue("ec", {.names = {"a.test", "e.test"}})});
  for (const bool tls12 : {false, true}) {
    const auto insecure = client({.insecure_skip_verify = true}, tls12);
    const Ends modern = handshake(*listener, *insecure, "a.test");
    ASSERT_TRUE(modern.server && modern.client) << modern.client_error.text();
    EXPECT_TRUE(modern.server->tls()->covers("a.test"));
    EXPECT_TRUE(modern.server->tls()->covers("e.test"));
    EXPECT_FALSE(modern.server->tls()->covers("r.test"));
  }
  const auto old = client({.insecure_skip_verify = true});
  SSL_CTX_set1_sigalgs_list(raw(*old), "RSA-PSS+SHA256");
  SSL_CTX_set_verify(raw(*old), SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_cert_verify_callback(
      raw(*old), [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  const Ends ends = handshake(*listener, *old, "a.test");
  ASSERT_TRUE(ends.server && ends.client) << ends.client_error.text();
  EXPECT_TRUE(ends.server->tls()->covers("r.test"));
  EXPECT_FALSE(ends.server->tls()->covers("e.test"));
}

}  // namespace
}  // namespace revproxyd::tls

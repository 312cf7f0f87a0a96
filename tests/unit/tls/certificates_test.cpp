#include "revproxyd/tls/certificates.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>

#include "revproxyd/tls/random.h"
#include "tls/credential.h"
#include "tls/digest.h"
#include "tls/internal_certificate.h"
#include "tls_fixture.h"

namespace revproxyd::tls {
namespace {

using namespace test;

class Certificates : public ::testing::Test {
 protected:
  static SystemTime now() { return std::chrono::system_clock::now(); }
  static CertificateStore::Loaded load(const std::vector<Certificate>& entries) {
    return CertificateStore::load(entries, now());
  }

  // The only error of loading `entry`, with the directory left out.
  std::string error_of(const Certificate& entry) {
    const auto loaded = load({entry});
    EXPECT_EQ(loaded.store, nullptr);
    return loaded.errors.size() == 1 ? brief(loaded.errors[0].text)
                                     : std::to_string(loaded.errors.size()) + " errors";
  }

  std::string warning_of(const Certificate& entry) {
    const auto loaded = load({entry});
    EXPECT_NE(loaded.store, nullptr);
    if (loaded.warnings.empty()) return "";
    return loaded.warnings.size() == 1 ? brief(loaded.warnings[0].text)
                                       : std::to_string(loaded.warnings.size()) + " warnings";
  }

  std::string brief(std::string text) const {
    for (const std::string root = dir_.path(""); text.find(root) != text.npos;)
      text.erase(text.find(root), root.size());
    return text;
  }

  TempDir dir_;
  Authority ca_{dir_};
};

TEST_F(Certificates, GoodOneLoadsWithoutAWord) {
  const auto loaded = load({ca_.issue("a", {.names = {"a.test", "*.a.test"}})});
  ASSERT_NE(loaded.store, nullptr);
  EXPECT_TRUE(loaded.warnings.empty());
  EXPECT_NE(loaded.store->find("a.test"), nullptr);
  EXPECT_NE(loaded.store->find("x.a.test"), nullptr);
  EXPECT_EQ(loaded.store->find("x.y.a.test"), nullptr);
  EXPECT_EQ(loaded.store->find(".a.test"), nullptr);
  EXPECT_EQ(loaded.store->find(""), nullptr);
  EXPECT_EQ(loaded.store->find("b.test"), nullptr);
  EXPECT_EQ(loaded.store->files(),
            (std::vector<std::string>{dir_.path("a.pem"), dir_.path("a.key")}));
}

TEST_F(Certificates, KeyOfAnotherIsRefused) {
  auto a = ca_.issue("a", {.names = {"a.test"}});
  a.key = ca_.issue("b", {.names = {"b.test"}}).key;
  EXPECT_EQ(error_of(a), "certificate a.pem: key does not match");
}

TEST_F(Certificates, KeyOfAnotherKindIsRefused) {
  auto a = ca_.issue("a", {.names = {"a.test"}});
  a.key = ca_.issue("b", {.names = {"b.test"}, .kind = Kind::rsa}).key;
  EXPECT_EQ(error_of(a), "certificate a.pem: key does not match");
}

TEST_F(Certificates, KeysAreReadInEveryFormThatToolsWrite) {
  for (const Kind kind : {Kind::ec, Kind::rsa}) {
    auto entry = ca_.issue("a", {.names = {"a.test"}, .kind = kind});
    const std::string old_form = dir_.path("old.key");
    ASSERT_EQ(
        std::system(("openssl pkey -traditional -in " + entry.key + " -out " + old_form).c_str()),
        0);
    ASSERT_EQ(::chmod(old_form.c_str(), 0600), 0);
    entry.key = old_form;
    EXPECT_EQ(warning_of(entry), "");
  }
}

TEST_F(Certificates, EncryptedKeyIsRefused) {
  auto entry = ca_.issue("a", {.names = {"a.test"}});
  const std::string locked = dir_.path("locked.key");
  ASSERT_EQ(std::system(("openssl pkcs8 -topk8 -v2 aes-256-cbc -passout pass:secret -in " +
                         entry.key + " -out " + locked)
                            .c_str()),
            0);
  entry.key = locked;
  EXPECT_EQ(error_of(entry), "key locked.key: it is encrypted, which is not supported");
}

TEST_F(Certificates, MissingAndBrokenFilesAreNamed) {
  const auto good = ca_.issue("a", {.names = {"a.test"}});
  auto entry = good;
  entry.cert = dir_.path("none.pem");
  EXPECT_EQ(error_of(entry), "certificate none.pem: cannot read: No such file or directory");
  entry = good;
  entry.key = dir_.path("none.key");
  EXPECT_EQ(error_of(entry), "key none.key: cannot read: No such file or directory");
  entry = good;
  entry.cert = dir_.write("noise.pem", "not a certificate");
  EXPECT_EQ(error_of(entry).rfind("certificate noise.pem: no certificate in PEM form", 0), 0U);
  entry = good;
  entry.key = dir_.write("noise.key", "not a key");
  EXPECT_EQ(error_of(entry).rfind("key noise.key: no private key in PEM form", 0), 0U);
  entry = good;
  entry.cert = dir_.write("large.pem", std::string(1024 * 1024 + 1, 'x'));
  EXPECT_EQ(error_of(entry), "certificate large.pem: larger than 1 MiB");
  entry.cert = dir_.path("");
  EXPECT_NE(error_of(entry).find("cannot read"), std::string::npos);
}

TEST_F(Certificates, BrokenCertificateFurtherDownIsFound) {
  auto entry = ca_.issue("a", {.names = {"a.test"}});
  std::string error;
  const std::string leaf = read_file(entry.cert, error);
  entry.cert = dir_.write("chain.pem",
                          leaf + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  EXPECT_EQ(error_of(entry).rfind("certificate chain.pem: certificate 2 of the chain: ", 0), 0U);
}

TEST_F(Certificates, WeakKeyIsRefused) {
  EXPECT_EQ(error_of(ca_.issue("w", {.names = {"w.test"}, .kind = Kind::rsa1024})),
            "key w.key: an RSA key of 1024 bits is too short, 2048 are needed");
  EXPECT_EQ(error_of(ca_.issue("w", {.names = {"w.test"}, .kind = Kind::ec192})),
            "key w.key: an EC key of 192 bits is too short");
}

TEST_F(Certificates, KeyOfAKindThatClientsDoNotKnowIsRefused) {
  EXPECT_EQ(warning_of(ca_.issue("a", {.names = {"a.test"}, .kind = Kind::ed25519})), "");
  EXPECT_EQ(error_of(ca_.issue("b", {.names = {"b.test"}, .kind = Kind::ed448})),
            "key b.key: the key is neither RSA nor EC nor Ed25519");
}

TEST_F(Certificates, ChainOfMoreThanTenIsRefused) {
  const auto entry = ca_.issue("a", {.names = {"a.test"}});
  std::string dummy;
  std::string chain = read_file(entry.cert, dummy);
  for (int i = 0; i < 11; ++i) chain += ca_.pem();
  auto long_one = entry;
  long_one.cert = dir_.write("long.pem", chain);
  EXPECT_EQ(error_of(long_one), "certificate long.pem: a chain of more than 10 certificates");
}

TEST_F(Certificates, HostThatIsNotNamedIsServedWithAWarning) {
  auto entry = ca_.issue("a", {.names = {"a.test", "*.b.test"}});
  entry.hosts = {"a.test", "c.test", "*.a.test", "x.b.test"};
  const auto loaded = load({entry});
  ASSERT_NE(loaded.store, nullptr);
  EXPECT_NE(loaded.store->find("c.test"), nullptr);
  ASSERT_EQ(loaded.warnings.size(), 2U);
  EXPECT_NE(loaded.warnings[0].text.find("a.pem: does not cover c.test"), std::string::npos);
  EXPECT_NE(loaded.warnings[1].text.find("a.pem: does not cover *.a.test"), std::string::npos);
}

TEST_F(Certificates, HiddenHostsAreInNoWarning) {
  auto entry = ca_.issue("a", {.names = {"a.test"}});
  entry.hosts = {"b.test", "c.test"};
  entry.hidden = {"c.test"};
  const auto loaded = load({entry, ca_.issue("b", {.names = {"b.test"}}), entry});
  std::string said;
  for (const auto& warning : loaded.warnings) said += warning.text + '\n';
  EXPECT_NE(said.find("a.pem: does not cover b.test"), std::string::npos) << said;
  EXPECT_NE(said.find("a.pem: does not cover <redacted>"), std::string::npos) << said;
  EXPECT_EQ(said.find("c.test"), std::string::npos) << said;
}

TEST_F(Certificates, AHiddenHostThatIsServedAlreadyIsNotShown) {
  const auto first = ca_.issue("a", {.names = {"a.test"}});
  auto second = ca_.issue("b", {.names = {"a.test"}});
  second.hidden = second.hosts = {"a.test"};
  const auto loaded = load({first, second});
  ASSERT_EQ(loaded.warnings.size(), 1U);
  EXPECT_NE(loaded.warnings[0].text.find("never used for <redacted>, which"), std::string::npos)
      << loaded.warnings[0].text;
}

TEST_F(Certificates, WithoutHostsItsOwnNamesAreServed) {
  auto entry = ca_.issue("a", {.names = {"a.test", "*.b.test"}});
  entry.hosts.clear();
  const auto loaded = load({entry});
  ASSERT_NE(loaded.store, nullptr);
  EXPECT_NE(loaded.store->find("a.test"), nullptr);
  EXPECT_NE(loaded.store->find("x.b.test"), nullptr);
  EXPECT_EQ(error_of(ca_.issue("n", {})),
            "certificate n.pem: names no host (it has no subjectAltName)");
}

TEST_F(Certificates, ChainMustBeInOrder) {
  const Authority middle(dir_, "middle", &ca_);
  auto entry = middle.issue("a", {.names = {"a.test"}});
  std::string error;
  const std::string leaf = read_file(entry.cert, error);
  entry.cert = dir_.write("good.pem", leaf + middle.pem() + ca_.pem());
  EXPECT_NE(load({entry}).store, nullptr);
  entry.cert = dir_.write("bad.pem", leaf + ca_.pem() + middle.pem());
  EXPECT_EQ(error_of(entry),
            "certificate bad.pem: certificate 2 of the chain did not issue certificate 1");
}

TEST_F(Certificates, ExpiryIsAWarning) {
  EXPECT_EQ(
      warning_of(ca_.issue("old", {.names = {"a.test"}, .days_before = 30, .days_after = -1})),
      "certificate old.pem: expired 1 day ago");
  EXPECT_EQ(
      warning_of(ca_.issue("fifth", {.names = {"a.test"}, .days_before = 81, .days_after = 19})),
      "certificate fifth.pem: expires in 18 days");
  EXPECT_EQ(
      warning_of(ca_.issue("quarter", {.names = {"a.test"}, .days_before = 75, .days_after = 25})),
      "");
  EXPECT_EQ(warning_of(ca_.issue("week", {.names = {"a.test"}, .days_before = 1, .days_after = 6})),
            "certificate week.pem: expires in 5 days");
  EXPECT_EQ(
      warning_of(ca_.issue("early", {.names = {"a.test"}, .days_before = -2, .days_after = 365}))
          .rfind("certificate early.pem: not valid before", 0),
      0U);
}

TEST_F(Certificates, KeyReadableByEveryoneIsAWarning) {
  const auto entry = ca_.issue("a", {.names = {"a.test"}});
  EXPECT_EQ(warning_of(entry), "");
  ::chmod(entry.key.c_str(), 0644);
  EXPECT_EQ(warning_of(entry), "key a.key: readable by everyone");
  ::chmod(entry.key.c_str(), 0640);
  EXPECT_EQ(warning_of(entry), "");
}

TEST_F(Certificates, AllErrorsAreReportedAtOnce) {
  auto a = ca_.issue("a", {.names = {"a.test"}});
  auto b = ca_.issue("b", {.names = {"b.test"}});
  std::swap(a.key, b.key);
  EXPECT_EQ(load({a, b}).errors.size(), 2U);
}

TEST_F(Certificates, SecondOfTheSameKindForANameIsAWarning) {
  const auto first = ca_.issue("first", {.names = {"a.test"}});
  EXPECT_EQ(load({first, ca_.issue("second", {.names = {"a.test"}})}).warnings.size(), 1U);
  EXPECT_EQ(
      load({first, ca_.issue("rsa", {.names = {"a.test"}, .kind = Kind::rsa})}).warnings.size(),
      0U);
}

TEST_F(Certificates, ReloadKeepsWhatItHasForBadFilesAndTakesUpGoodOnes) {
  const auto a = ca_.issue("a", {.names = {"a.test"}});
  const auto b = ca_.issue("b", {.names = {"b.test"}});
  const auto before = load({a, b});
  ASSERT_NE(before.store, nullptr);
  const auto identity = [](const CertificateStore& store, const char* name) {
    return store.find(name)->identity();
  };

  const auto same = CertificateStore::reload({a, b}, *before.store, now());
  ASSERT_NE(same.store, nullptr);
  EXPECT_TRUE(same.kept.empty());
  EXPECT_EQ(identity(*same.store, "a.test"), identity(*before.store, "a.test"));

  dir_.write("a.pem", "half a fi");
  ca_.issue("b", {.names = {"b.test"}});
  const auto after = CertificateStore::reload({a, b}, *before.store, now());
  ASSERT_NE(after.store, nullptr);
  ASSERT_EQ(after.kept.size(), 1U);
  EXPECT_NE(after.kept[0].text.find("a.pem"), std::string::npos);
  EXPECT_EQ(identity(*after.store, "a.test"), identity(*before.store, "a.test"));
  EXPECT_NE(identity(*after.store, "b.test"), identity(*before.store, "b.test"));

  // Once more: what was kept can be kept again.
  const auto again = CertificateStore::reload({a, b}, *after.store, now());
  ASSERT_NE(again.store, nullptr);
  EXPECT_EQ(again.kept.size(), 1U);
}

// One that has just been written may be written again within the same tick of the clock.
TEST_F(Certificates, FilesAtRestAreTakenForTheSameUntilTheyChange) {
  const auto entry = ca_.issue("a", {.names = {"a.test"}});
  std::this_thread::sleep_for(2100ms);  // the kernel writes when a file has changed
  const auto first = Credential::load(entry.cert, entry.key);
  ASSERT_NE(first.credential, nullptr) << first.error;
  EXPECT_EQ(Credential::load(entry.cert, entry.key, first.credential).credential, first.credential);
  ca_.issue("a", {.names = {"a.test"}});
  const auto second = Credential::load(entry.cert, entry.key, first.credential);
  ASSERT_NE(second.credential, nullptr) << second.error;
  EXPECT_NE(second.credential->fingerprint(), first.credential->fingerprint());
}

TEST_F(Certificates, ReloadRefusesANewEntryThatIsBad) {
  const auto a = ca_.issue("a", {.names = {"a.test"}});
  const auto before = load({a});
  Certificate fresh{{"b.test"}, dir_.path("b.pem"), dir_.path("b.key")};
  const auto after = CertificateStore::reload({a, fresh}, *before.store, now());
  EXPECT_EQ(after.store, nullptr);
  EXPECT_EQ(after.errors.size(), 1U);
}

TEST_F(Certificates, InternalOneIsSharedUntilItsLastMonth) {
  const auto made = internal_credential(now());
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(internal_credential(now()), made);
  EXPECT_TRUE(made->covers("anything.test"));
  for (const char* name : {"localhost", "127.0.0.1", "::1"})
    EXPECT_EQ(std::count(made->names().begin(), made->names().end(), name), 1) << name;
  EXPECT_EQ(internal_credential(now() + (10 * 365 - 40) * 24h), made);
  EXPECT_NE(internal_credential(now() + (10 * 365 - 20) * 24h), made);
}

TEST_F(Certificates, CoversByOneLabelOnly) {
  const auto entry = ca_.issue("a", {.names = {"a.test", "*.b.test", "IP:192.0.2.1"}});
  const auto loaded = Credential::load(entry.cert, entry.key);
  ASSERT_NE(loaded.credential, nullptr);
  for (const char* host : {"a.test", "x.b.test", "192.0.2.1"})
    EXPECT_TRUE(loaded.credential->covers(host)) << host;
  for (const char* host :
       {"b.test", "x.y.b.test", ".b.test", "x.a.test", "", "192.0.2.2", "test"}) {
    EXPECT_FALSE(loaded.credential->covers(host)) << host;
  }
}

TEST(Digest, IsSha256) {
  const auto digest = sha256("abc");  // FIPS 180-4's example
  EXPECT_EQ(digest[0], 0xBA);
  EXPECT_EQ(digest[1], 0x78);
  EXPECT_EQ(digest[31], 0xAD);
}

TEST(Random, GivesDifferentBytesForAnySize) {
  for (const std::size_t size : {16U, 100U, 128U, 129U, 5000U}) {
    std::vector<std::uint8_t> a(size);
    std::vector<std::uint8_t> b(size);
    for (int i = 0; i < 10; ++i) {
      fill_random(a);
      fill_random(b);
      EXPECT_NE(a, b);
    }
  }
  fill_random({});
}

}  // namespace
}  // namespace revproxyd::tls

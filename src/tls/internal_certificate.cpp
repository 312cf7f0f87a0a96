#include "tls/internal_certificate.h"

#include <unistd.h>

#include <array>
#include <mutex>
#include <string>

#include "revproxyd/tls/random.h"

namespace revproxyd::tls {

namespace {

// Nobody checks it against anything, and no process should outlive it.
constexpr std::chrono::hours kLife{10 * 365 * 24};
constexpr std::chrono::hours kRenewBefore{30 * 24};
constexpr std::chrono::hours kClockSkew{1};  // of clients whose clock is behind

std::string subject_names() {
  std::string names = "DNS:localhost,IP:127.0.0.1,IP:::1";
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) == 0) {
    const std::string name = host.data();
    // Only what is a host name: the text is read by OpenSSL's configuration syntax.
    const bool plain =
        name.find_first_not_of(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == name.npos;
    if (!name.empty() && plain && name != "localhost") names += ",DNS:" + name;
  }
  return names;
}

bool add_extension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Release<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool number(X509* certificate) {
  std::array<std::uint8_t, 16> serial{};
  fill_random(serial);
  serial[0] &= 0x7F;  // positive (RFC 5280 section 4.1.2.2)
  const std::unique_ptr<BIGNUM, Release<BN_free>> value(
      BN_bin2bn(serial.data(), serial.size(), nullptr));
  return value && BN_to_ASN1_INTEGER(value.get(), X509_get_serialNumber(certificate)) != nullptr;
}

X509Ptr make_certificate(EVP_PKEY* key, SystemTime now) {
  X509Ptr certificate(X509_new());
  if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !number(certificate.get()))
    return nullptr;
  X509* const raw = certificate.get();
  std::time_t start = std::chrono::system_clock::to_time_t(now - kClockSkew);
  X509_time_adj_ex(X509_getm_notBefore(raw), 0, 0, &start);
  X509_time_adj_ex(X509_getm_notAfter(raw), 0,
                   std::chrono::duration_cast<std::chrono::seconds>(kLife).count(), &start);
  X509_set_pubkey(raw, key);
  X509_NAME* name = X509_get_subject_name(raw);
  X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("revproxyd internal"), -1, -1,
                             0);  // NOLINT: text is bytes
  X509_set_issuer_name(raw, name);
  const bool extended = add_extension(raw, NID_subject_alt_name, subject_names()) &&
                        add_extension(raw, NID_basic_constraints, "critical,CA:FALSE") &&
                        add_extension(raw, NID_key_usage, "critical,digitalSignature") &&
                        add_extension(raw, NID_ext_key_usage, "serverAuth");
  if (!extended || X509_sign(raw, key, EVP_sha256()) == 0) return nullptr;
  return certificate;
}

std::shared_ptr<const Credential> make(SystemTime now) {
  KeyPtr key(EVP_EC_gen("P-256"));
  X509Ptr certificate = key ? make_certificate(key.get(), now) : nullptr;
  ERR_clear_error();
  if (!certificate) return nullptr;
  return Credential::self_signed(std::move(certificate), std::move(key));
}

}  // namespace

std::shared_ptr<const Credential> internal_credential(SystemTime now) {
  static std::mutex mutex;
  static std::shared_ptr<const Credential> made;
  const std::lock_guard lock(mutex);
  if (!made || made->not_after() - now < kRenewBefore) made = make(now);
  return made;
}

}  // namespace revproxyd::tls

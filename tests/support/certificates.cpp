#include "tests/support/certificates.h"

#include <arpa/inet.h>

#include <filesystem>
#include <stdexcept>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace revproxyd::testing {

namespace {

struct Release {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
};

using Key = std::unique_ptr<EVP_PKEY, Release>;
using Leaf = std::unique_ptr<X509, Release>;
using Memory = std::unique_ptr<BIO, Release>;

constexpr long kDay = 24 * 3600;
constexpr int kRsaBits = 2048;

Key new_key(KeyKind kind) {
  Key key(kind == KeyKind::rsa ? EVP_RSA_gen(kRsaBits) : EVP_EC_gen("P-256"));
  if (!key) throw std::runtime_error("cannot make a key");
  return key;
}

void name_it(X509_NAME* name, const std::string& text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.c_str());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, bytes, -1, -1, 0);
}

void extend(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Release> extension(
      X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  if (!extension) throw std::runtime_error("bad extension " + value);
  X509_add_ext(certificate, extension.get(), -1);
}

Leaf blank(const CertificateRequest& request, EVP_PKEY* key) {
  Leaf certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  std::uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial >> 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), request.from_days * kDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), request.to_days * kDay);
  X509_set_pubkey(certificate.get(), key);
  name_it(X509_get_subject_name(certificate.get()), request.common_name);
  return certificate;
}

std::string text_of(BIO* bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

std::string pem_of(X509* certificate) {
  const Memory bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return text_of(bio.get());
}

std::string pem_of(EVP_PKEY* key) {
  const Memory bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(bio.get());
}

bool is_address(const std::string& name) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, name.c_str(), bytes) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), bytes) == 1;
}

}  // namespace

struct Certificates::Authority {
  Key key;
  Leaf certificate;
};

Certificates::Certificates(const std::string& name)
    : Certificates(name, static_cast<const Authority*>(nullptr)) {}

Certificates::Certificates(const std::string& name, const Certificates& above)
    : Certificates(name, above.authority_.get()) {
  chain_ = authority_pem();
}

Certificates::Certificates(const std::string& name, const Authority* above)
    : authority_(std::make_unique<Authority>()) {
  authority_->key = new_key(KeyKind::ecdsa);
  CertificateRequest request;
  request.common_name = name;
  authority_->certificate = blank(request, authority_->key.get());
  X509* certificate = authority_->certificate.get();
  X509* issuer = above != nullptr ? above->certificate.get() : certificate;
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
  extend(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
  extend(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  extend(certificate, certificate, NID_subject_key_identifier, "hash");
  X509_sign(certificate, (above != nullptr ? *above : *authority_).key.get(), EVP_sha256());
  authority_file_ = directory_.file("authority.pem");
  write_file(authority_file_, pem_of(certificate));
}

Certificates::~Certificates() = default;

std::string Certificates::authority_pem() const { return pem_of(authority_->certificate.get()); }

Certificate Certificates::issue(const CertificateRequest& request) {
  const Key key = new_key(request.kind);
  const Leaf certificate = blank(request, key.get());
  X509* issuer = authority_->certificate.get();
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer));
  std::string names;
  for (const std::string& name : request.dns) names += (names.empty() ? "DNS:" : ",DNS:") + name;
  for (const std::string& ip : request.ips) names += (names.empty() ? "IP:" : ",IP:") + ip;
  if (!names.empty()) extend(certificate.get(), issuer, NID_subject_alt_name, names);
  extend(certificate.get(), issuer, NID_basic_constraints, "critical,CA:FALSE");
  extend(certificate.get(), issuer, NID_ext_key_usage, "serverAuth,clientAuth");
  X509_sign(certificate.get(), authority_->key.get(), EVP_sha256());
  Certificate out;
  out.cert_pem = pem_of(certificate.get());
  out.key_pem = pem_of(key.get());
  const std::string stem = "issued-" + std::to_string(++issued_);
  out.cert_file = directory_.file(stem + ".pem");
  out.key_file = directory_.file(stem + ".key");
  write_file(out.cert_file, out.cert_pem + chain_);
  write_file(out.key_file, out.key_pem);
  // The daemon warns of keys that others may read.
  std::filesystem::permissions(
      out.key_file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  return out;
}

Certificate Certificates::issue_for(const std::vector<std::string>& names, KeyKind kind) {
  CertificateRequest request;
  request.kind = kind;
  for (const std::string& name : names)
    (is_address(name) ? request.ips : request.dns).push_back(name);
  if (!names.empty()) request.common_name = names.front();
  return issue(request);
}

Certificate Certificates::issue_expired(const std::string& name) {
  CertificateRequest request;
  request.common_name = name;
  request.dns = {name};
  request.from_days = -10;
  request.to_days = -1;
  return issue(request);
}

}  // namespace revproxyd::testing

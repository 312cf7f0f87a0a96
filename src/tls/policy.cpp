#include "tls/policy.h"

#include <openssl/pem.h>

#include "tls/credential.h"
#include "tls/key_decoder.h"

namespace revproxyd::tls {

namespace {

// AEAD with ephemeral keys only. AES-128 first: it is the faster one, and not what breaks.
constexpr const char* kTls12Ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kTls13Ciphers =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kGroups = "X25519:P-256:P-384";
constexpr int kSecurityLevel = 2;

std::string read_certificates(Authorities& out) {
  const BioPtr bio(BIO_new_mem_buf(out.pem.data(), static_cast<int>(out.pem.size())));
  out.certificates.reset(sk_X509_new_null());
  bool encrypted = false;
  for (;;) {
    X509Ptr next(PEM_read_bio_X509_AUX(bio.get(), nullptr, no_password, &encrypted));
    if (!next) break;
    if (sk_X509_push(out.certificates.get(), next.get()) > 0) static_cast<void>(next.release());
  }
  const unsigned long last = ERR_peek_last_error();
  const bool at_end =
      ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  const bool whole = at_end && sk_X509_num(out.certificates.get()) > 0;
  const std::string error = whole ? std::string() : reason_text();
  ERR_clear_error();
  return error;
}

}  // namespace

bool apply_policy(SSL_CTX* context, MinVersion min) noexcept {
  SSL_CTX_set_security_level(context, kSecurityLevel);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // A cut stream must not pass for a whole one (RFC 8446 section 6.1).
  SSL_CTX_clear_options(context,
                        SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN |
                                SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_read_ahead(context, 1);
  const int lowest = min == MinVersion::tls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  return SSL_CTX_set_min_proto_version(context, lowest) == 1 &&
         SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_cipher_list(context, kTls12Ciphers) == 1 &&
         SSL_CTX_set_ciphersuites(context, kTls13Ciphers) == 1 &&
         SSL_CTX_set1_groups_list(context, kGroups) == 1;
}

std::optional<std::string> alpn_wire(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const std::string& protocol : protocols) {
    if (protocol.empty() || protocol.size() > 255) return std::nullopt;
    wire += static_cast<char>(protocol.size());
    wire += protocol;
  }
  return wire;
}

std::string read_authorities(const std::string& path, Authorities& out) {
  std::string error;
  out.pem = read_file(path, error);
  if (error.empty()) error = read_certificates(out);
  return error.empty() ? error : "ca " + path + ": " + error;
}

std::string trust(SSL_CTX* context, const Authorities& authorities) {
  for (int i = 0; i < sk_X509_num(authorities.certificates.get()); ++i) {
    X509* const anchor = sk_X509_value(authorities.certificates.get(), i);
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), anchor) != 1)
      return "tls: " + reason_text();
    read_extensions(anchor);
  }
  trust_anchors(context);
  return {};
}

void trust_anchors(SSL_CTX* context) noexcept {
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
}

}  // namespace revproxyd::tls

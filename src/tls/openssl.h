#pragma once
// Ownership of OpenSSL's objects, and its error queue as values.

#include <memory>
#include <string>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "revproxyd/base/error.h"

namespace revproxyd::tls {

template <auto Free>
struct Release {
  template <typename T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};

inline void free_stack(STACK_OF(X509) * stack) noexcept { sk_X509_pop_free(stack, X509_free); }
inline void free_names(GENERAL_NAMES* names) noexcept { GENERAL_NAMES_free(names); }

using SslPtr = std::unique_ptr<SSL, Release<SSL_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, Release<SSL_CTX_free>>;
using SessionPtr = std::unique_ptr<SSL_SESSION, Release<SSL_SESSION_free>>;
using X509Ptr = std::unique_ptr<X509, Release<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;
using StackPtr = std::unique_ptr<STACK_OF(X509), Release<free_stack>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Release<free_names>>;
using BioPtr = std::unique_ptr<BIO, Release<BIO_free_all>>;

/// The queue is the thread's, so what one connection leaves there would be read as the failure of
/// the next. Emptying it costs much more than looking, and it is nearly always empty.
inline void clear_errors() noexcept {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

/// The certificate that the peer had shown when the session began has expired. Nobody looks at it
/// again when the session is resumed, and each resumption brings a new ticket: it would live on
/// (RFC 8446 section 4.6.1). False where it showed none.
inline bool outlived_certificate(SSL_SESSION* session) noexcept {
  const X509* certificate = SSL_SESSION_get0_peer(session);
  return certificate != nullptr && X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0;
}

/// Has OpenSSL look at the certificate's extensions now. It does so when it first needs them and
/// remembers a failure, were it for want of memory in some handshake, so that a certificate that
/// stays would be useless from then on: a TLS 1.2 client would be told that no cipher is shared.
inline void read_extensions(X509* certificate) noexcept {
  constexpr int kForNoPurpose = -1;
  static_cast<void>(X509_check_purpose(certificate, kForNoPurpose, 0));
}

/// The oldest failure in the queue in words, and the queue emptied; static storage.
const char* take_reason() noexcept;

/// The same for messages about files: never empty.
std::string reason_text();

/// Names the failure of a handshake or of a call on an established connection from the queue, which
/// is emptied.
Error take_error(const SSL* ssl) noexcept;

}  // namespace revproxyd::tls

#include "tls/openssl.h"

#include <system_error>

#include <openssl/sslerr.h>

namespace revproxyd::tls {

const char* take_reason() noexcept {
  const unsigned long code = ERR_peek_error();
  const char* text = code != 0 ? ERR_reason_error_string(code) : nullptr;
  ERR_clear_error();
  return text != nullptr ? text : "TLS failure";
}

// OpenSSL has no words of its own for what the system says.
std::string reason_text() {
  const unsigned long code = ERR_peek_error();
  if (!ERR_SYSTEM_ERROR(code)) return take_reason();
  ERR_clear_error();
  return std::generic_category().message(ERR_GET_REASON(code));
}

Error take_error(const SSL* ssl) noexcept {
  const unsigned long code = ERR_peek_error();
  const int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
  const char* text = take_reason();
  switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
      return Error(Code::certificate_rejected,
                   X509_verify_cert_error_string(SSL_get_verify_result(ssl)));
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return Error(Code::certificate_rejected, "the client sent no certificate");
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST: return Error(Code::tls_failed, "plain HTTP on a TLS port");
    default: return Error(Code::tls_failed, text);
  }
}

}  // namespace revproxyd::tls

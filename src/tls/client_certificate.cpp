#include "tls/client_certificate.h"

#include <algorithm>

#include "revproxyd/base/limits.h"
#include "tls/server_context.h"
#include "tls/tls_transport.h"

namespace revproxyd::tls {

namespace {

constexpr std::size_t kLengthSize = 3;  // in front of each certificate in a ticket, as in TLS

ClientForward forward_of(const SSL* ssl) noexcept {
  const auto& state =
      *static_cast<const ServerContext::State*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  return state.settings.client_auth.forward;
}

std::string der_of(const X509* certificate) {
  const int size = i2d_X509(certificate, nullptr);
  if (size <= 0) return {};
  std::string der(static_cast<std::size_t>(size), '\0');
  auto* out = reinterpret_cast<unsigned char*>(der.data());  // NOLINT: text as bytes
  i2d_X509(certificate, &out);
  return der;
}

std::size_t encoded_size(const X509* certificate) noexcept {
  const int size = i2d_X509(certificate, nullptr);
  const std::size_t bytes = size > 0 ? static_cast<std::size_t>(size) : 0;
  return (bytes + 2) / 3 * 4 + 2;
}

void append_item(std::string& list, Bytes der) {
  if (!list.empty()) list += ", ";
  list += byte_sequence(der);
}

// The certificates above the leaf as they were verified: what else a client sent proves nothing.
std::string above_leaf(const STACK_OF(X509) * chain) {
  std::string packed;
  for (int i = 1; i < sk_X509_num(chain); ++i) {
    const std::string der = der_of(sk_X509_value(chain, i));
    for (const int shift : {16, 8, 0}) packed += static_cast<char>(der.size() >> shift & 0xFF);
    packed += der;
  }
  return packed;
}

// OpenSSL keeps the leaf in a session, but not the chain; that comes out of the ticket.
std::string packed_chain(SSL* ssl) {
  if (SSL_session_reused(ssl) != 1) return above_leaf(SSL_get0_verified_chain(ssl));
  void* data = nullptr;
  std::size_t size = 0;
  if (SSL_SESSION_get0_ticket_appdata(SSL_get_session(ssl), &data, &size) != 1) return {};
  return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
}

std::string chain_list(Bytes packed) {
  std::string list;
  while (packed.size() > kLengthSize) {
    std::size_t size = 0;
    for (const char byte : packed.substr(0, kLengthSize))
      size = size << 8 | static_cast<unsigned char>(byte);
    packed.remove_prefix(kLengthSize);
    append_item(list, packed.substr(0, size));
    packed.remove_prefix(std::min(size, packed.size()));
  }
  return list;
}

// Where the leaf itself is what is trusted, whatever the client sent above it stays in the chain of
// OpenSSL, and nobody has vouched for that.
void end_at_trust(X509_STORE_CTX* store) noexcept {
  if (X509_STORE_CTX_get_num_untrusted(store) != 0) return;
  STACK_OF(X509)* const chain = X509_STORE_CTX_get0_chain(store);
  while (sk_X509_num(chain) > 1) X509_free(sk_X509_pop(chain));
}

int on_verify(X509_STORE_CTX* store, void* /*argument*/) noexcept {
  if (X509_verify_cert(store) != 1) return 0;
  end_at_trust(store);
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const ClientForward forward = forward_of(ssl);
  const STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(store);
  const int count = forward == ClientForward::none   ? 0
                    : forward == ClientForward::leaf ? 1
                                                     : sk_X509_num(chain);
  std::size_t size = 0;
  for (int i = 0; i < count; ++i) size += encoded_size(sk_X509_value(chain, i));
  if (size <= limits::kClientCertBytes) return 1;
  TlsTransport::of(ssl).negotiation().refusal =
      "the client's certificates are too large to be passed on";
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

int on_ticket_sealed(SSL* ssl, void* /*argument*/) noexcept {
  // The session of a resumed connection has what its ticket held.
  if (forward_of(ssl) != ClientForward::chain || SSL_session_reused(ssl) == 1) return 1;
  const std::string packed = above_leaf(SSL_get0_verified_chain(ssl));
  if (packed.empty()) return 1;
  return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), packed.data(), packed.size());
}

// A resumed session is not verified again, and must not make an expired certificate live on.
SSL_TICKET_RETURN on_ticket_opened(SSL* /*ssl*/, SSL_SESSION* session,
                                   const unsigned char* /*key_name*/, std::size_t /*name_size*/,
                                   SSL_TICKET_STATUS status, void* /*argument*/) noexcept {
  const bool renew = status == SSL_TICKET_SUCCESS_RENEW;
  if (status != SSL_TICKET_SUCCESS && !renew) return SSL_TICKET_RETURN_IGNORE_RENEW;
  if (outlived_certificate(session)) return SSL_TICKET_RETURN_IGNORE_RENEW;
  return renew ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
}

}  // namespace

std::string byte_sequence(Bytes bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 2, ':');
  // Writes a NUL behind the text, where the last colon goes.
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data() + 1),     // NOLINT
                  reinterpret_cast<const unsigned char*>(bytes.data()),  // NOLINT
                  static_cast<int>(bytes.size()));
  text.back() = ':';
  return text;
}

std::unique_ptr<const net::ClientCertFields> client_cert_fields(SSL* ssl) {
  const ClientForward forward = forward_of(ssl);
  if (forward == ClientForward::none) return nullptr;
  auto fields = std::make_unique<net::ClientCertFields>();
  fields->leaf = byte_sequence(der_of(SSL_get0_peer_certificate(ssl)));
  if (forward == ClientForward::chain) fields->chain = chain_list(packed_chain(ssl));
  return fields;
}

void install_client_certificate_callbacks(SSL_CTX* context) noexcept {
  SSL_CTX_set_cert_verify_callback(context, on_verify, nullptr);
  SSL_CTX_set_session_ticket_cb(context, on_ticket_sealed, on_ticket_opened, nullptr);
}

}  // namespace revproxyd::tls

#pragma once
// The insides of a ServerContext, as the handshake and OpenSSL's callbacks see them.

#include <memory>
#include <string>

#include "revproxyd/tls/context.h"
#include "tls/credential.h"
#include "tls/openssl.h"

namespace revproxyd::tls {

struct ServerContext::State {
  SslContextPtr context;
  ListenerTls settings;
  std::shared_ptr<const CertificateStore> certificates;
  std::shared_ptr<const CredentialGroup> internal;  // instead of certificates
  std::shared_ptr<TicketKeys> tickets;
  std::string alpn;  // as on the wire
  bool alpn_required = false;
  std::string ca_bytes;  // of the file of client_auth.ca
  Fingerprint policy{};  // what a ticket's connection must have agreed to
};

/// The callbacks that need no more than the context.
void install_ticket_callback(SSL_CTX* context) noexcept;

}  // namespace revproxyd::tls

#pragma once
// The certificate of a client as the fields Client-Cert and Client-Cert-Chain (RFC 9440), the same
// after a session is resumed.

#include <memory>
#include <string>

#include "revproxyd/base/bytes.h"
#include "revproxyd/net/transport.h"
#include "tls/openssl.h"

namespace revproxyd::tls {

/// A byte sequence of structured fields (RFC 8941 section 3.3.5).
std::string byte_sequence(Bytes bytes);

/// For a connection whose client certificate was verified; null where the listener tells servers of
/// none.
std::unique_ptr<const net::ClientCertFields> client_cert_fields(SSL* ssl);

/// For a listener that asks clients for certificates: what is too large to be passed on fails the
/// handshake, tickets carry the chain, and a ticket does not outlive the certificate in it.
void install_client_certificate_callbacks(SSL_CTX* context) noexcept;

}  // namespace revproxyd::tls

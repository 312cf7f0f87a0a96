#pragma once
// The certificate authorities of the system, or of the environment (SSL_CERT_FILE, SSL_CERT_DIR).

#include <string>

#include "tls/openssl.h"

namespace revproxyd::tls {

/// Makes `context` trust them. Why it cannot, or empty: where a pipe or device stands in the place
/// of a file, OpenSSL would wait for it, here or on a worker that verifies a server. What is not
/// there is none.
std::string trust_system(SSL_CTX* context);

}  // namespace revproxyd::tls

#pragma once
// The insides of a ClientContext, as the handshake sees them.

#include <string>
#include <string_view>

#include "revproxyd/tls/context.h"
#include "tls/openssl.h"
#include "tls/session_cache.h"

namespace revproxyd::tls {

struct ClientContext::State {
  SslContextPtr context;
  SessionCache sessions;
  bool alpn_required = false;  // a server that chooses no protocol is refused
  bool verify = true;
};

/// Sets SNI and the name that the certificate must have. Empty, or why not; static text.
const char* expect_name(SSL* ssl, const std::string& name, bool verify) noexcept;

}  // namespace revproxyd::tls

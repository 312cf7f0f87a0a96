#pragma once
// OpenSSL's view of a transport: a BIO whose calls never wait and leave the readiness to the
// transport below.

#include "revproxyd/net/transport.h"
#include "tls/openssl.h"

namespace revproxyd::tls {

/// What the BIO met below since it was made; sticky, so that the caller of OpenSSL can tell the
/// cause.
struct BioState {
  explicit BioState(net::Transport& transport) noexcept : below(transport) {}
  net::Transport& below;
  Error failure{Code::none};
  bool ended = false;  // the peer's FIN was read
};

/// A BIO over `state`, which must outlive it; null when memory ran out.
BioPtr make_transport_bio(BioState& state) noexcept;

}  // namespace revproxyd::tls

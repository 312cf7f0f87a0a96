#pragma once
// Who is asking: what holds for a whole client connection.

#include <cstdint>
#include <string_view>

#include "revproxyd/net/address.h"
#include "revproxyd/net/settings.h"
#include "revproxyd/net/transport.h"

namespace revproxyd::pipeline {

/// Made when a connection is accepted; outlives its exchanges.
struct Client {
  net::Address peer;   // of the connection, or of the PROXY header
  net::Address local;  // that the client connected to, or the destination of the PROXY header
  net::Scheme scheme = net::Scheme::http;
  std::string_view listener;          // what it was called when it accepted
  const net::TlsInfo* tls = nullptr;  // null for plain text
};

/// What one configuration says of a client.
struct Standing {
  bool trusted = false;         // the peer is one of trusted_proxies
  bool redirect_https = false;  // everything that comes by its listener
  std::string_view listener;    // its name; lives as long as the exchange
};

}  // namespace revproxyd::pipeline

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
  std::string_view listener;          // its name
  std::size_t listener_index = 0;     // in the plan that accepted it
  bool trusted = false;               // the peer is one of trusted_proxies
  const net::TlsInfo* tls = nullptr;  // null for plain text
};

}  // namespace revproxyd::pipeline

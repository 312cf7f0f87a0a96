#pragma once
// On whose behalf a connection to a server is made, for the PROXY header.

#include "revproxyd/net/address.h"

namespace revproxyd::upstream {

struct Origin {
  net::Address client;  // none: the connection is our own
  net::Address local;   // that the client connected to
};

}  // namespace revproxyd::upstream

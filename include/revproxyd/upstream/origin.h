#pragma once
// On whose behalf a connection to a server is made, for the PROXY header.

#include "revproxyd/net/address.h"

namespace revproxyd::upstream {

struct Origin {
  const net::Address* client = nullptr;  // null: the connection is our own
  const net::Address* local = nullptr;   // that the client connected to
};

}  // namespace revproxyd::upstream

#pragma once
// On whose behalf, and for what, a connection to a server is made.

#include "revproxyd/net/address.h"

namespace revproxyd::upstream {

struct Origin {
  const net::Address* client = nullptr;  // null: the connection is our own
  const net::Address* local = nullptr;   // that the client connected to
  bool upgrade = false;                  // the request asks for another protocol on the connection
};

}  // namespace revproxyd::upstream

#pragma once
// The listening sockets of the process: one a worker and address, open for as long as the address
// is configured.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "revproxyd/base/result.h"
#include "revproxyd/net/descriptor.h"
#include "revproxyd/net/settings.h"
#include "revproxyd/proxy/settings.h"

namespace revproxyd::app {

/// Sockets bound for one address, one a worker; a UNIX socket's are duplicates of one.
struct BoundAddress {
  std::vector<std::shared_ptr<net::Descriptor>> sockets;
  std::string where;  // what it is bound to, with the port that the kernel chose
  std::uint16_t port = 0;
};

/// What makes a listener the same over reloads: its address as written; with a port that the kernel
/// chooses, its name too.
std::string listener_identity(const proxy::ListenerSettings& listener);

/// Binds `address` for `workers` workers. Port 0 gives all of them the same port. `alone`: nothing
/// of this process listens on the port yet, so that whoever does is another process, and an error.
Result<BoundAddress> bind_address(const net::BindAddress& address, std::size_t workers, bool alone);

}  // namespace revproxyd::app

#pragma once
// What can be asked of a listening socket that is open, and further descriptors of it.

#include <memory>

#include "revproxyd/net/descriptor.h"
#include "revproxyd/net/settings.h"

namespace revproxyd::app {

/// Null, with errno, when there is no descriptor for it.
std::shared_ptr<net::Descriptor> duplicate(const net::Descriptor& socket);

/// Both are descriptors of one socket.
bool same_socket(int one, int other) noexcept;

/// Workers may each bind one of their own beside it.
bool reuses_port(const net::Descriptor& socket) noexcept;

/// How one would be bound in the same way; of TCP only.
net::BindAddress address_of(const net::Descriptor& socket);

}  // namespace revproxyd::app

#pragma once
// What the names of servers stand for, as one process tells another.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "revproxyd/net/resolver.h"

namespace revproxyd::app {

/// By name and port, as server_key() writes them.
using KnownAddresses = std::map<std::string, net::AddressList>;

std::string server_key(const std::string& host, std::uint16_t port);

/// In texts of at most `limit` bytes each, a line a name: its key, and the addresses as the kernel
/// has them, in hex. A name whose line is longer is left out.
std::vector<std::string> encode_addresses(const KnownAddresses& known, std::size_t limit);
/// Adds what one of these texts has; what is not of that form is passed over.
void decode_addresses(std::string_view text, KnownAddresses& known);

}  // namespace revproxyd::app

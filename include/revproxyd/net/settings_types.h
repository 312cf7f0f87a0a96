#pragma once
// How the configuration writes addresses.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "revproxyd/config/type.h"
#include "revproxyd/net/address.h"
#include "revproxyd/net/settings.h"

namespace revproxyd::net {

/// A value or, in words for the reader of a message, why there is none.
template <typename T>
struct Parsed {
  std::optional<T> value;
  std::string problem;
  std::string hint;
};

Parsed<BindAddress> parse_bind_address(std::string_view text);
/// Refuses paths, queries and user information.
Parsed<ServerUrl> parse_server_url(std::string_view text);
/// True for what may stand in a Host field: a host, and perhaps a port.
bool is_authority(std::string_view text);
/// True for labels of letters, digits, '-' and '_', each at most 63 long, 253 in all; for IPv4
/// addresses too.
bool is_host_name(std::string_view text) noexcept;

config::Type<BindAddress> bind_address();
config::Type<ServerUrl> server_url();
config::Type<Cidr> cidr();
/// A list of ranges and of the word `unix`; one may stand alone.
config::Type<Peers> peers();
config::Type<Scheme> scheme();

}  // namespace revproxyd::net

#pragma once
// What the configuration says of listeners and of where servers are: plain data, defaults visible.

#include <cstdint>
#include <string>
#include <vector>

#include "revproxyd/base/units.h"
#include "revproxyd/net/address.h"

namespace revproxyd::net {

/// A path in one form, however it is written: "/run//x/./a" is "/run/x/a". Looks at no file.
std::string normal_path(const std::string& path);

/// Where a listener binds: ":80", "127.0.0.1:80", "[::1]:80", "unix:/run/x.sock".
struct BindAddress {
  std::string text;  // as written
  std::string host;  // empty = all interfaces, v4 and v6; without brackets
  std::uint16_t port = 0;
  std::string path;  // of a UNIX socket, else empty
  bool operator==(const BindAddress&) const = default;
};

/// `h2c`, HTTP/2 without TLS, is for servers only; requests have the other two.
enum class Scheme : std::uint8_t { http, https, h2c };

/// Where a server is: http://host:port, https://host, h2c://host:port, unix:/path (plain HTTP/1.1).
struct ServerUrl {
  std::string text;  // as written, normalised to have no trailing slash
  Scheme scheme = Scheme::http;
  // Name, absolute if a dot ends it, or IP literal without brackets; empty for a UNIX socket.
  std::string host;
  std::uint16_t port = 0;
  std::string path;  // of a UNIX socket
  /// What a Host field says of it.
  std::string authority() const;
  bool operator==(const ServerUrl&) const = default;
};

}  // namespace revproxyd::net

#pragma once
// Socket addresses of the three families that the proxy speaks, and CIDR ranges.

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace revproxyd::net {

/// An IPv4, IPv6 or UNIX socket address; a value. Every connection holds two of them, so that the
/// long path of a UNIX socket lies elsewhere, shared by all copies.
class Address {
 public:
  Address() noexcept;  // AF_UNSPEC
  Address(const sockaddr* address, socklen_t size) noexcept;

  /// "127.0.0.1", "::1" or "[::1]" with a port. Numeric only.
  static std::optional<Address> ip(std::string_view host, std::uint16_t port);
  static std::optional<Address> unix_path(std::string_view path);

  int family() const noexcept { return storage_.base.sa_family; }
  bool is_ip() const noexcept { return family() == AF_INET || family() == AF_INET6; }
  /// "0.0.0.0" or "::": a socket bound to it takes whatever comes to the port.
  bool is_any() const;
  std::uint16_t port() const noexcept;
  void set_port(std::uint16_t port) noexcept;
  const sockaddr* data() const noexcept {
    return path_ == nullptr ? &storage_.base : reinterpret_cast<const sockaddr*>(path_.get());
  }
  socklen_t size() const noexcept { return size_; }

  /// The IP without port, an IPv4-mapped IPv6 address as IPv4; "unix" for a UNIX socket, empty for
  /// none.
  std::string host() const;
  /// Room for the longest text of an address, terminator included.
  using HostRoom = std::array<char, INET6_ADDRSTRLEN>;
  /// The same, written into `room` or of static storage.
  std::string_view host(HostRoom& room) const noexcept;
  /// "1.2.3.4:80", "[::1]:80", "unix:/path".
  std::string text() const;
  /// The 16 address bytes, IPv4 as IPv4-mapped; zeros for other families. What rules and hashes
  /// look at.
  std::array<std::uint8_t, 16> bytes() const noexcept;
  bool operator==(const Address& other) const noexcept;

 private:
  void keep_path(const sockaddr_un& address);

  union Storage {
    sockaddr base;  // of a UNIX socket the family alone
    sockaddr_in v4;
    sockaddr_in6 v6;
  } storage_;
  socklen_t size_ = 0;                       // of what data() points to
  std::shared_ptr<const sockaddr_un> path_;  // of a UNIX socket that has one
};

/// A range such as 10.0.0.0/8 or 2001:db8::/32; a bare address is a range of one.
class Cidr {
 public:
  /// Refuses a prefix that is too long and host bits that are set.
  static std::optional<Cidr> parse(std::string_view text);
  bool contains(const Address& address) const noexcept;
  std::string text() const;
  bool operator==(const Cidr&) const = default;

 private:
  std::array<std::uint8_t, 16> network_{};
  std::uint8_t bits_ = 0;  // of the IPv4-mapped form
  bool v4_ = false;
};

bool contains(const std::vector<Cidr>& ranges, const Address& address) noexcept;

/// Peers that a setting names: those of some ranges and, as they have no address, all on UNIX
/// sockets or none.
struct Peers {
  std::vector<Cidr> ranges;
  bool unix_sockets = false;
  bool empty() const noexcept { return ranges.empty() && !unix_sockets; }
  bool operator==(const Peers&) const = default;
};

bool contains(const Peers& peers, const Address& address) noexcept;

}  // namespace revproxyd::net

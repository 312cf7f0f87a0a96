#pragma once
// A socket as a service manager hands it to a daemon.

#include <cstdint>
#include <string>

namespace revproxyd::testing {

/// A listening socket of the test on a port of the kernel's choice, or at a path.
class ListeningSocket {
 public:
  explicit ListeningSocket(bool reuse_port = false, std::uint16_t port = 0);
  explicit ListeningSocket(const std::string& path);
  ~ListeningSocket();
  ListeningSocket(const ListeningSocket&) = delete;
  ListeningSocket& operator=(const ListeningSocket&) = delete;

  /// Somebody is waiting to be accepted, which makes a service manager start the service.
  bool is_wanted() const;
  int fd() const noexcept { return fd_; }
  std::uint16_t port() const noexcept { return port_; }

 private:
  int fd_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace revproxyd::testing

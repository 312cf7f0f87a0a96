#pragma once
// The plain transport, visible to the TLS transport that reads and writes through it.

#include <sys/types.h>

#include "net/poller.h"
#include "revproxyd/net/transport.h"

namespace revproxyd::net {

class SocketTransport final : public Transport {
 public:
  /// `connected`: false while the kernel still connects; room for output is then announced by an
  /// event.
  SocketTransport(int fd, Poller& poller, bool connected = true) noexcept
      : poller_(poller), fd_(fd) {
    readiness_.writable = connected;
  }
  ~SocketTransport() override;

  IoResult try_read(MutableBytes into) noexcept override;
  IoResult try_write(std::span<const iovec> pieces) noexcept override;
  bool splices() const noexcept override { return true; }
  IoResult try_read_into(Pipe& pipe, std::size_t most) noexcept override;
  IoResult try_write_from(Pipe& pipe) noexcept override;
  IoResult try_shutdown() noexcept override;
  void abort_on_close() noexcept override { abort_ = true; }
  bool pending() const noexcept override { return false; }
  Readiness& readiness() noexcept override { return readiness_; }
  int fd() const noexcept override { return fd_; }

 private:
  IoResult nothing_read(ssize_t got) noexcept;

  Readiness readiness_;
  Poller& poller_;
  int fd_;
  bool abort_ = false;
};

/// As make_socket_transport(fd), for a socket that may still be connecting.
Result<std::unique_ptr<Transport>> make_socket_transport(int fd, bool connected);

}  // namespace revproxyd::net

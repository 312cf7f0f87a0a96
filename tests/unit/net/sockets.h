#pragma once
// Pairs of connected sockets for the tests of this directory.

#include <fcntl.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "revproxyd/net/descriptor.h"
#include "revproxyd/net/listener.h"
#include "revproxyd/net/transport.h"

namespace revproxyd::net::test {

struct SocketPair {
  Descriptor near;
  Descriptor far;
};

/// Non-blocking UNIX stream sockets.
inline SocketPair socket_pair() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  SocketPair pair;
  pair.near.reset(fds[0]);
  pair.far.reset(fds[1]);
  return pair;
}

/// A listening socket on 127.0.0.1 with a port of the kernel's choice.
inline Descriptor loopback_listener(bool reuse_port = false, std::uint16_t port = 0) {
  BindAddress where;
  where.host = "127.0.0.1";
  where.port = port;
  auto made = bind_listener(where, reuse_port, 64);
  EXPECT_TRUE(made);
  return std::move(*made);
}

/// Neither accepts nor refuses: its queue is full, so that the kernel drops further handshakes.
class Deaf {
 public:
  explicit Deaf(const char* host = "127.0.0.1") {
    BindAddress where;
    where.host = host;
    socket_ = std::move(*bind_listener(where, false, 0));
    for (int i = 0; i < 4; ++i) {
      clients_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      const Address to = address();
      ignore(::connect(clients_.back().get(), to.data(), to.size()), "it only fills the queue");
    }
  }
  Address address() const { return local_address(socket_.get()); }

 private:
  Descriptor socket_;
  std::vector<Descriptor> clients_;
};

/// Non-blocking TCP sockets over loopback.
inline SocketPair tcp_pair() {
  const Descriptor listener = loopback_listener();
  const Address address = local_address(listener.get());
  SocketPair pair;
  pair.far.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(pair.far.get(), address.data(), address.size()), 0);
  EXPECT_EQ(::fcntl(pair.far.get(), F_SETFL, O_NONBLOCK), 0);
  pair.near.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  EXPECT_TRUE(pair.near);
  return pair;
}

/// `fd` as a transport of the current loop.
inline std::unique_ptr<Transport> transport_over(Descriptor& socket) {
  auto made = make_socket_transport(socket.release());
  EXPECT_TRUE(made);
  return std::move(*made);
}

inline void send_text(int fd, std::string_view text) {
  EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

}  // namespace revproxyd::net::test

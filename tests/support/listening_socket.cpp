#include "tests/support/listening_socket.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace revproxyd::testing {

ListeningSocket::ListeningSocket(bool reuse_port, std::uint16_t port)
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const int on = 1;
  if (reuse_port) ::setsockopt(fd_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  socklen_t size = sizeof address;
  auto* plain = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(fd_, plain, size), 0);
  EXPECT_EQ(::listen(fd_, 64), 0);
  ::getsockname(fd_, plain, &size);
  port_ = ntohs(address.sin_port);
}

ListeningSocket::ListeningSocket(const std::string& path)
    : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(fd_, 64), 0);
}

ListeningSocket::~ListeningSocket() { ::close(fd_); }

bool ListeningSocket::is_wanted() const {
  pollfd input{fd_, POLLIN, 0};
  return ::poll(&input, 1, 0) == 1;
}

}  // namespace revproxyd::testing

#include "app/open_socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "revproxyd/net/listener.h"

namespace revproxyd::app {

std::shared_ptr<net::Descriptor> duplicate(const net::Descriptor& socket) {
  const int copy = ::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0);
  return copy < 0 ? nullptr : std::make_shared<net::Descriptor>(copy);
}

bool same_socket(int one, int other) noexcept {
  struct stat left {};
  struct stat right {};
  return ::fstat(one, &left) == 0 && ::fstat(other, &right) == 0 && left.st_dev == right.st_dev &&
         left.st_ino == right.st_ino;
}

bool reuses_port(const net::Descriptor& socket) noexcept {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &value, &size) == 0 && value != 0;
}

net::BindAddress address_of(const net::Descriptor& socket) {
  const net::Address bound = net::local_address(socket.get());
  net::BindAddress address;
  address.text = bound.text();
  address.host = bound.host();
  address.port = bound.port();
  int only = 1;
  socklen_t size = sizeof only;
  const bool v6 = ::getsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, &size) == 0;
  // A socket for both families is what an empty host makes.
  if (v6 && only == 0 && address.host == "::") address.host.clear();
  return address;
}

}  // namespace revproxyd::app

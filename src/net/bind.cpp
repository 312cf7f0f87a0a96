// Binding of listening sockets.

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "revproxyd/net/listener.h"

namespace revproxyd::net {

namespace {

constexpr mode_t kUnixMode = 0660;

Error failed(const char* text) noexcept { return Error(Code::system, text, errno); }

Descriptor open_stream(int family) noexcept {
  return Descriptor(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

bool set(int fd, int level, int option, int value) noexcept {
  return ::setsockopt(fd, level, option, &value, sizeof value) == 0;
}

struct IpOptions {
  bool reuse_port = false;
  bool v6_only = true;
};

Result<Descriptor> bind_ip(const Address& address, IpOptions options, int backlog) {
  Descriptor socket = open_stream(address.family());
  if (!socket) return failed("cannot make a socket");
  const int fd = socket.get();
  if (!set(fd, SOL_SOCKET, SO_REUSEADDR, 1)) return failed("cannot set SO_REUSEADDR");
  if (options.reuse_port && !set(fd, SOL_SOCKET, SO_REUSEPORT, 1))
    return failed("cannot set SO_REUSEPORT");
  if (address.family() == AF_INET6 &&
      !set(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.v6_only ? 1 : 0)) {
    return failed("cannot set IPV6_V6ONLY");
  }
  if (::bind(fd, address.data(), address.size()) != 0) return failed("cannot bind");
  if (::listen(fd, backlog) != 0) return failed("cannot listen");
  return socket;
}

Result<Descriptor> bind_all_interfaces(std::uint16_t port, bool reuse_port, int backlog) {
  auto both = bind_ip(*Address::ip("::", port), {reuse_port, false}, backlog);
  if (both) return both;
  const int reason = both.error().sys();
  const bool no_v6 = reason == EAFNOSUPPORT || reason == EADDRNOTAVAIL || reason == EPROTONOSUPPORT;
  if (!no_v6) return both;
  return bind_ip(*Address::ip("0.0.0.0", port), {reuse_port, true}, backlog);
}

/// Removes the file of a socket whose listener is gone. Fails when someone listens, and for any
/// file that is no socket.
Result<void> clear_stale(const Address& address, const char* path) {
  struct stat status {};
  if (::lstat(path, &status) != 0)
    return errno == ENOENT ? Result<void>()
                           : Result<void>(failed("cannot look at the socket's path"));
  if (!S_ISSOCK(status.st_mode))
    return Error(Code::system, "the path exists and is not a socket", EEXIST);
  const Descriptor probe = open_stream(AF_UNIX);
  if (!probe) return failed("cannot make a socket");
  // Only a refusal proves that nobody listens: a full queue (EAGAIN) or a file we may not use
  // (EACCES) does not.
  if (::connect(probe.get(), address.data(), address.size()) == 0 || errno == EAGAIN) {
    return Error(Code::system, "another process listens on the socket", EADDRINUSE);
  }
  if (errno == ENOENT) return {};
  if (errno != ECONNREFUSED) return failed("cannot tell whether the socket is in use");
  if (::unlink(path) != 0 && errno != ENOENT) return failed("cannot remove the stale socket");
  return {};
}

Result<Descriptor> bind_unix(const std::string& path, int backlog) {
  const std::optional<Address> address = Address::unix_path(path);
  if (!address) return Error(Code::system, "the path of the socket is too long", ENAMETOOLONG);
  if (auto cleared = clear_stale(*address, path.c_str()); !cleared) return cleared.error();
  Descriptor socket = open_stream(AF_UNIX);
  if (!socket) return failed("cannot make a socket");
  // The mode of the descriptor caps the file's, so that it is never wider than meant; the umask may
  // narrow it, which chmod undoes.
  if (::fchmod(socket.get(), kUnixMode) != 0) return failed("cannot set the socket's mode");
  if (::bind(socket.get(), address->data(), address->size()) != 0) return failed("cannot bind");
  if (::chmod(path.c_str(), kUnixMode) != 0) return failed("cannot set the socket's mode");
  if (::listen(socket.get(), backlog) != 0) return failed("cannot listen");
  return socket;
}

}  // namespace

Result<Descriptor> bind_listener(const BindAddress& where, bool reuse_port, int backlog) {
  if (!where.path.empty()) return bind_unix(where.path, backlog);
  if (where.host.empty()) return bind_all_interfaces(where.port, reuse_port, backlog);
  const std::optional<Address> address = Address::ip(where.host, where.port);
  if (!address) return Error(Code::system, "the host is not a numeric address", EINVAL);
  return bind_ip(*address, {reuse_port, true}, backlog);
}

}  // namespace revproxyd::net

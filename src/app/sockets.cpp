#include "app/sockets.h"

#include <fcntl.h>

#include <cerrno>

#include "revproxyd/net/listener.h"

namespace revproxyd::app {

namespace {
constexpr int kBacklog = 4096;
}

std::string listener_identity(const proxy::ListenerSettings& listener) {
  const bool chosen = listener.address.path.empty() && listener.address.text.ends_with(":0");
  return chosen ? listener.name + " " + listener.address.text : listener.address.text;
}

Result<BoundAddress> bind_address(const net::BindAddress& address, std::size_t workers,
                                  bool alone) {
  BoundAddress bound;
  net::BindAddress wanted = address;
  const bool local = !address.path.empty();
  // Sockets that share their port would take connections from another process of ours without a
  // word; one that does not share it finds that process.
  if (alone && !local && wanted.port != 0) {
    if (auto probe = net::bind_listener(wanted, false, 0); !probe) return probe.error();
  }
  for (std::size_t i = 0; i < workers; ++i) {
    if (local && i > 0) {
      const int copy = ::fcntl(bound.sockets.front()->get(), F_DUPFD_CLOEXEC, 0);
      if (copy < 0) return Error(Code::system, "cannot duplicate a socket", errno);
      bound.sockets.push_back(std::make_shared<net::Descriptor>(copy));
      continue;
    }
    auto socket = net::bind_listener(wanted, !local, kBacklog);
    if (!socket) return socket.error();
    if (i == 0) {
      const net::Address where = net::local_address(socket->get());
      bound.where = local ? address.text : where.text();
      if (!local) wanted.port = bound.port = where.port();
    }
    bound.sockets.push_back(std::make_shared<net::Descriptor>(std::move(*socket)));
  }
  return bound;
}

}  // namespace revproxyd::app

#include "app/leaving.h"

#include <algorithm>
#include <utility>

#include "app/open_socket.h"
#include "revproxyd/net/listener.h"

namespace revproxyd::app {

namespace {

bool is_bound_as(const net::Descriptor& socket, const net::BindAddress& wanted) {
  const net::BindAddress bound = address_of(socket);
  if (wanted.port == 0 || bound.port != wanted.port) return false;
  if (bound.host.empty() || wanted.host.empty()) return bound.host == wanted.host;
  const auto address = net::Address::ip(wanted.host, wanted.port);
  return address && *address == net::local_address(socket.get());
}

}  // namespace

SeenSockets seen(const std::vector<WorkerSockets>& of_workers) {
  SeenSockets out;
  for (const WorkerSockets& worker : of_workers) out.emplace_back(worker.begin(), worker.end());
  return out;
}

void LeavingSockets::add(SeenSockets sockets, bool held) {
  forget_closed();
  leaving_.push_back({std::move(sockets), held});
}

LeavingSockets::Found LeavingSockets::bound_as(const net::BindAddress& address) {
  forget_closed();
  for (const auto& [one, held] : leaving_) {
    std::vector<WorkerSockets> found(one.size());
    bool any = false;
    for (std::size_t worker = 0; worker < one.size(); ++worker) {
      for (const auto& socket : one[worker]) {
        auto open = socket.lock();
        if (open == nullptr || !is_bound_as(*open, address)) continue;
        found[worker].push_back(std::move(open));
        any = true;
      }
    }
    if (any) return {std::move(found), held};
  }
  return {};
}

bool LeavingSockets::hold_port(std::uint16_t port) const {
  return std::ranges::any_of(leaving_, [port](const Leaving& one) {
    return std::ranges::any_of(one.sockets, [port](const auto& worker) {
      return std::ranges::any_of(worker, [port](const auto& socket) {
        const auto open = socket.lock();
        return open != nullptr && net::local_address(open->get()).port() == port;
      });
    });
  });
}

void LeavingSockets::forget_closed() {
  std::erase_if(leaving_, [](const Leaving& one) {
    return std::ranges::all_of(one.sockets, [](const auto& worker) {
      return std::ranges::all_of(worker, [](const auto& socket) { return socket.expired(); });
    });
  });
}

}  // namespace revproxyd::app

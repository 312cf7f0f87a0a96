#include "app/sockets.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "app/build.h"
#include "app/logs.h"
#include "app/open_socket.h"
#include "revproxyd/base/log.h"
#include "revproxyd/net/listener.h"

namespace revproxyd::app {

namespace {

constexpr int kBacklog = 4096;
constexpr std::string_view kUnix = "unix:";

Error cannot_duplicate() { return Error(Code::system, "cannot duplicate a socket", errno); }

// Each worker may have one of its own: they all share one address and the option for that.
bool are_siblings(const std::vector<net::Descriptor>& sockets) {
  const net::Address first = net::local_address(sockets.front().get());
  return first.is_ip() && std::ranges::all_of(sockets, [&](const net::Descriptor& socket) {
           return reuses_port(socket) && net::local_address(socket.get()) == first;
         });
}

bool give(WorkerSockets& worker, const net::Descriptor& socket) {
  auto copy = duplicate(socket);
  if (copy == nullptr) return false;
  worker.push_back(std::move(copy));
  return true;
}

// Whether a socket that shares no port could not be bound to `wanted` beside ours. In doubt it
// could not.
bool collides(const net::Address& ours, const net::BindAddress& wanted) {
  if (!ours.is_ip() || ours.port() != wanted.port) return false;
  const auto other = net::Address::ip(wanted.host, wanted.port);
  return !other || other->is_any() || ours.is_any() || *other == ours;
}

// Empty for TCP, and for a name without a file.
std::string path_of(const std::string& where) {
  return where.starts_with("unix:/") ? where.substr(kUnix.size()) : std::string();
}

SocketFile file_of(const BoundAddress& bound) {
  std::string path = path_of(bound.where);
  return path.empty() ? SocketFile() : SocketFile(std::move(path), bound.inherited);
}

// The inherited sockets beside the new one: clients may come to either.
Result<BoundAddress> joined(const std::vector<net::Descriptor>& inherited, BoundAddress bound,
                            std::size_t workers) {
  for (const net::Descriptor& socket : inherited) {
    auto copy = duplicate(socket);
    if (copy == nullptr) return cannot_duplicate();
    bound.kept.push_back(std::move(*copy));
  }
  auto joint = share_out(std::move(bound.kept), workers);
  if (joint) joint->file = std::move(bound.file);
  return joint;
}

void describe(BoundAddress& bound) {
  const net::Address where = net::local_address(bound.kept.front().get());
  bound.where = where.text();
  bound.port = where.port();
}

bool is_among(const std::vector<net::Descriptor>& sockets, const net::Descriptor& one) {
  return std::ranges::any_of(
      sockets, [&](const net::Descriptor& other) { return same_socket(one.get(), other.get()); });
}

// Each worker goes on with what it has not closed yet.
Result<BoundAddress> taken_back(const LeavingSockets::Found& open) {
  BoundAddress bound;
  bound.held = open.held;
  bound.of_workers.resize(open.of_workers.size());
  for (std::size_t worker = 0; worker < open.of_workers.size(); ++worker) {
    for (const auto& socket : open.of_workers[worker]) {
      if (!give(bound.of_workers[worker], *socket)) return cannot_duplicate();
      if (is_among(bound.kept, *socket)) continue;
      auto copy = duplicate(*socket);
      if (copy == nullptr) return cannot_duplicate();
      bound.kept.push_back(std::move(*copy));
    }
  }
  const bool siblings = are_siblings(bound.kept);
  if (siblings) bound.sibling = address_of(bound.kept.front());
  for (WorkerSockets& worker : bound.of_workers) {
    if (worker.empty() && !siblings && !give(worker, bound.kept.front())) return cannot_duplicate();
  }
  describe(bound);
  return bound;
}

}  // namespace

Result<BoundAddress> bind_address(const net::BindAddress& address, std::size_t workers,
                                  bool alone) {
  std::vector<net::Descriptor> sockets;
  net::BindAddress wanted = address;
  const bool local = !address.path.empty();
  // Sockets that share their port would take connections from another process of ours without a
  // word; one that does not share it finds that process.
  if (alone && !local && wanted.port != 0) {
    if (auto probe = net::bind_listener(wanted, false, 0); !probe) return probe.error();
  }
  for (std::size_t i = 0; i < (local ? 1 : workers); ++i) {
    auto socket = net::bind_listener(wanted, !local, kBacklog);
    if (!socket) return socket.error();
    if (i == 0 && !local) wanted.port = net::local_address(socket->get()).port();
    sockets.push_back(std::move(*socket));
  }
  FreshSocketFile file =
      local && address.path.starts_with('/') ? FreshSocketFile(address.path) : FreshSocketFile();
  auto bound = share_out(std::move(sockets), workers);
  if (bound) bound->file = std::move(file);
  return bound;
}

Result<BoundAddress> share_out(std::vector<net::Descriptor> sockets, std::size_t workers) {
  BoundAddress bound;
  bound.of_workers.resize(workers);
  const bool siblings = are_siblings(sockets);
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    const bool own = siblings && i < workers;
    for (std::size_t worker = own ? i : 0; worker < (own ? i + 1 : workers); ++worker) {
      if (!give(bound.of_workers[worker], sockets[i])) return cannot_duplicate();
    }
  }
  if (siblings && sockets.size() < workers) bound.sibling = address_of(sockets.front());
  bound.kept = std::move(sockets);
  describe(bound);
  return bound;
}

void complete(BoundAddress& bound) {
  if (bound.sibling.text.empty()) return;
  for (WorkerSockets& worker : bound.of_workers) {
    if (!worker.empty()) continue;
    auto socket = net::bind_listener(bound.sibling, true, kBacklog);
    if (socket && give(worker, *socket)) {
      bound.kept.push_back(std::move(*socket));
      continue;
    }
    log::Line(log::Level::warn) << bound.where
                                << ": no further socket; a worker shares that of another";
    give(worker, bound.kept.front());
  }
  bound.sibling = {};
}

Result<BoundAddress> ListeningSockets::bind_one(const proxy::ListenerSettings& listener,
                                                const std::vector<proxy::ListenerSettings>& all,
                                                const Fresh& fresh) {
  if (const auto open = leaving_.bound_as(listener.address); !open.of_workers.empty())
    return taken_back(open);
  const bool own = inherited_.is_own(listener.address.path);
  auto inherited = inherited_.take(listener, all);
  if (inherited.empty()) {
    const auto same = [&](const auto& one) {
      return collides(net::local_address(one.second.kept.front().get()), listener.address);
    };
    const bool alone = std::ranges::none_of(open_, same) && std::ranges::none_of(fresh, same) &&
                       !inherited_.holds_port(listener.address.port) &&
                       !leaving_.hold_port(listener.address.port);
    return bind_address(listener.address, workers_, alone);
  }
  auto bound = share_out(std::move(inherited), workers_);
  if (!bound) return bound;
  bound->inherited = true;
  bound->held = !own;
  return bound;
}

// Ports that the kernel chooses are written into the settings before anything is compiled, for
// redirects name them. What has a port of its own is bound last, when nothing else can refuse the
// configuration: nobody connects to a listener that is then closed again.
bool ListeningSockets::bind(Settings& settings, Ports ports, Lost lost, Fresh& fresh,
                            std::string& problem) {
  for (auto& listener : settings.listeners) {
    const std::string identity = listener_identity(listener);
    const bool chosen = listener.address.path.empty() && listener.address.port == 0;
    if (fresh.contains(identity) || chosen != (ports == Ports::chosen)) continue;
    const auto known = open_.find(identity);
    if (known != open_.end() && (lost == Lost::left || !known->second.file.is_lost())) {
      if (listener.address.port == 0) listener.address.port = known->second.port;
      continue;
    }
    auto bound = bind_one(listener, settings.listeners, fresh);
    if (known != open_.end() && known->second.file.was_never_seen()) {
      if (bound) bound = joined(known->second.kept, std::move(*bound), workers_);
      if (!bound) {
        log::Line(log::Level::warn) << "listener " << listener.name << ": " << listener.address.text
                                    << ": " << bound.error() << "; the inherited socket stays";
        continue;
      }
    }
    if (!bound) {
      problem = "listener " + listener.name + ": " + listener.address.text + ": " +
                text_of(bound.error());
      return false;
    }
    if (listener.address.port == 0) listener.address.port = bound->port;
    fresh.emplace(identity, std::move(*bound));
  }
  return true;
}

void ListeningSockets::put_in_force(const std::vector<BuiltListener>& listeners, Fresh& fresh) {
  auto dropped = inherited_.drop_rest();
  if (!dropped.empty()) dropped_ = std::move(dropped);
  std::map<std::string, Open> now;
  for (const auto& listener : listeners) {
    const auto found = fresh.find(listener.identity);
    Open& one = now[listener.identity];
    if (found == fresh.end()) {
      one = std::move(open_[listener.identity]);
      continue;
    }
    BoundAddress& bound = found->second;
    bound.file.keep();
    complete(bound);
    one = Open{bound.where,    bound.port, std::move(bound.kept), seen(bound.of_workers),
               file_of(bound), bound.held};
    log::Line(log::Level::info) << "listener " << listener.settings->name << ": listening on "
                                << one.where;
  }
  for (auto& [identity, one] : open_) {
    if (now.contains(identity)) continue;
    if (!one.held) one.file.remove();
    leaving_.add(std::move(one.of_workers), one.held);
  }
  open_ = std::move(now);
}

void ListeningSockets::close() {
  for (const auto& [identity, one] : open_) {
    if (!one.held) left_.emplace_back(path_of(one.where));
  }
  open_.clear();
}

void ListeningSockets::look_for_files() {
  for (auto& [identity, one] : open_) {
    if (!one.file.is_newly_lost()) continue;
    log::Line(log::Level::warn) << one.where << ": "
                                << one.file.loss(
                                       "the file of the socket was removed, nobody can connect")
                                << "; a reload makes it anew";
  }
}

std::set<std::string> ListeningSockets::taken(const std::vector<std::string>& left) const {
  std::set<std::string> out;
  for (const auto& [identity, one] : open_) {
    if (!one.file.is_out_of_reach()) out.insert(identity);
  }
  for (const std::string& identity : left) out.erase(identity);
  return out;
}

std::vector<std::pair<std::string, int>> ListeningSockets::all() const {
  std::vector<std::pair<std::string, int>> out;
  for (const auto& [identity, one] : open_) {
    if (one.file.is_out_of_reach()) continue;
    const bool own = one.where.starts_with(kUnix) && !one.held && one.file.is_there();
    const std::string label = (own ? std::string(kOwnSocket) : std::string()) + identity;
    for (const net::Descriptor& socket : one.kept) out.emplace_back(label, socket.get());
  }
  return out;
}

}  // namespace revproxyd::app

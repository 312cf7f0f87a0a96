#include "app/inherited.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "app/sockets.h"
#include "revproxyd/base/log.h"
#include "revproxyd/net/listener.h"

namespace revproxyd::app {

namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START
constexpr int kMost = 4096;

bool is_listening_stream(int fd) noexcept {
  const auto option = [fd](int name) {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
  };
  return option(SO_TYPE) == SOCK_STREAM && option(SO_ACCEPTCONN) == 1;
}

std::optional<int> number_of(const char* text) {
  if (text == nullptr) return std::nullopt;
  const std::string_view digits(text);
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// The next of the names that stand between colons.
std::string next_name(std::string_view& names) {
  const std::size_t colon = names.find(':');
  std::string name(names.substr(0, colon));
  names = colon == std::string_view::npos ? std::string_view() : names.substr(colon + 1);
  return name;
}

bool is_bound_at(const net::Address& where, const std::string& path) {
  constexpr std::string_view kUnix = "unix:";
  const std::string text = where.text();
  return text.starts_with(kUnix) &&
         net::normal_path(text.substr(kUnix.size())) == net::normal_path(path);
}

bool is_bound_to(const net::Address& where, const net::BindAddress& wanted) {
  if (!wanted.path.empty()) return is_bound_at(where, wanted.path);
  if (!where.is_ip() || wanted.port == 0 || where.port() != wanted.port) return false;
  if (wanted.host.empty()) return where.is_any();
  const auto address = net::Address::ip(wanted.host, wanted.port);
  return address && *address == where;
}

// Its labels are identities, with a ':' in them; names in LISTEN_FDNAMES have none.
bool is_of_predecessor(const std::string& label) { return label.find(':') != std::string::npos; }

}  // namespace

void InheritedSockets::add(net::Descriptor socket, std::string label) {
  const int fd = socket.get();
  if (!is_listening_stream(fd)) {
    log::Line(log::Level::warn) << "inherited descriptor '" << log::escaped(label)
                                << "' is not a listening stream socket and is closed";
    return;
  }
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  const net::Address where = net::local_address(fd);
  const bool own = !where.is_ip() && label.starts_with(kOwnSocket);
  if (own) label.erase(0, kOwnSocket.size());
  sockets_.push_back({std::move(socket), std::move(label), where, own});
}

bool InheritedSockets::Socket::fits(const proxy::ListenerSettings& listener) const {
  if (label == listener_identity(listener)) return true;
  // Which families such a socket takes is part of its identity: "[::]:80" is not ":80".
  if (is_of_predecessor(label) && where.is_any()) return false;
  return is_bound_to(where, listener.address);
}

bool InheritedSockets::Socket::is_named(const proxy::ListenerSettings& listener) const {
  return label == listener.name && where.is_ip() == listener.address.path.empty();
}

std::vector<net::Descriptor> InheritedSockets::take(
    const proxy::ListenerSettings& listener, const std::vector<proxy::ListenerSettings>& all) {
  std::vector<net::Descriptor> taken;
  for (Socket& socket : sockets_) {
    const auto fits = [&](const auto& one) { return socket.fits(one); };
    const bool meant =
        socket.fits(listener) || (socket.is_named(listener) && std::ranges::none_of(all, fits));
    if (!meant) continue;
    const net::BindAddress& wanted = listener.address;
    const bool elsewhere = !is_bound_to(socket.where, wanted) &&
                           (wanted.port != 0 || !wanted.path.empty()) &&
                           socket.label != listener_identity(listener);
    if (elsewhere) {
      log::Line(log::Level::warn) << "listener " << listener.name
                                  << ": the inherited socket of this name is bound to "
                                  << socket.where.text() << " and not to " << wanted.text;
    }
    taken.push_back(std::move(socket.descriptor));
  }
  std::erase_if(sockets_, [](const Socket& socket) { return !socket.descriptor; });
  return taken;
}

InheritedAdmin InheritedSockets::take_admin(const std::string& path) {
  const auto found = std::ranges::find_if(
      sockets_, [&](const Socket& socket) { return is_bound_at(socket.where, path); });
  if (found == sockets_.end()) return {};
  InheritedAdmin taken{std::move(found->descriptor), found->label != kOwnAdmin};
  sockets_.erase(found);
  return taken;
}

bool InheritedSockets::is_own(const std::string& path) const {
  return std::ranges::any_of(sockets_, [&](const Socket& socket) {
    return socket.own && is_bound_at(socket.where, path);
  });
}

bool InheritedSockets::holds_port(std::uint16_t port) const {
  return std::ranges::any_of(sockets_, [port](const Socket& socket) {
    return socket.where.is_ip() && socket.where.port() == port;
  });
}

std::vector<std::string> InheritedSockets::drop_rest() {
  std::vector<std::string> labels;
  for (const Socket& socket : sockets_) {
    log::Line(log::Level::warn) << "inherited socket '" << log::escaped(socket.label) << "' at "
                                << socket.where.text()
                                << " fits no listener of the configuration and is closed";
    labels.push_back(socket.label);
  }
  sockets_.clear();
  return labels;
}

InheritedSockets sockets_of_service_manager() {
  InheritedSockets inherited;
  const auto count = number_of(std::getenv("LISTEN_FDS"));
  const auto pid = number_of(std::getenv("LISTEN_PID"));
  const char* given = std::getenv("LISTEN_FDNAMES");
  const std::string kept = given == nullptr ? "" : given;
  for (const char* name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}) ::unsetenv(name);
  if (!count || *count <= 0 || pid != ::getpid()) return inherited;
  std::string_view names(kept);
  for (int i = 0; i < std::min(*count, kMost); ++i)
    inherited.add(net::Descriptor(kFirst + i), next_name(names));
  return inherited;
}

}  // namespace revproxyd::app

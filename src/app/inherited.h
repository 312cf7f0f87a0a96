#pragma once
// Listening sockets that were open before this process began: from a service manager (socket
// activation, sd_listen_fds(3)) or from the process whose place this one takes.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "revproxyd/net/address.h"
#include "revproxyd/net/descriptor.h"
#include "revproxyd/proxy/settings.h"

namespace revproxyd::app {

/// What the admin socket is called in an upgrade: no listener can be called so. Binaries of before
/// said "admin:" of either. What is not known to be our own counts as held: a file that stays is in
/// nobody's way, and a manager is not asked whether it listens, which starts the service anew.
inline constexpr std::string_view kOwnAdmin = "admin:own";
inline constexpr std::string_view kHeldAdmin = "admin:held";

/// Before the label of a UNIX socket that the giver, or one whose place it has taken, has made
/// itself. Binaries of before look at the address then, and say it of none.
inline constexpr std::string_view kOwnSocket = "own:";

struct InheritedAdmin {
  net::Descriptor socket;
  bool held = false;  // by a service manager, which listens on when this process has ended
};

class InheritedSockets {
 public:
  /// Keeps `socket` if it is a listening stream socket; else says so in the log and closes it.
  /// `label` is what the giver calls it: a listener's identity, or FileDescriptorName=.
  void add(net::Descriptor socket, std::string label);

  /// Those that are meant for `listener`, one of `all`, no longer kept here: bound to its address,
  /// labelled with its identity, or with its name while they fit no other one so well. A service
  /// manager has one name for all sockets of a unit.
  std::vector<net::Descriptor> take(const proxy::ListenerSettings& listener,
                                    const std::vector<proxy::ListenerSettings>& all);
  /// That of the admin socket at `path`.
  InheritedAdmin take_admin(const std::string& path);

  /// That at `path` is held by nobody but processes of ours.
  bool is_own(const std::string& path) const;
  /// One of those that nobody has taken yet is bound to it.
  bool holds_port(std::uint16_t port) const;

  /// Closes what nobody has taken, with a warning for each; their labels.
  std::vector<std::string> drop_rest();
  bool empty() const noexcept { return sockets_.empty(); }

 private:
  struct Socket {
    net::Descriptor descriptor;
    std::string label;
    net::Address where;
    bool own = false;

    bool fits(const proxy::ListenerSettings& listener) const;
    bool is_named(const proxy::ListenerSettings& listener) const;
  };
  std::vector<Socket> sockets_;
};

/// Takes the descriptors that LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES announce to this process,
/// and the variables out of the environment. To be called once, before anything else is opened.
InheritedSockets sockets_of_service_manager();

}  // namespace revproxyd::app

#pragma once
// The listening sockets of the process: one a worker and address, open for as long as the address
// is configured.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "app/inherited.h"
#include "app/leaving.h"
#include "app/socket_file.h"
#include "revproxyd/app/settings.h"
#include "revproxyd/base/result.h"
#include "revproxyd/net/descriptor.h"
#include "revproxyd/net/settings.h"
#include "revproxyd/proxy/settings.h"

namespace revproxyd::app {

struct BuiltListener;

/// Sockets bound for one address.
struct BoundAddress {
  FreshSocketFile file;                   // goes after the sockets
  std::vector<net::Descriptor> kept;      // each of them once, for a successor of this process
  std::vector<WorkerSockets> of_workers;  // duplicates of them
  net::BindAddress sibling;  // where workers without a socket bind one; empty text: none is needed
  std::string where;         // what it is bound to, with the port that the kernel chose
  std::uint16_t port = 0;
  bool inherited = false;
  bool held = false;  // by a service manager, or who knows
};

/// Binds `address` for `workers` workers. Port 0 gives all of them the same port. A UNIX socket is
/// one for all. `alone`: nothing of this process listens on the address yet, so that whoever does
/// is another process, and an error.
Result<BoundAddress> bind_address(const net::BindAddress& address, std::size_t workers, bool alone);

/// Distributes sockets that are open already. With SO_REUSEPORT on all of them each worker gets its
/// own: if there are fewer, the rest is left to complete(); those that are too many, and all
/// without the option, are shared by all workers. None is closed, since that would reset what waits
/// in it.
Result<BoundAddress> share_out(std::vector<net::Descriptor> sockets, std::size_t workers);

/// Binds what share_out() has left. Last of all, right before the workers accept: from here on the
/// kernel gives the new sockets connections.
void complete(BoundAddress& bound);

/// What the process listens on; of the main thread.
class ListeningSockets {
 public:
  enum class Ports : std::uint8_t { chosen, fixed };   // by the kernel, by the configuration
  enum class Lost : std::uint8_t { made_anew, left };  // sockets whose file was removed
  using Fresh = std::map<std::string, BoundAddress>;   // by identity
  struct Open {
    std::string where;
    std::uint16_t port = 0;
    std::vector<net::Descriptor> kept;
    SeenSockets of_workers;
    SocketFile file;
    bool held = false;  // see BoundAddress: its file is not ours to remove
  };

  ListeningSockets(InheritedSockets inherited, std::size_t workers)
      : inherited_(std::move(inherited)), workers_(workers) {}

  /// Binds, or takes from what was inherited, what `settings` names and is not open yet, or cannot
  /// be reached any more since its file was removed, unless that is to be left. What workers have
  /// not closed yet is taken back. An inherited socket whose file was never seen here stays beside
  /// the new one, and alone if there can be none. Ports that the kernel chooses are written into
  /// the settings. False with `problem` on a failure.
  bool bind(Settings& settings, Ports ports, Lost lost, Fresh& fresh, std::string& problem);
  /// The inherited socket at the path of the admin socket.
  InheritedAdmin take_admin(const std::string& path) { return inherited_.take_admin(path); }
  /// `listeners` are all there are from now on; what is kept of others is closed here, before the
  /// workers close theirs, and files that lead to them go.
  void put_in_force(const std::vector<BuiltListener>& listeners, Fresh& fresh);
  /// Labels of inherited sockets that fit no listener when the first ones were put in force.
  const std::vector<std::string>& dropped() const noexcept { return dropped_; }
  /// Says of every UNIX socket once when its file is lost.
  void look_for_files();
  /// Identity and descriptor of all that is open, without those that nobody can reach for sure: a
  /// successor makes these anew.
  std::vector<std::pair<std::string, int>> all() const;
  const std::map<std::string, Open>& open() const noexcept { return open_; }
  /// Identities of what all() holds, without those that a successor has `left`.
  std::set<std::string> taken(const std::vector<std::string>& left) const;
  /// Closes all. Files to which nobody listens at the end of this object go then: a successor may
  /// have taken none, some or all.
  void close();

 private:
  Result<BoundAddress> bind_one(const proxy::ListenerSettings& listener,
                                const std::vector<proxy::ListenerSettings>& all,
                                const Fresh& fresh);

  InheritedSockets inherited_;
  LeavingSockets leaving_;
  std::size_t workers_;
  std::map<std::string, Open> open_;  // by identity
  std::vector<std::string> dropped_;
  std::vector<FreshSocketFile> left_;  // of those that were closed
};

}  // namespace revproxyd::app

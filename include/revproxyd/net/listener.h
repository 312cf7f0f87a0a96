#pragma once
// Listening sockets: binding them before the first accept, and taking connections from them on a
// worker.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "revproxyd/base/metrics.h"
#include "revproxyd/base/result.h"
#include "revproxyd/base/task.h"
#include "revproxyd/base/units.h"
#include "revproxyd/net/address.h"
#include "revproxyd/net/descriptor.h"
#include "revproxyd/net/readiness.h"
#include "revproxyd/net/settings.h"

namespace revproxyd::net {

class Poller;

/// Binds and listens, non-blocking and close-on-exec. An empty host is every interface: one IPv6
/// socket that takes IPv4 as well, or an IPv4 one where the machine has no IPv6; a host written as
/// IPv6 takes IPv6 only. Port 0 lets the kernel choose (see local_address). `reuse_port` lets
/// further sockets of this user bind the same port, one a worker; it has no meaning for UNIX
/// sockets. The file of a UNIX socket gets mode 0660; one that nobody listens on any more is
/// replaced, one in use and any other kind of file is an error. Errors have Code::system, a text
/// and errno. `backlog` is cut to the kernel's net.core.somaxconn.
Result<Descriptor> bind_listener(const BindAddress& where, bool reuse_port, int backlog);

/// What `fd` is bound to; of an accepted connection, the address that the client called. An empty
/// Address on failure.
Address local_address(int fd) noexcept;
/// The address that the socket is connected to; none when it is not.
Address peer_address(int fd) noexcept;

/// A connection fresh from the queue: non-blocking, close-on-exec, without Nagle's delay.
struct Accepted {
  Accepted(Descriptor connection, const Address& from) noexcept
      : socket(std::move(connection)), peer(from) {}
  Descriptor socket;
  Address peer;  // of a UNIX client usually without a path
};

struct Pending {
  std::vector<Accepted> connections;
  bool exhausted = false;  // descriptors or memory have run out, and others may wait
};

struct ListenerOptions {
  std::string name;                    // for the log
  bool spares = false;                 // leaves some descriptors for others: see Listener
  metrics::Counter* pauses = nullptr;  // counts the times when nothing could be accepted
};

/// Takes connections on the loop it was made on. Several workers may listen through duplicates of
/// one descriptor: each is woken and one gets the connection. With `spares` it stops before the
/// last descriptors of the process are taken, so that who has been accepted can have a connection
/// to a server, the log can be opened again and the daemon be asked how it is: an eighth of the
/// limit (RLIMIT_NOFILE), at most 512, of which connect() leaves a half, at most 64, in its turn.
class Listener {
 public:
  /// How long nothing is accepted after descriptors or memory ran out. Clients wait in the kernel's
  /// queue meanwhile.
  static constexpr std::chrono::milliseconds kExhaustedPause{100};

  /// Registers a listening, non-blocking socket with the current loop. Whoever else has the
  /// descriptor keeps it open beyond the listener's end.
  static Result<std::unique_ptr<Listener>> open(std::shared_ptr<const Descriptor> socket,
                                                ListenerOptions options = {});
  static Result<std::unique_ptr<Listener>> open(Descriptor socket, ListenerOptions options = {});
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// The next connection; one caller at a time. Ends with the reason of the scope, or with
  /// Code::system when the socket is beyond use. Connections that failed before they could be taken
  /// are passed over. Out of descriptors: pauses and tries again; the log says so, and when it goes
  /// on.
  Task<Result<Accepted>> accept();

  /// What waits in the kernel's queue now, at most `limit`. For the time before the descriptor is
  /// closed, since closing resets what is queued: call it on the loop, when no accept() is under
  /// way, until it returns nothing and is not exhausted. Out of descriptors: call it again after
  /// kExhaustedPause; the log says so, and when it goes on.
  Pending take_pending(std::size_t limit);

  /// Whether somebody waits in the kernel's queue.
  bool waited_for() const noexcept;

  int fd() const noexcept { return socket_->get(); }
  /// Pauses for want of descriptors or memory so far.
  std::uint64_t exhausted() const noexcept { return exhausted_; }
  /// Connections that were gone before they were taken.
  std::uint64_t aborted() const noexcept { return aborted_; }

 private:
  Listener(std::shared_ptr<const Descriptor> socket, Poller& poller,
           ListenerOptions options) noexcept;
  void run_short(int reason);
  void count_pause() noexcept;
  void look_again();

  std::shared_ptr<const Descriptor> socket_;
  Poller& poller_;
  ListenerOptions options_;
  Readiness readiness_;
  bool short_ = false;
  bool told_ = false;      // the log has it
  TimePoint next_told_{};  // the earliest time for the next line
  std::uint64_t exhausted_ = 0;
  std::uint64_t aborted_ = 0;
};

}  // namespace revproxyd::net

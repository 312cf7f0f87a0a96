#include "revproxyd/net/connect.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "net/socket_transport.h"
#include "net/spare_descriptors.h"
#include "revproxyd/base/deadline.h"
#include "revproxyd/base/event.h"
#include "revproxyd/base/task_group.h"
#include "revproxyd/net/descriptor.h"
#include "revproxyd/net/listener.h"

namespace revproxyd::net {

namespace {

using Connected = Result<std::unique_ptr<Transport>>;

/// A UNIX server with a full queue gives no event when there is room again.
constexpr std::chrono::milliseconds kFullQueuePause{10};

Error failure_of(int reason) noexcept {
  switch (reason) {
    case ECONNREFUSED:
    case ENOENT:  // the file of a UNIX socket: nobody listens there
      return Error(Code::refused, "connect", reason);
    case ECONNRESET:
    case EPIPE: return Error(Code::reset, "connect", reason);
    case ETIMEDOUT: return Error(Code::connect_timeout, "connect", reason);
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL: return Error(Code::system, "connect", reason);
    default: return Error(Code::unreachable, "connect", reason);
  }
}

/// No address of ours goes with the server's, as where IPv6 is off: the kernel says EADDRNOTAVAIL
/// for that as well as for a want of ports. Datagrams have ports of their own, and this sends none.
bool lacks_source(const Address& server) noexcept {
  const Descriptor socket(::socket(server.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return socket && ::connect(socket.get(), server.data(), server.size()) != 0 &&
         errno == EADDRNOTAVAIL;
}

/// A TCP socket that calls a free port of its own range may be given that very port and meet
/// itself: there is no server.
bool met_itself(int fd, const Address& server) noexcept {
  return server.is_ip() && local_address(fd) == server;
}

/// Without a socket errno says why.
Descriptor open_socket(const Address& server) noexcept {
  Descriptor socket(::socket(server.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket && is_spare(socket.get(), Taker::server)) {
    socket.reset();
    errno = EMFILE;
  }
  if (socket && server.is_ip()) {
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  return socket;
}

/// The outcome of a connection attempt that the kernel went on with by itself; 0 or errno.
int pending_error(int fd) noexcept {
  int reason = 0;
  socklen_t size = sizeof reason;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size) == 0 ? reason : errno;
}

Task<Connected> connect_one(const Address& server) {
  CancelScope* scope = co_await current_scope();
  if (scope != nullptr && scope->cancelled()) co_return Error(scope->reason(), "connect ended");
  Descriptor socket = open_socket(server);
  if (!socket) co_return failure_of(errno == EAFNOSUPPORT ? EHOSTUNREACH : errno);
  const int fd = socket.get();
  int reason = ::connect(fd, server.data(), server.size()) == 0 ? 0 : errno;
  while (reason == EAGAIN && !server.is_ip()) {
    auto slept = co_await Sleep(kFullQueuePause);
    if (slept != Code::none) co_return Error(slept, "server's queue is full");
    reason = ::connect(fd, server.data(), server.size()) == 0 ? 0 : errno;
  }
  if (reason == EADDRNOTAVAIL && lacks_source(server))
    co_return Error(Code::unreachable, "connect", reason);
  if (reason != 0 && reason != EINPROGRESS) co_return failure_of(reason);
  // Registered only now: a socket that is not connecting yet counts as hung up.
  auto made = make_socket_transport(socket.release(), reason == 0);
  if (!made || reason == 0) co_return made;
  auto code = co_await (*made)->readiness().wait(Want::write);
  if (code != Code::none) co_return Error(code, "connect ended");
  reason = pending_error(fd);
  if (reason == 0 && met_itself(fd, server)) reason = ECONNREFUSED;
  if (reason != 0) co_return failure_of(reason);
  co_return made;
}

/// By preference, but the families take turns, beginning with the first one's (RFC 8305 section 4).
class Order {
 public:
  explicit Order(std::span<const Address> addresses) noexcept
      : addresses_(addresses), family_(addresses.front().family()) {}

  /// Null when all have been given.
  const Address* next() noexcept {
    if (given_ == kAttempts) return nullptr;
    const bool own = given_ % 2 == 0;
    ++given_;
    const Address* found = take(own);
    return found != nullptr ? found : take(!own);
  }

 private:
  const Address* take(bool own) noexcept {
    std::size_t& position = own ? own_ : other_;
    while (position < addresses_.size()) {
      const Address& address = addresses_[position++];
      if ((address.family() == family_) == own) return &address;
    }
    return nullptr;
  }

  std::span<const Address> addresses_;
  int family_;
  std::size_t own_ = 0;    // how far the first family's addresses are used
  std::size_t other_ = 0;  // the same of all others
  std::size_t given_ = 0;
};

struct Race {
  explicit Race(CancelScope* scope) noexcept : attempts(scope), alarm(progress, &Event::set) {}

  void won(std::unique_ptr<Transport> transport) noexcept {
    if (winner != nullptr) return;  // two at once: the later one closes
    winner = std::move(transport);
    attempts.cancel(Code::cancelled);
    progress.set();
  }
  void lost(const Error& reason) noexcept {
    if (!error || error->code() == Code::unreachable) error = reason;
    progress.set();
  }

  TaskGroup attempts;
  Event progress;  // an attempt has ended, or it is time for another
  MemberTimer<Event> alarm;
  std::unique_ptr<Transport> winner;
  std::optional<Error> error;
};

Task<void> attempt(Race& race, const Address& server) {
  auto made = co_await connect_one(server);
  if (made) {
    race.won(std::move(*made));
  } else {
    race.lost(made.error());
  }
}

Task<Connected> connect_first(std::span<const Address> addresses) {
  CancelScope* scope = co_await current_scope();
  Race race(scope);
  Order order(addresses);
  Code ended = Code::none;
  bool more = true;
  while (ended == Code::none && race.winner == nullptr) {
    race.progress.clear();
    const Address* server = more ? order.next() : nullptr;
    more = server != nullptr;
    if (more) {
      race.alarm.arm(kAttemptDelay);
      race.attempts.spawn(attempt(race, *server));
    } else if (race.attempts.size() == 0) {
      break;
    }
    auto code = co_await race.progress.wait();
    ended = code;
  }
  race.attempts.cancel(ended == Code::none ? Code::cancelled : ended);
  co_await race.attempts.join();
  if (race.winner != nullptr) co_return std::move(race.winner);
  if (ended != Code::none) co_return Error(ended, "connect ended");
  co_return race.error ? *race.error : Error(Code::unreachable, "no address to connect to");
}

}  // namespace

Task<Result<std::unique_ptr<Transport>>> connect(std::span<const Address> addresses,
                                                 Duration limit) {
  if (addresses.empty()) co_return Error(Code::unreachable, "no address to connect to");
  CancelScope* parent = co_await current_scope();
  CancelScope scope(parent);
  Deadline deadline(scope);
  deadline.set(limit.count() > 0 ? limit : Duration(kLongestConnect), Code::connect_timeout);
  auto task = addresses.size() == 1 ? connect_one(addresses.front()) : connect_first(addresses);
  auto result = co_await std::move(task).under(scope);
  co_return result;
}

}  // namespace revproxyd::net

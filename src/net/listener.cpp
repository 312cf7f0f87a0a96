#include "revproxyd/net/listener.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "net/poller.h"
#include "net/spare_descriptors.h"
#include "revproxyd/base/log.h"
#include "revproxyd/net/loop.h"

namespace revproxyd::net {

namespace {

enum class Failure : std::uint8_t { none_waiting, passing, exhausted, fatal };

// Linux reports what befell a queued connection through accept(), so these say nothing of the
// listening socket (accept(2), "Error handling").
Failure kind_of(int code) noexcept {
  switch (code) {
    case EAGAIN: return Failure::none_waiting;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return Failure::exhausted;
    case EINTR:
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT: return Failure::passing;
    default: return Failure::fatal;
  }
}

// Lines of a listener that runs short again and again.
constexpr Duration kTellAgain{10000};

struct Taken {
  Descriptor socket;
  Address peer;
};

/// Without a socket errno says why.
Taken take(int fd) noexcept {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  Taken taken;
  taken.socket.reset(::accept4(fd, address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!taken.socket) return taken;
  taken.peer = Address(address, size);
  const int on = 1;
  if (taken.peer.is_ip())
    ::setsockopt(taken.socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return taken;
}

// By getsockname() or getpeername().
Address address_by(decltype(::getsockname)* ask, int fd) noexcept {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (ask(fd, address, &size) != 0) return Address();
  return Address(address, size);
}

}  // namespace

Address local_address(int fd) noexcept { return address_by(::getsockname, fd); }

Address peer_address(int fd) noexcept { return address_by(::getpeername, fd); }

Result<std::unique_ptr<Listener>> Listener::open(Descriptor socket, ListenerOptions options) {
  return open(std::make_shared<const Descriptor>(std::move(socket)), std::move(options));
}

Result<std::unique_ptr<Listener>> Listener::open(std::shared_ptr<const Descriptor> socket,
                                                 ListenerOptions options) {
  Poller& poller = Loop::current().poller();
  std::unique_ptr<Listener> listener(new Listener(std::move(socket), poller, std::move(options)));
  if (auto added = poller.add(listener->fd(), listener->readiness_); !added) return added.error();
  return listener;
}

Listener::Listener(std::shared_ptr<const Descriptor> socket, Poller& poller,
                   ListenerOptions options) noexcept
    : socket_(std::move(socket)), poller_(poller), options_(std::move(options)) {}

Listener::~Listener() { poller_.remove(fd(), readiness_); }

void Listener::run_short(int reason) {
  short_ = true;
  if (told_ || loop_now() < next_told_) return;
  told_ = true;
  next_told_ = loop_now() + kTellAgain;
  log::Line(log::Level::warn) << "listener " << options_.name << ": nobody is accepted for now: "
                              << std::generic_category().message(reason);
}

void Listener::count_pause() noexcept {
  ++exhausted_;
  if (options_.pauses != nullptr) options_.pauses->add();
}

// The kernel gives the lowest number that is free.
void Listener::look_again() {
  const Descriptor probe(::fcntl(fd(), F_DUPFD_CLOEXEC, 0));
  if (!probe || (options_.spares && is_spare(probe.get(), Taker::client))) return;
  short_ = false;
  if (!std::exchange(told_, false)) return;
  log::Line(log::Level::info) << "listener " << options_.name << ": accepting again";
}

Task<Result<Accepted>> Listener::accept() {
  for (;;) {
    if (short_) {
      count_pause();
      auto slept = co_await Sleep(kExhaustedPause);
      if (slept != Code::none) co_return Error(slept, "accept ended");
      look_again();
      if (short_) continue;
    }
    auto code = co_await readiness_.wait(Want::read);
    if (code != Code::none) co_return Error(code, "accept ended");
    Taken taken = take(fd());
    if (taken.socket) {
      if (options_.spares && is_spare(taken.socket.get(), Taker::client)) run_short(EMFILE);
      co_return Accepted(std::move(taken.socket), taken.peer);
    }
    const int reason = errno;
    switch (kind_of(reason)) {
      case Failure::none_waiting:
        readiness_.readable = false;
        // A listening socket that hung up would be ready for ever.
        if (readiness_.hangup)
          co_return Error(Code::system, "listening socket was shut down", reason);
        break;
      case Failure::passing: ++aborted_; break;
      case Failure::fatal: co_return Error(Code::system, "accept", reason);
      case Failure::exhausted: run_short(reason); break;
    }
  }
}

Pending Listener::take_pending(std::size_t limit) {
  Pending out;
  if (short_) look_again();
  while (!short_ && out.connections.size() < limit) {
    Taken taken = take(fd());
    if (taken.socket) {
      if (options_.spares && is_spare(taken.socket.get(), Taker::client)) run_short(EMFILE);
      out.connections.emplace_back(std::move(taken.socket), taken.peer);
      continue;
    }
    const int reason = errno;
    const Failure kind = kind_of(reason);
    if (kind == Failure::exhausted) run_short(reason);
    if (kind != Failure::passing) break;
  }
  out.exhausted = short_;
  if (short_) count_pause();
  return out;
}

bool Listener::waited_for() const noexcept {
  pollfd queue{fd(), POLLIN, 0};
  return ::poll(&queue, 1, 0) == 1 && (queue.revents & POLLIN) != 0;
}

}  // namespace revproxyd::net

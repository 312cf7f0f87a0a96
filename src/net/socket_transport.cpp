#include "net/socket_transport.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>

#include "revproxyd/net/loop.h"
#include "revproxyd/net/pipe.h"

namespace revproxyd::net {

namespace {

Error failure(const char* text) noexcept {
  switch (const int code = errno; code) {
    case ECONNRESET:
    case EPIPE:
    case ETIMEDOUT:  // the kernel gave up on a peer that no longer acknowledges, or learned that it
                     // cannot be reached
    case EHOSTUNREACH:
    case ENETUNREACH: return Error(Code::reset, text, code);
    default: return Error(Code::system, text, code);
  }
}

// One piece needs no list for the kernel to copy.
ssize_t send(int fd, std::span<const iovec> pieces) noexcept {
  if (pieces.size() == 1)
    return ::send(fd, pieces.front().iov_base, pieces.front().iov_len, MSG_NOSIGNAL);
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());  // NOLINT: the kernel does not write to it
  message.msg_iovlen = pieces.size() > IOV_MAX ? IOV_MAX : pieces.size();
  return ::sendmsg(fd, &message, MSG_NOSIGNAL);
}

}  // namespace

SocketTransport::~SocketTransport() {
  poller_.remove(fd_, readiness_);
  if (abort_) {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  ::close(fd_);
}

IoResult SocketTransport::try_read(MutableBytes into) noexcept {
  assert(!into.empty());  // recv() of nothing looks like the end
  if (!readiness_.readable && !readiness_.hangup) return IoResult::wants(Want::read);
  const ssize_t got = ::recv(fd_, into.data(), into.size(), 0);
  if (got > 0) {
    readiness_.after_read(into.size(), static_cast<std::size_t>(got));
    ReadyQueue::current().charge(static_cast<std::size_t>(got));
    return IoResult::moved(static_cast<std::size_t>(got));
  }
  return nothing_read(got);
}

IoResult SocketTransport::try_write(std::span<const iovec> pieces) noexcept {
  if (!readiness_.writable) return IoResult::wants(Want::write);
  const ssize_t sent = send(fd_, pieces);
  if (sent >= 0) {
    ReadyQueue::current().charge(static_cast<std::size_t>(sent));
    return IoResult::moved(static_cast<std::size_t>(sent));
  }
  if (errno == EAGAIN || errno == EINTR) {
    readiness_.writable = errno == EINTR;
    return IoResult::wants(Want::write);
  }
  return IoResult::failure(failure("send"));
}

// Short of `most` says nothing of what is left: the pipe counts pieces of the kernel's memory, not
// bytes. The pipe is empty, so that EAGAIN is about the socket.
IoResult SocketTransport::try_read_into(Pipe& pipe, std::size_t most) noexcept {
  assert(pipe.size() == 0 && most != 0);
  if (!readiness_.readable && !readiness_.hangup) return IoResult::wants(Want::read);
  const ssize_t got = ::splice(fd_, nullptr, pipe.entrance(), nullptr, std::min(most, Pipe::kSize),
                               SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (got > 0) {
    pipe.put_in(static_cast<std::size_t>(got));
    ReadyQueue::current().charge(static_cast<std::size_t>(got));
    return IoResult::moved(static_cast<std::size_t>(got));
  }
  return nothing_read(got);
}

IoResult SocketTransport::nothing_read(ssize_t got) noexcept {
  if (got == 0) return IoResult::ended();
  if (errno == EAGAIN || errno == EINTR) {
    readiness_.readable = errno == EINTR;
    // An end that cannot be read was none (an error that a write has taken, say); kept, it would
    // wake readers for ever. A true one is a new edge.
    if (errno == EAGAIN) readiness_.hangup = false;
    return IoResult::wants(Want::read);
  }
  return IoResult::failure(failure("recv"));
}

IoResult SocketTransport::try_write_from(Pipe& pipe) noexcept {
  if (!readiness_.writable) return IoResult::wants(Want::write);
  const ssize_t sent =
      ::splice(pipe.exit(), nullptr, fd_, nullptr, pipe.size(), SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (sent > 0) {
    pipe.took_out(static_cast<std::size_t>(sent));
    ReadyQueue::current().charge(static_cast<std::size_t>(sent));
    return IoResult::moved(static_cast<std::size_t>(sent));
  }
  if (sent < 0 && errno != EAGAIN && errno != EINTR) return IoResult::failure(failure("send"));
  readiness_.writable = sent < 0 && errno == EINTR;
  return IoResult::wants(Want::write);
}

IoResult SocketTransport::try_shutdown() noexcept {
  ::shutdown(fd_, SHUT_WR);
  return IoResult::moved(0);
}

Result<std::unique_ptr<Transport>> make_socket_transport(int fd) {
  return make_socket_transport(fd, true);
}

Result<std::unique_ptr<Transport>> make_socket_transport(int fd, bool connected) {
  Poller& poller = Loop::current().poller();
  auto transport = std::make_unique<SocketTransport>(fd, poller, connected);
  if (auto added = poller.add(fd, transport->readiness()); !added) return added.error();
  return std::unique_ptr<Transport>(std::move(transport));
}

}  // namespace revproxyd::net

#include "revproxyd/net/transport.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "revproxyd/base/limits.h"

namespace revproxyd::net {

namespace {

Error stopped(Code code) noexcept { return Error(code, "wait ended"); }

using Taking = IoResult (Transport::*)(MutableBytes) noexcept;

Task<Result<std::size_t>> take_some(Transport& transport, Taking taking, MutableBytes into) {
  for (;;) {
    // A stream that always has input never waits: its turn ends here.
    auto turn = co_await Fair{};
    if (turn != Code::none) co_return stopped(turn);
    const IoResult result = (transport.*taking)(into);
    if (result.status == IoStatus::done) co_return result.bytes;
    if (result.status == IoStatus::end) co_return std::size_t{0};
    if (result.status == IoStatus::failed) co_return result.error;
    auto code = co_await transport.readiness().wait_to_read(result.want());
    if (code != Code::none) co_return stopped(code);
  }
}

std::optional<std::size_t> queued(const Transport& transport, unsigned long which) noexcept {
  int bytes = 0;
  if (::ioctl(transport.fd(), which, &bytes) != 0) return std::nullopt;
  return static_cast<std::size_t>(bytes);
}

}  // namespace

IoResult Transport::try_read_into(Pipe&, std::size_t) noexcept {
  return IoResult::failure(Error(Code::internal, "a transport that does not splice"));
}

IoResult Transport::try_write_from(Pipe&) noexcept {
  return IoResult::failure(Error(Code::internal, "a transport that does not splice"));
}

Task<Result<std::size_t>> read_some(Transport& transport, MutableBytes into) {
  return take_some(transport, &Transport::try_read, into);
}

// All of a thread read over each other.
Task<Result<std::size_t>> discard_some(Transport& transport) {
  static thread_local std::array<char, limits::kGather> waste;
  return take_some(transport, &Transport::try_discard, waste);
}

Task<Result<void>> write_all(Transport& transport, std::span<iovec> pieces, Duration stall) {
  Readiness& readiness = transport.readiness();
  bool armed = false;    // the limit runs since the last step forward
  bool limited = false;  // it has been set at all
  pieces = drop_front(pieces, 0);
  while (!pieces.empty()) {
    const IoResult result = transport.try_write(pieces);
    if (result.status == IoStatus::failed) co_return result.error;
    if (result.status == IoStatus::end) co_return Error(Code::reset, "write after the end");
    if (result.status == IoStatus::done) {
      pieces = drop_front(pieces, result.bytes);
      armed = armed && result.bytes == 0;
      if (!pieces.empty() && ReadyQueue::current().spent()) {
        auto fair = co_await Fair{};
        if (fair != Code::none) co_return stopped(fair);
      }
      continue;
    }
    if (!armed) readiness.write_deadline(stall, Code::write_timeout);
    armed = limited = true;
    auto code = co_await readiness.wait_to_write(result.want());
    if (code != Code::none) co_return stopped(code);
  }
  if (limited) readiness.write_deadline(Duration::zero(), Code::none);
  co_return {};
}

Task<Result<void>> shutdown(Transport& transport) {
  for (;;) {
    const IoResult result = transport.try_shutdown();
    if (result.status == IoStatus::done || result.status == IoStatus::end) co_return {};
    if (result.status == IoStatus::failed) co_return result.error;
    auto code = co_await transport.readiness().wait_to_write(result.want());
    if (code != Code::none) co_return stopped(code);
  }
}

bool is_gone(const Transport& transport) noexcept {
  pollfd state{transport.fd(), 0, 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

IoResult peek(const Transport& transport, MutableBytes into) noexcept {
  ssize_t got = -1;
  do {
    got = ::recv(transport.fd(), into.data(), into.size(), MSG_PEEK);
  } while (got < 0 && errno == EINTR);
  if (got > 0) return IoResult::moved(static_cast<std::size_t>(got));
  if (got == 0) return IoResult::ended();
  if (errno == EAGAIN) return IoResult::wants(Want::read);
  return IoResult::failure(Error(Code::reset, "recv", errno));
}

std::optional<std::size_t> most_unread(const Transport& transport) noexcept {
  int queued = 0;
  if (::ioctl(transport.fd(), FIONREAD, &queued) != 0) return std::nullopt;
  return static_cast<std::size_t>(queued) + transport.most_held();
}

std::optional<std::size_t> unacknowledged(const Transport& transport) noexcept {
  return queued(transport, SIOCOUTQ);
}

std::optional<std::size_t> unsent(const Transport& transport) noexcept {
  return queued(transport, SIOCOUTQNSD);
}

void keep_unsent_short(const Transport& transport) noexcept {
  const int most = static_cast<int>(limits::kUnsent);
  ::setsockopt(transport.fd(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, sizeof most);
}

std::span<iovec> drop_front(std::span<iovec> pieces, std::size_t bytes) noexcept {
  while (!pieces.empty() && bytes >= pieces.front().iov_len) {
    bytes -= pieces.front().iov_len;
    pieces = pieces.subspan(1);
  }
  if (!pieces.empty() && bytes > 0) {
    pieces.front().iov_base = static_cast<char*>(pieces.front().iov_base) + bytes;
    pieces.front().iov_len -= bytes;
  }
  return pieces;
}

}  // namespace revproxyd::net

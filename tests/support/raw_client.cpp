#include "tests/support/raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace revproxyd::testing {

namespace {

constexpr int kSmallBuffer = 4096;

struct SocketPlan {
  std::string from;        // local address
  int receive_buffer = 0;  // 0 = the system's
};

sockaddr_in loopback(const std::string& address, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  ::inet_pton(AF_INET, address.c_str(), &out.sin_addr);
  return out;
}

int open_or_throw(int fd, const sockaddr* address, socklen_t size) {
  if (::connect(fd, address, size) == 0) return fd;
  const std::string problem = std::strerror(errno);
  ::close(fd);
  throw Disconnected("connect: " + problem);
}

int connect_tcp(std::uint16_t port, const SocketPlan& plan = {}) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (plan.receive_buffer != 0) {
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &plan.receive_buffer, sizeof plan.receive_buffer);
  }
  if (!plan.from.empty()) {
    const sockaddr_in local = loopback(plan.from, 0);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0) {
      ::close(fd);
      throw Disconnected("cannot bind to " + plan.from);
    }
  }
  const sockaddr_in to = loopback("127.0.0.1", port);
  return open_or_throw(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
}

}  // namespace

RawClient::RawClient(int fd) : stream_(std::make_unique<Stream>(fd)) {
  reader_ = std::make_unique<MessageReader>([stream = stream_.get()] { return stream->receive(); });
}

RawClient::RawClient(std::uint16_t port) : RawClient(connect_tcp(port)) {}

RawClient::RawClient(std::uint16_t port, const ClientTls& tls) : RawClient(port) {
  stream_->start_client_tls(tls);
}

RawClient RawClient::ipv6(std::uint16_t port) {
  const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(port);
  to.sin6_addr = in6addr_loopback;
  return RawClient(open_or_throw(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to));
}

RawClient RawClient::unix_socket(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  path.copy(to.sun_path, sizeof to.sun_path - 1);
  return RawClient(open_or_throw(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to));
}

RawClient RawClient::from(const std::string& address, std::uint16_t port) {
  return RawClient(connect_tcp(port, {address, 0}));
}

RawClient RawClient::slow_reader(std::uint16_t port) {
  return RawClient(connect_tcp(port, {"", kSmallBuffer}));
}

RawClient RawClient::tls_after(std::uint16_t port, std::string_view first, const ClientTls& tls) {
  RawClient client(port);
  client.send(first);
  client.stream_->start_client_tls(tls);
  return client;
}

RawClient& RawClient::send(std::string_view bytes) {
  stream_->send(bytes);
  return *this;
}

Response RawClient::get(std::string_view target, std::string_view more_fields) {
  send("GET " + std::string(target) + " HTTP/1.1\r\nHost: test\r\n" + std::string(more_fields) +
       "\r\n");
  return response();
}

bool RawClient::closes(Milliseconds patience) {
  if (reader_->has_buffered()) return false;
  stream_->set_patience(patience);
  try {
    return stream_->receive().empty();
  } catch (const Disconnected&) {
    return true;
  } catch (const TimedOut&) {
    return false;
  }
}

std::string RawClient::last_words(Milliseconds patience) {
  stream_->set_patience(patience);
  std::string out = reader_->take_buffered();
  try {
    for (std::string more = stream_->receive(); !more.empty(); more = stream_->receive())
      out += more;
  } catch (const Disconnected&) {
    // A reset is an end too.
  }
  return out;
}

bool RawClient::stays_quiet(Milliseconds duration) {
  return !reader_->has_buffered() && !stream_->readable(duration);
}

bool refuses(std::uint16_t port) {
  try {
    ::close(connect_tcp(port));
    return false;
  } catch (const Disconnected&) {
    return true;
  }
}

Response fetch(std::uint16_t port, std::string_view target, std::string_view more_fields) {
  RawClient client(port);
  return client.get(target, more_fields);
}

}  // namespace revproxyd::testing

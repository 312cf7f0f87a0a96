// The floor of compare.py: passes bytes between each client and a connection of its own to the
// origin, and looks at none of them. No proxy that reads what it forwards can be cheaper with the
// same system calls.
//   relay PORT ORIGIN_PORT [CERTIFICATE KEY]     (with the last two: TLS towards clients)

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include <openssl/ssl.h>

namespace {

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

sockaddr_in loopback(const char* port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int stream_socket() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int one = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

struct Pair;

/// What epoll hands back: one side of a pair, or, without a pair, the listener.
struct End {
  Pair* pair = nullptr;
  int fd = -1;
};

struct Pair {
  End client;
  End origin;
  SSL* ssl = nullptr;
  bool shaking = false;  // the handshake is not done
  bool over = false;     // one side has ended

  ~Pair() {
    SSL_free(ssl);
    ::close(client.fd);
    ::close(origin.fd);
  }
};

class Relay {
 public:
  Relay(const char* port, const char* origin, SSL_CTX* tls) : origin_(loopback(origin)), tls_(tls) {
    listener_.fd = stream_socket();
    const sockaddr_in address = loopback(port);
    if (::bind(listener_.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      fail("relay: cannot bind");
    if (::listen(listener_.fd, 1024) != 0) fail("relay: cannot listen");
    watch(listener_);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events{};
    for (;;) {
      const int count = ::epoll_wait(poller_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        End& end = *static_cast<End*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (end.pair == nullptr) {
          accept_one();
        } else if (!end.pair->over) {
          pass(end);
        }
      }
      over_.clear();  // not earlier: the batch may hold events of both sides
    }
  }

 private:
  void watch(End& end) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &end;
    ::epoll_ctl(poller_, EPOLL_CTL_ADD, end.fd, &event);
  }

  void accept_one() {
    const int fd = ::accept4(listener_.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    auto pair = std::make_unique<Pair>();
    pair->client = {pair.get(), fd};
    pair->origin = {pair.get(), stream_socket()};
    if (::connect(pair->origin.fd, reinterpret_cast<const sockaddr*>(&origin_), sizeof origin_) !=
        0)
      return;
    if (tls_ != nullptr) {
      pair->ssl = SSL_new(tls_);
      SSL_set_fd(pair->ssl, fd);
      SSL_set_accept_state(pair->ssl);
      pair->shaking = true;
    }
    watch(pair->client);
    watch(pair->origin);
    pair.release();  // NOLINT: epoll has it now, and pass() takes it back
  }

  void pass(End& end) {
    Pair& pair = *end.pair;
    pair.over = !(&end == &pair.client ? from_client(pair) : from_origin(pair));
    if (pair.over) over_.emplace_back(&pair);
  }

  bool from_client(Pair& pair) {
    if (pair.shaking) {
      const int done = SSL_do_handshake(pair.ssl);
      if (done != 1) return SSL_get_error(pair.ssl, done) == SSL_ERROR_WANT_READ;
      pair.shaking = false;
    }
    do {
      const ssize_t got = pair.ssl != nullptr
                              ? SSL_read(pair.ssl, room_.data(), static_cast<int>(room_.size()))
                              : ::recv(pair.client.fd, room_.data(), room_.size(), 0);
      if (got <= 0 && pair.ssl == nullptr) return got < 0 && errno == EAGAIN;
      if (got <= 0) return SSL_get_error(pair.ssl, static_cast<int>(got)) == SSL_ERROR_WANT_READ;
      if (!send_all(pair.origin.fd, got)) return false;
    } while (pair.ssl != nullptr && SSL_pending(pair.ssl) != 0);
    return true;
  }

  bool from_origin(Pair& pair) {
    const ssize_t got = ::recv(pair.origin.fd, room_.data(), room_.size(), MSG_DONTWAIT);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    if (pair.ssl == nullptr) return send_all(pair.client.fd, got);
    for (;;) {
      const int sent = SSL_write(pair.ssl, room_.data(), static_cast<int>(got));
      if (sent > 0) return true;
      if (SSL_get_error(pair.ssl, sent) != SSL_ERROR_WANT_WRITE || !wait_writable(pair.client.fd))
        return false;
    }
  }

  // A full socket is waited for: with one answer of 1 KiB at a time it never is.
  bool send_all(int fd, ssize_t size) {
    for (ssize_t at = 0; at < size;) {
      const ssize_t sent =
          ::send(fd, room_.data() + at, static_cast<std::size_t>(size - at), MSG_NOSIGNAL);
      if (sent > 0) at += sent;
      if (sent <= 0 && (errno != EAGAIN || !wait_writable(fd))) return false;
    }
    return true;
  }

  static bool wait_writable(int fd) {
    pollfd wanted{fd, POLLOUT, 0};
    return ::poll(&wanted, 1, 5000) == 1;
  }

  int poller_ = ::epoll_create1(EPOLL_CLOEXEC);
  End listener_;
  sockaddr_in origin_;
  SSL_CTX* tls_;
  std::vector<std::unique_ptr<Pair>> over_;
  std::array<char, 16 * 1024> room_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 5) {
    std::fputs("usage: relay PORT ORIGIN_PORT [CERTIFICATE KEY]\n", stderr);
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  SSL_CTX* tls = nullptr;
  if (argc == 5) {
    tls = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(tls, argv[3]) != 1) fail("relay: bad certificate");
    if (SSL_CTX_use_PrivateKey_file(tls, argv[4], SSL_FILETYPE_PEM) != 1) fail("relay: bad key");
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
  }
  auto relay = std::make_unique<Relay>(argv[1], argv[2], tls);
  relay->run();
}

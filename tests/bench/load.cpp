// The load generator of compare.py: keeps CONNECTIONS to PORT of the loopback address busy, each
// with one request at a time, and checks every answer: 200, a Content-Length of 1024, and the body
// that the origin sends.
//   load PORT CONNECTIONS WARMUP_SECONDS SECONDS plain|tls
// Opens all connections, warms up, waits until nothing is under way, says "ready" and waits for a
// line on standard input. Then it measures, waits again until nothing is under way, and says "COUNT
// SECONDS". Ends with 1 at the first wrong answer.

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <openssl/ssl.h>

namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr std::string_view kRequest =
    "GET /1k HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: "
    "identity\r\n\r\n";
constexpr std::size_t kBody = 1024;
constexpr Seconds kPatience{10};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "load: %s\n", what.c_str());
  std::exit(1);
}

std::string make_body() {
  std::string body;
  for (std::size_t i = 0; i < kBody; ++i) body += "benchmark "[i % 10];
  return body;
}

/// One connection and the answer that it waits for.
class Connection {
 public:
  Connection(std::uint16_t port, SSL_CTX* tls)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      fail("cannot connect");
    const int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (tls != nullptr) {
      ssl_ = SSL_new(tls);
      SSL_set_fd(ssl_, fd_);
      // What SSL_set_tlsext_host_name() is, without the cast in the macro.
      SSL_ctrl(ssl_, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, host_.data());
      if (SSL_connect(ssl_) != 1) fail("the TLS handshake failed");
    }
    ::fcntl(fd_, F_SETFL, O_NONBLOCK);
  }

  int fd() const noexcept { return fd_; }

  void ask() {
    waiting_ = true;
    in_.clear();
    const auto size = static_cast<int>(kRequest.size());
    const ssize_t sent = ssl_ != nullptr
                             ? SSL_write(ssl_, kRequest.data(), size)
                             : ::send(fd_, kRequest.data(), kRequest.size(), MSG_NOSIGNAL);
    if (sent != size) fail("cannot send a request");
  }

  /// Takes what has come. True when that completed the answer.
  bool take() {
    for (;;) {
      const ssize_t got = receive();
      if (got < 0) break;
      if (got == 0)
        fail(waiting_ ? "a connection was closed before its answer" : "a connection was closed");
      in_.append(room_.data(), static_cast<std::size_t>(got));
      // Short: there is no more, and the call that would say so is saved.
      if (ssl_ == nullptr && static_cast<std::size_t>(got) < room_.size()) break;
    }
    if (in_.empty()) return false;
    if (!waiting_) fail("bytes that nobody asked for");
    if (!complete()) return false;
    waiting_ = false;
    return true;
  }

 private:
  /// Negative when nothing is there.
  ssize_t receive() {
    if (ssl_ == nullptr) {
      const ssize_t got = ::recv(fd_, room_.data(), room_.size(), 0);
      if (got < 0 && errno != EAGAIN)
        fail(std::string("a connection broke: ") + std::strerror(errno));
      return got;
    }
    const int got = SSL_read(ssl_, room_.data(), static_cast<int>(room_.size()));
    if (got > 0) return got;
    const int reason = SSL_get_error(ssl_, got);
    if (reason == SSL_ERROR_WANT_READ) return -1;
    if (reason == SSL_ERROR_ZERO_RETURN) return 0;
    fail("a TLS connection broke");
  }

  bool complete() const {
    const std::string_view text(in_);
    const std::size_t end = text.find("\r\n\r\n");
    if (end == std::string_view::npos) return false;
    const std::string_view head = text.substr(0, end + 2);
    if (!head.starts_with("HTTP/1.1 200 "))
      fail("an answer is no 200: " + std::string(head.substr(0, head.find('\r'))));
    if (length_in(head) != kBody) fail("an answer has another length: " + std::string(head));
    const std::string_view body = text.substr(end + 4);
    if (body.size() > kBody) fail("an answer is longer than it says");
    if (body.size() < kBody) return false;
    if (body != body_) fail("an answer has another body");
    return true;
  }

  static std::size_t length_in(std::string_view head) {
    constexpr std::string_view kName = "\r\ncontent-length:";
    for (std::size_t at = head.find("\r\n"); at != std::string_view::npos;
         at = head.find("\r\n", at + 2)) {
      const std::string_view line = head.substr(at);
      if (line.size() <= kName.size() ||
          ::strncasecmp(line.data(), kName.data(), kName.size()) != 0)
        continue;
      std::string_view value = line.substr(kName.size());
      while (value.starts_with(' ')) value.remove_prefix(1);
      std::size_t length = 0;
      std::from_chars(value.data(), value.data() + value.size(), length);
      return length;
    }
    return 0;
  }

  static std::array<char, 16 * 1024> room_;
  static const std::string body_;
  static std::string host_;
  int fd_;
  SSL* ssl_ = nullptr;
  bool waiting_ = false;
  std::string in_;
};

std::array<char, 16 * 1024> Connection::room_;
const std::string Connection::body_ = make_body();
std::string Connection::host_ = "bench.test";

class Load {
 public:
  Load(std::uint16_t port, std::size_t connections, SSL_CTX* tls) {
    connections_.reserve(connections);
    for (std::size_t i = 0; i < connections; ++i) {
      connections_.emplace_back(port, tls);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = i;
      ::epoll_ctl(poller_, EPOLL_CTL_ADD, connections_.back().fd(), &event);
    }
  }

  /// Every connection busy for that long, then until the last answer has come. The number of
  /// answers.
  std::uint64_t run(Seconds time) {
    const auto end = Clock::now() + time;
    std::uint64_t answers = 0;
    for (Connection& connection : connections_) connection.ask();
    std::size_t busy = connections_.size();
    std::array<epoll_event, 256> events{};
    while (busy != 0) {
      const int count = ::epoll_wait(poller_, events.data(), static_cast<int>(events.size()), 1000);
      const auto now = Clock::now();
      if (count == 0 && now > end + kPatience) fail("an answer does not come");
      for (int i = 0; i < count; ++i) {
        Connection& connection = connections_[events[static_cast<std::size_t>(i)].data.u64];
        if (!connection.take()) continue;
        ++answers;
        if (now < end) {
          connection.ask();
        } else {
          --busy;
        }
      }
    }
    return answers;
  }

 private:
  int poller_ = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<Connection> connections_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fputs("usage: load PORT CONNECTIONS WARMUP_SECONDS SECONDS plain|tls\n", stderr);
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  SSL_CTX* tls = std::string_view(argv[5]) == "tls" ? SSL_CTX_new(TLS_client_method()) : nullptr;
  Load load(static_cast<std::uint16_t>(std::atoi(argv[1])),
            static_cast<std::size_t>(std::atoi(argv[2])), tls);
  load.run(Seconds(std::atof(argv[3])));
  std::puts("ready");
  std::fflush(stdout);
  if (std::getchar() == EOF) return 1;
  const auto begun = Clock::now();
  const std::uint64_t answers = load.run(Seconds(std::atof(argv[4])));
  std::printf("%llu %.6f\n", static_cast<unsigned long long>(answers),
              Seconds(Clock::now() - begun).count());
  return 0;
}

// The origin of compare.py: answers each request head on PORT of the loopback address with the same
// 1 KiB. Knows nothing of HTTP but the empty line at the end of a head, so that it costs as little
// as an origin can.
//   origin PORT

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <unordered_map>

namespace {

constexpr std::size_t kBody = 1024;
constexpr std::string_view kHeadEnd = "\r\n\r\n";

std::string make_answer() {
  std::string answer =
      "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: " +
      std::to_string(kBody) + "\r\n\r\n";
  for (std::size_t i = 0; i < kBody; ++i) answer += "benchmark "[i % 10];
  return answer;
}

struct Connection {
  std::string unread;  // the beginning of a head
  std::string unwritten;
  bool full = false;  // the kernel takes no more for now
};

class Origin {
 public:
  explicit Origin(std::uint16_t port) : answer_(make_answer()) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int one = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto* where = reinterpret_cast<const sockaddr*>(&address);
    if (::bind(listener_, where, sizeof address) != 0 || ::listen(listener_, 1024) != 0) {
      std::perror("origin: cannot listen");
      std::exit(1);
    }
    watch(EPOLL_CTL_ADD, listener_, EPOLLIN);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events{};
    for (;;) {
      const int count = ::epoll_wait(poller_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.fd == listener_) {
          accept_all();
        } else {
          serve(event.data.fd);
        }
      }
    }
  }

 private:
  void watch(int operation, int fd, std::uint32_t wanted) const {
    epoll_event event{};
    event.events = wanted;
    event.data.fd = fd;
    ::epoll_ctl(poller_, operation, fd, &event);
  }

  void accept_all() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int one = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      connections_.try_emplace(fd);
      watch(EPOLL_CTL_ADD, fd, EPOLLIN);
    }
  }

  void serve(int fd) {
    Connection& connection = connections_[fd];
    std::array<char, 16 * 1024> room;
    const ssize_t got = ::read(fd, room.data(), room.size());
    if (got < 0 && errno == EAGAIN) return flush(fd, connection);
    if (got <= 0) return drop(fd);
    connection.unread.append(room.data(), static_cast<std::size_t>(got));
    std::size_t begin = 0;
    for (std::size_t end = 0;
         (end = connection.unread.find(kHeadEnd, begin)) != std::string::npos;) {
      begin = end + kHeadEnd.size();
      connection.unwritten += answer_;
    }
    connection.unread.erase(0, begin);
    flush(fd, connection);
  }

  void flush(int fd, Connection& connection) {
    if (connection.unwritten.empty()) return;
    const ssize_t sent =
        ::send(fd, connection.unwritten.data(), connection.unwritten.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return drop(fd);
    if (sent > 0) connection.unwritten.erase(0, static_cast<std::size_t>(sent));
    const bool full = !connection.unwritten.empty();
    if (full != connection.full) watch(EPOLL_CTL_MOD, fd, full ? EPOLLIN | EPOLLOUT : EPOLLIN);
    connection.full = full;
  }

  void drop(int fd) {
    connections_.erase(fd);
    ::close(fd);
  }

  std::string answer_;
  int poller_ = ::epoll_create1(EPOLL_CLOEXEC);
  int listener_ = -1;
  std::unordered_map<int, Connection> connections_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: origin PORT\n", stderr);
    return 2;
  }
  Origin(static_cast<std::uint16_t>(std::atoi(argv[1]))).run();
}

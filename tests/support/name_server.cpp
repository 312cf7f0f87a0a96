#include "tests/support/name_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <stdexcept>
#include <utility>

namespace revproxyd::testing {

namespace {

constexpr std::size_t kHeader = 12;
constexpr std::uint16_t kPort = 53;

std::string two(std::size_t value) {
  return {static_cast<char>(value >> 8 & 0xff), static_cast<char>(value & 0xff)};
}

// The head of an answer to `query`, with its question. `flags` are those beside the one that says
// that it is an answer.
std::string begin_answer(const NameQuery& query, std::uint16_t flags, std::size_t records) {
  return query.bytes.substr(0, 2) + two(0x8180U | flags) + two(1) + two(records) + two(0) + two(0) +
         std::string(query.question());
}

int open_socket(int type) {
  const int socket = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(kPort);
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error("no port for a name server");
  return socket;
}

}  // namespace

std::string_view NameQuery::question() const noexcept {
  std::size_t end = kHeader;
  while (end < bytes.size() && bytes[end] != 0) end += static_cast<std::uint8_t>(bytes[end]) + 1U;
  return std::string_view(bytes).substr(kHeader, end + 5 - kHeader);
}

std::string NameQuery::answer(const std::vector<std::string>& addresses, std::uint32_t ttl) const {
  std::string out = begin_answer(*this, 0, type == kA ? addresses.size() : 0);
  if (type != kA) return out;
  for (const std::string& text : addresses) {
    in_addr address{};
    ::inet_pton(AF_INET, text.c_str(), &address);
    out += two(0xc000U | kHeader) + two(kA) + two(1) + two(ttl >> 16) + two(ttl & 0xffff) + two(4);
    out.append(reinterpret_cast<const char*>(&address), sizeof address);
  }
  return out;
}

std::string NameQuery::failure(std::uint8_t code) const { return begin_answer(*this, code, 0); }

std::string NameQuery::truncated() const { return begin_answer(*this, 0x0200, 0); }

NameServer::NameServer(NameScript script)
    : udp_(open_socket(SOCK_DGRAM)), tcp_(open_socket(SOCK_STREAM)), script_(std::move(script)) {
  ::listen(tcp_, 16);
  thread_ = std::thread([this] { run(); });
}

NameServer::~NameServer() {
  stopping_ = true;
  ::shutdown(tcp_, SHUT_RDWR);
  thread_.join();
  ::close(udp_);
  ::close(tcp_);
}

void NameServer::set_script(NameScript script) {
  const std::lock_guard lock(mutex_);
  script_ = std::move(script);
}

void NameServer::run() {
  while (!stopping_) {
    std::array<pollfd, 2> sockets{pollfd{udp_, POLLIN, 0}, pollfd{tcp_, POLLIN, 0}};
    ::poll(sockets.data(), sockets.size(), -1);
    if (stopping_) return;
    if ((sockets[0].revents & POLLIN) != 0) answer_datagram();
    if ((sockets[1].revents & POLLIN) != 0) answer_connection();
  }
}

void NameServer::answer_datagram() {
  std::array<char, 2048> room{};
  sockaddr_in from{};
  socklen_t size = sizeof from;
  auto* address = reinterpret_cast<sockaddr*>(&from);
  const ssize_t got = ::recvfrom(udp_, room.data(), room.size(), 0, address, &size);
  if (got < static_cast<ssize_t>(kHeader)) return;
  const std::string reply = reply_to({room.data(), static_cast<std::size_t>(got)}, false);
  if (!reply.empty()) ::sendto(udp_, reply.data(), reply.size(), 0, address, size);
}

// One query a connection.
void NameServer::answer_connection() {
  const int socket = ::accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
  if (socket < 0) return;
  const timeval patience{2, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  std::array<char, 2048> room{};
  std::string got;
  std::size_t wanted = 2;
  while (got.size() < wanted) {
    const ssize_t more = ::recv(socket, room.data(), room.size(), 0);
    if (more <= 0) break;
    got.append(room.data(), static_cast<std::size_t>(more));
    if (got.size() >= 2)
      wanted = 2 + (std::size_t{static_cast<std::uint8_t>(got[0])} << 8 |
                    static_cast<std::uint8_t>(got[1]));
  }
  if (got.size() >= wanted && wanted > kHeader) {
    const std::string reply = reply_to(got.substr(2, wanted - 2), true);
    const std::string framed = two(reply.size()) + reply;
    ::send(socket, framed.data(), framed.size(), MSG_NOSIGNAL);
  }
  ::close(socket);
}

std::string NameServer::reply_to(std::string bytes, bool tcp) {
  ++queries_;
  NameQuery query;
  query.bytes = std::move(bytes);
  query.tcp = tcp;
  const std::string_view question = query.question();
  if (question.size() < 6) return {};
  for (std::size_t at = 0; at < question.size() && question[at] != 0;) {
    const auto length = static_cast<std::uint8_t>(question[at]);
    if (!query.name.empty()) query.name += '.';
    query.name += question.substr(at + 1, length);
    at += length + 1U;
  }
  for (char& c : query.name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  query.type =
      static_cast<std::uint16_t>(static_cast<std::uint8_t>(question[question.size() - 4]) << 8 |
                                 static_cast<std::uint8_t>(question[question.size() - 3]));
  const std::lock_guard lock(mutex_);
  return script_(query);
}

}  // namespace revproxyd::testing

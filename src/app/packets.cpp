#include "app/packets.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace revproxyd::app {

namespace {

constexpr std::size_t kControlBytes = CMSG_SPACE(kPacketSockets * sizeof(int));

struct alignas(cmsghdr) Control {
  std::array<char, kControlBytes> bytes{};
};

std::vector<net::Descriptor> take_descriptors(msghdr& message) {
  std::vector<net::Descriptor> taken;
  for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
    if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (one->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(one) + i * sizeof(int), sizeof fd);
      taken.emplace_back(fd);
    }
  }
  return taken;
}

}  // namespace

Result<void> send_packet(int socket, std::string_view text,
                         std::span<const int> descriptors) noexcept {
  if (descriptors.size() > kPacketSockets)
    return Error(Code::internal, "too many descriptors for one message");
  text = text.substr(0, kPacketBytes);
  iovec piece{const_cast<char*>(text.data()), text.size()};  // NOLINT: iovec is not const-correct
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  Control control;
  if (!descriptors.empty()) {
    const std::size_t bytes = descriptors.size_bytes();
    message.msg_control = control.bytes.data();
    message.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(head), descriptors.data(), bytes);
  }
  ssize_t sent = -1;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return Error(Code::system, "cannot send", errno);
  return {};
}

Result<Packet> receive_packet(int socket) {
  Packet packet;
  packet.text.resize(kPacketBytes);
  iovec piece{packet.text.data(), packet.text.size()};
  Control control;
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  ssize_t got = -1;
  do {
    got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return Error(Code::system, "cannot receive", errno);
  packet.sockets = take_descriptors(message);
  if (got == 0) return Error(Code::end_of_stream, "the other side has gone");
  if ((message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0)
    return Error(Code::system, "a message was cut short", EMSGSIZE);
  packet.text.resize(static_cast<std::size_t>(got));
  return packet;
}

}  // namespace revproxyd::app

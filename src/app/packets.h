#pragma once
// Messages with descriptors over a local socket that keeps messages apart (SOCK_SEQPACKET).

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "revproxyd/base/result.h"
#include "revproxyd/net/descriptor.h"

namespace revproxyd::app {

/// What one message may carry.
inline constexpr std::size_t kPacketBytes = 64 * 1024;
inline constexpr std::size_t kPacketSockets = 64;

struct Packet {
  std::string text;
  std::vector<net::Descriptor> sockets;
};

/// Sends one message, cut to kPacketBytes. The descriptors stay the caller's.
Result<void> send_packet(int socket, std::string_view text,
                         std::span<const int> descriptors = {}) noexcept;

/// The next message; waits for it where the socket does. Code::end_of_stream when the other side
/// has gone, Code::system with errno otherwise.
Result<Packet> receive_packet(int socket);

}  // namespace revproxyd::app

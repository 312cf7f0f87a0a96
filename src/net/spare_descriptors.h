#pragma once
// The last descriptors below the limit of the process (RLIMIT_NOFILE), which not everybody may
// take.

#include <cstdint>

namespace revproxyd::net {

/// Clients have to stop before connections to servers do, for who has been accepted is to be
/// served; and both before the rest, which keeps the process in hand: `ctl`, a reload, logs that
/// are opened again, an upgrade.
enum class Taker : std::uint8_t { client, server };

/// What is left by each: an eighth of the limit, and a half of that, at most these.
inline constexpr int kSparedByClients = 512;
inline constexpr int kSparedByServers = 64;

/// Whether `fd`, fresh from the kernel, which gives the lowest number that is free, is one that
/// `taker` has to leave. The limit is looked up, since it can be changed while we run (prlimit(1)).
bool is_spare(int fd, Taker taker) noexcept;

}  // namespace revproxyd::net

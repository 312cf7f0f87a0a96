#pragma once
// limits.memory: whether new requests are refused for it.

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace revproxyd::app {

/// Looks at what the process holds, and sets `shedding` while that is more than `limit`; 0 is no
/// limit. What was freed is given back to the system meanwhile. Called now and then.
void watch_memory(std::uint64_t limit, std::atomic<bool>& shedding);

/// Has the allocator give back to the system what it does not use when `freed`, which is counted
/// anew then, says that it is worth the while: after a crowd of clients has left. Called now and
/// then.
void give_back(std::atomic<std::size_t>& freed);

}  // namespace revproxyd::app

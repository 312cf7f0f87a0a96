#pragma once
// limits.memory: whether new requests are refused for it.

#include <atomic>
#include <cstdint>

namespace revproxyd::app {

/// Looks at what the process holds, and sets `shedding` while that is more than `limit`; 0 is no
/// limit. What was freed is given back to the system meanwhile. Called now and then.
void watch_memory(std::uint64_t limit, std::atomic<bool>& shedding);

}  // namespace revproxyd::app

#pragma once
// limits.memory: whether new requests are refused for it; and memory that goes back to the system.

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace revproxyd::app {

/// Looks at what the process holds, and sets `shedding` while that is more than `limit`; 0 is no
/// limit. What was freed is given back to the system meanwhile. Called now and then.
void watch_memory(std::uint64_t limit, std::atomic<bool>& shedding);

/// What threads have freed and the allocator still holds, after a crowd of clients has left.
class FreedMemory {
 public:
  /// By any thread.
  void add(std::size_t bytes) noexcept { bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  /// Has the allocator give it back to the system once no more comes and it is worth the while. By
  /// one thread, once a second.
  void give_back() noexcept;

 private:
  std::atomic<std::size_t> bytes_{0};
  std::size_t seen_ = 0;  // a second ago
};

}  // namespace revproxyd::app

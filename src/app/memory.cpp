#include "app/memory.h"

#include <malloc.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <utility>

#include "revproxyd/base/log.h"

namespace revproxyd::app {

namespace {

// Some hundreds of connections. The allocator is locked while it looks for free pages, so that it
// is asked once for all that is freed within some seconds, unless that is much.
constexpr std::size_t kWorthLooking = 256 * 1024;
constexpr std::size_t kMostHeld = 64 * 1024 * 1024;

// Nothing when it cannot be read, for want of a descriptor perhaps.
std::optional<std::uint64_t> resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  if (!(file >> total >> resident)) return std::nullopt;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

void watch_memory(std::uint64_t limit, std::atomic<bool>& shedding) {
  const auto resident = limit == 0 ? std::optional<std::uint64_t>(0) : resident_bytes();
  if (!resident) return;
  const bool over = limit != 0 && *resident > limit;
  // What was freed is the allocator's until it is asked for; it must not keep clients out for good.
  if (over) ::malloc_trim(0);
  if (over == shedding.load(std::memory_order_relaxed)) return;
  shedding.store(over, std::memory_order_relaxed);
  log::warn(over ? "limits.memory is exceeded: new requests are refused"
                 : "memory is below limits.memory again");
}

void FreedMemory::give_back() noexcept {
  const std::size_t bytes = bytes_.load(std::memory_order_relaxed);
  const bool growing = bytes != std::exchange(seen_, bytes);
  if (bytes < kWorthLooking || (growing && bytes < kMostHeld)) return;
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  seen_ = 0;
  ::malloc_trim(0);
}

}  // namespace revproxyd::app

#pragma once
// Whose keys are whose: a table of slots that is filled once for a set of servers (Eisenbud et al.,
// Maglev, NSDI 2016, section 3.4) and then asked in constant time.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace revproxyd::upstream {

/// Immutable; shared by all workers of an upstream. The same servers with the same weights make the
/// same table in every process, whatever their order.
class MaglevTable {
 public:
  struct Server {
    std::uint64_t url_hash;
    std::uint32_t weight;  // 0: owns nothing (a backup)
  };

  /// A prime, so that any step visits every slot; the same for any number of servers, because
  /// another size would move nearly all keys.
  static constexpr std::uint64_t kSlots = 65537;
  /// Servers that a table may have; with more it is empty.
  static constexpr std::size_t kMostServers = 65535;

  MaglevTable() = default;
  /// O(kSlots * log n), some milliseconds: not for a thread that serves requests. A server whose
  /// share is less than half a slot owns nothing.
  explicit MaglevTable(std::span<const Server> servers);

  /// Fewer than two servers own anything, so that there is nothing to choose.
  bool empty() const noexcept { return slots_.empty(); }
  /// The server whose slot `hash` falls on, by its index; only of a table that is not empty.
  std::size_t owner(std::uint64_t hash) const noexcept;

 private:
  std::vector<std::uint16_t> slots_;
};

}  // namespace revproxyd::upstream

#pragma once
// Who may connect: the limits on connections, over all workers.

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "revproxyd/base/error.h"
#include "revproxyd/net/address.h"

namespace revproxyd::app {

/// Shared by the workers. Asked once a connection; the table of clients is striped and only used
/// while a per-client limit is set.
class Gate {
 public:
  /// Counts a connection in. Code::none, or the limit that it would exceed (zero is no limit).
  /// Clients on UNIX sockets cannot be told apart, so that none of them meets `per_client`.
  Code enter(const net::Address& client, std::uint64_t limit, std::uint64_t per_client) noexcept;
  /// Undoes enter(); `per_client` as given there.
  void leave(const net::Address& client, std::uint64_t per_client) noexcept;
  std::uint64_t connections() const noexcept {
    return connections_.load(std::memory_order_relaxed);
  }

 private:
  using Key = std::array<std::uint8_t, 16>;
  struct Hash {
    std::size_t operator()(const Key& key) const noexcept;
  };
  struct alignas(64) Stripe {
    std::mutex mutex;
    std::unordered_map<Key, std::uint64_t, Hash> clients;
  };
  static Key key_of(const net::Address& client) noexcept;
  Stripe& stripe_of(const Key& key) noexcept { return stripes_[Hash()(key) % stripes_.size()]; }

  std::atomic<std::uint64_t> connections_{0};
  std::array<Stripe, 16> stripes_;
};

}  // namespace revproxyd::app

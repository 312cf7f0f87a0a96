#pragma once
// The keys that session tickets are sealed with (RFC 5077): one set for the process, so that a
// client can resume on any listener's worker and after a reload.

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "revproxyd/base/units.h"

namespace revproxyd::tls {

/// Shared by all threads, kept over reloads and passed on to a successor. Keys exist in memory
/// only: after a restart clients make full handshakes.
class TicketKeys {
 public:
  static constexpr std::chrono::hours kTurn{12};  // a key seals tickets for so long
  static constexpr std::chrono::hours kKept{24};  // and opens them for so long

  struct Key {
    std::array<std::uint8_t, 16> name;
    std::array<std::uint8_t, 32> cipher;  // AES-256-CBC
    std::array<std::uint8_t, 32> mac;     // HMAC-SHA256
  };
  struct Entry {
    Key key;
    TimePoint made;
  };
  struct Found {
    Key key;
    bool current = false;  // false: the client should be given a new ticket
  };

  using Now = TimePoint (*)();

  /// `now` is the clock, for tests.
  explicit TicketKeys(Now now = &Clock::now) noexcept : now_(now) {}
  ~TicketKeys();
  TicketKeys(const TicketKeys&) = delete;
  TicketKeys& operator=(const TicketKeys&) = delete;

  /// The key to seal with now; made when the newest is older than kTurn.
  Key current();
  /// The key of that name unless it is older than kKept.
  std::optional<Found> find(const std::array<std::uint8_t, 16>& name);

  /// All of them, newest first, for a successor of this process on the same machine.
  std::vector<Entry> entries();
  /// Takes over those of a predecessor, before any is made here. What is too old, or from the
  /// future, is left out.
  void adopt(const std::vector<Entry>& entries);

 private:
  void drop_old(TimePoint now);

  Now now_;
  std::mutex mutex_;
  std::deque<Entry> entries_;  // newest first
};

}  // namespace revproxyd::tls

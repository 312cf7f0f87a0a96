#pragma once
// How a client behaves on one connection: everything that costs the proxy work and brings the
// client nothing adds to one score.

#include <cstddef>
#include <cstdint>

#include "http/h2/session.h"
#include "revproxyd/base/error.h"
#include "revproxyd/base/units.h"

namespace revproxyd::http::h2 {

enum class Verdict : std::uint8_t { fine, warn, cut };

/// `limit` offences within its period are taken; beyond it the client is told to go (warn, once),
/// beyond twice as many it is cut off. A count of 0 is no limit.
///
/// Resets, provoked ones and refused streams are offences. Frames without a use (PING, SETTINGS,
/// PRIORITY, WINDOW_UPDATE, empty DATA) are expected beside frames that carry something; what goes
/// beyond that is an offence each.
class Conduct {
 public:
  explicit Conduct(Rate limit) noexcept : limit_(limit) {}

  Verdict offence(Code what) noexcept;
  Verdict idle_frame(Idle kind) noexcept;
  void useful_frame(std::size_t bytes) noexcept;
  /// What brought the score over its limit.
  Code worst() const noexcept { return worst_; }

 private:
  // Idle frames that a connection may send before it has carried anything.
  static constexpr std::uint64_t kAtFirst = 64;

  Rate limit_;
  TimePoint begun_{};
  std::uint32_t count_ = 0;           // offences since begun_
  std::uint64_t allowed_ = kAtFirst;  // idle frames that are still in order
  bool warned_ = false;
  Code worst_ = Code::none;
};

}  // namespace revproxyd::http::h2

#pragma once
// What the active check thinks of one server: turns single probes into up and down.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace revproxyd::upstream {

/// What is kept of a failed probe's reason.
inline constexpr std::size_t kMaxHealthReasonBytes = 200;

/// Owned by the checker, on one thread. The first probe decides alone, so that a server that is
/// dead at the start is out after one probe and one that was out is back after one; from then on it
/// takes `fall` failures in a row to go down and `rise` successes in a row to come up. Before the
/// first probe a server counts as up unless told otherwise.
class HealthState {
 public:
  /// `up`: where the server stands now; false when a changed check takes over an Endpoint that is
  /// down. `judged`: probes of an earlier check have brought it there, so that none here is the
  /// first. A `rise` or `fall` of 0 counts as 1.
  HealthState(std::uint32_t rise, std::uint32_t fall, bool up = true, bool judged = false) noexcept;

  /// Takes in a probe. The new state if it changed: true = came up, false = went down. `reason` (of
  /// a failure) is copied up to kMaxHealthReasonBytes.
  std::optional<bool> record(bool success, std::string_view reason = {});

  bool up() const noexcept { return up_; }
  /// Why the latest failed probe failed; stays after a success, empty before the first failure.
  const std::string& last_failure() const noexcept { return last_failure_; }

 private:
  std::uint32_t rise_;
  std::uint32_t fall_;
  std::uint32_t against_ = 0;  // probes in a row that speak against up_
  bool up_;
  bool first_;
  std::string last_failure_;
};

}  // namespace revproxyd::upstream

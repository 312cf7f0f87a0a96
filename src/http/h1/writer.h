#pragma once
// Gathered writes to one peer with the two bounds on a slow reader: the longest wait, and the least
// rate over all waiting.

#include <cstdint>
#include <span>

#include "http/linger.h"
#include "http/uptake.h"
#include "revproxyd/base/deadline.h"
#include "revproxyd/base/task.h"
#include "revproxyd/base/units.h"
#include "revproxyd/net/pipe.h"
#include "revproxyd/net/transport.h"

namespace revproxyd::http::h1 {

struct WriteRules {
  UptakeRules uptake;
  Code stall_code = Code::write_timeout;
};

class Writer {
 public:
  Writer(net::Transport& transport, Side side) noexcept : transport_(transport), side_(side) {}
  void set_rules(const WriteRules& rules) noexcept { rules_ = rules; }
  /// While `held`, no wait is too long. Afterwards one that is under way has all of its time again.
  void hold_stall(bool held) noexcept {
    held_ = held;
    uptake_.excuse();
  }
  /// A slow peer is no fault any more.
  void drop_min_rate() noexcept { rules_.uptake.min_rate = 0; }
  /// A new exchange: the rate is judged afresh, and nothing is held.
  void restart() noexcept {
    sent_ = 0;
    held_ = false;
    uptake_.restart();
  }

  /// One try without waiting; what is left of `pieces` is for write(). Spares the frame where the
  /// kernel takes all, as it mostly does.
  Result<std::span<iovec>> write_now(std::span<iovec> pieces) noexcept;
  /// Writes everything; uses `pieces` up. Time counts only while the peer makes us wait.
  Task<Result<void>> write(std::span<iovec> pieces);
  /// Writes all that the pipe holds.
  Task<Result<void>> write_from(net::Pipe& pipe);
  bool splices() const noexcept { return transport_.splices(); }
  /// Bytes written since restart().
  std::uint64_t sent() const noexcept { return sent_; }
  /// For the end of what was sent; `alone`: nothing was before it on the connection.
  Leftover leftover(bool alone) const noexcept { return {rules_.uptake, sent_, uptake_, alone}; }

 private:
  /// One try; takes off `pieces` what went out. The result is done or what to wait for.
  Result<net::IoResult> step(std::span<iovec>& pieces) noexcept;
  Task<Result<void>> wait(net::Want want);

  net::Transport& transport_;
  WriteRules rules_;
  Uptake uptake_;
  std::uint64_t sent_ = 0;
  Side side_;
  bool held_ = false;
};

}  // namespace revproxyd::http::h1

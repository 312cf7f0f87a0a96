#pragma once
// The worker's own edge-triggered epoll: sockets register once and are told of every edge.

#include <sys/epoll.h>

#include <array>
#include <cstddef>

#include "revproxyd/base/limits.h"
#include "revproxyd/base/result.h"
#include "revproxyd/base/units.h"
#include "revproxyd/net/readiness.h"

namespace revproxyd::net {

/// One per Loop, used by its thread only.
class Poller {
 public:
  Poller();  // throws std::system_error when the kernel gives no descriptor
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// Registers `fd` for input, output and half-close. `readiness` must stay until remove().
  Result<void> add(int fd, Readiness& readiness) noexcept;
  /// Call it before `fd` is closed; events of the running batch for it are dropped.
  void remove(int fd, Readiness& readiness) noexcept;

  /// Takes what the kernel has, after waiting for it at most `wait`; the number of events. They are
  /// told by dispatch().
  std::size_t poll(Duration wait = Duration::zero()) noexcept;
  /// Notifies of each event of the last poll().
  void dispatch() noexcept;
  int fd() const noexcept { return fd_; }

 private:
  int fd_;
  std::size_t next_ = 0;   // first event of the batch that has not been told yet
  std::size_t count_ = 0;  // events in the batch
  std::array<epoll_event, limits::kEventBatch> events_;
};

}  // namespace revproxyd::net

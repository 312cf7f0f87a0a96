#pragma once
// Listening sockets that a reload has taken away and workers have not closed yet: out of
// descriptors, a worker serves first who waits in one.

#include <cstdint>
#include <memory>
#include <vector>

#include "revproxyd/net/descriptor.h"
#include "revproxyd/net/settings.h"

namespace revproxyd::app {

/// Sockets of one worker; shared between it and the main thread, which asks of those that leave
/// whether they are still open.
using WorkerSockets = std::vector<std::shared_ptr<net::Descriptor>>;

/// The same of all workers, without keeping anything open.
using SeenSockets = std::vector<std::vector<std::weak_ptr<net::Descriptor>>>;
SeenSockets seen(const std::vector<WorkerSockets>& of_workers);

/// Of the main thread.
class LeavingSockets {
 public:
  void add(SeenSockets sockets);
  /// Those that are still open and bound as `address` asks, by worker; none for an address without
  /// a fixed port. They stay open, and their queue with them, as long as what is returned.
  std::vector<WorkerSockets> bound_to(const net::BindAddress& address);
  /// One that is still open has the port.
  bool hold_port(std::uint16_t port) const;

 private:
  void forget_closed();

  std::vector<SeenSockets> sockets_;
};

}  // namespace revproxyd::app

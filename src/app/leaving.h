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
  struct Found {
    std::vector<WorkerSockets> of_workers;  // empty: there is none
    bool held = false;                      // as it was given to add()
  };
  /// `held`: see BoundAddress.
  void add(SeenSockets sockets, bool held);
  /// Those that are still open and bound as `address` asks; none for an address without a fixed
  /// port. They stay open, and their queue with them, as long as what is returned.
  Found bound_as(const net::BindAddress& address);
  /// One that is still open has the port.
  bool hold_port(std::uint16_t port) const;

 private:
  struct Leaving {
    SeenSockets sockets;
    bool held = false;
  };
  void forget_closed();

  std::vector<Leaving> leaving_;
};

}  // namespace revproxyd::app

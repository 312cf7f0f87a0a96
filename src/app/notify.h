#pragma once
// Words to the service manager (sd_notify(3)), without its library.

#include <string_view>

#include "revproxyd/base/units.h"

namespace revproxyd::app {

/// How long a message may wait for a manager that does not read while the few that the kernel keeps
/// are waiting; the thread waits with it, then the manager goes without.
enum class Urgency {
  passing,  ///< not at all: the next of its kind says the same
  usual,    ///< half a second
  vital,    ///< ten seconds: without it the manager would lose the service
};

/// Sends `state`, such as "READY=1", to $NOTIFY_SOCKET; nothing happens where there is none. False
/// when there is a manager and it has not got it.
bool notify_service_manager(std::string_view state, Urgency urgency = Urgency::usual) noexcept;
/// RELOADING=1 with the time that the manager asks for, and `status`.
void notify_reloading(std::string_view status);
/// How often the manager wants to hear WATCHDOG=1 from this process at least; zero: it does not.
Duration watchdog_time() noexcept;

}  // namespace revproxyd::app

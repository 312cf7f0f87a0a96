#pragma once
// Words to the service manager (sd_notify(3)), without its library.

#include <string_view>

#include "revproxyd/base/units.h"

namespace revproxyd::app {

/// Sends `state`, such as "READY=1", to $NOTIFY_SOCKET; nothing happens where there is none.
/// A manager that does not take it within half a second goes without.
void notify_service_manager(std::string_view state) noexcept;
/// RELOADING=1 with the time that the manager asks for, and `status`.
void notify_reloading(std::string_view status);
/// How often the manager wants to hear WATCHDOG=1 from this process at least; zero: it does not.
Duration watchdog_time() noexcept;

}  // namespace revproxyd::app

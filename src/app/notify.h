#pragma once
// Words to the service manager (sd_notify(3)), without its library.

#include <string_view>

namespace revproxyd::app {

/// Sends `state`, such as "READY=1", to $NOTIFY_SOCKET; nothing happens where there is none.
void notify_service_manager(std::string_view state) noexcept;
/// RELOADING=1 with the time that the manager asks for.
void notify_reloading() noexcept;

}  // namespace revproxyd::app

#pragma once
// How the configuration writes what belongs to the process, and the file as a whole.

#include "revproxyd/app/settings.h"
#include "revproxyd/config/type.h"

namespace revproxyd::app {

config::Type<AccessLogSettings> access_log();
config::Type<LogSettings> log();
config::Type<AdminSettings> admin();
config::Type<ShutdownSettings> shutdown();
config::Type<RouteTest> route_test();

/// Every key of a file. References between sections are not checked, names not completed:
/// assemble() does that.
config::Type<Settings> file_settings();

}  // namespace revproxyd::app

#pragma once
// How `health_check` is written.

#include "revproxyd/config/type.h"
#include "revproxyd/upstream/settings.h"

namespace revproxyd::upstream {

config::Type<HealthSettings> health_settings();

}  // namespace revproxyd::upstream

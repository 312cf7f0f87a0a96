#pragma once
// Waiting for an event, but not for ever.

#include "revproxyd/base/event.h"
#include "revproxyd/base/task.h"
#include "revproxyd/base/units.h"

namespace revproxyd {

/// Code::none when `event` is set, `late` when `limit` passed first, else the reason of the scope.
Task<Code> wait_within(Event& event, Duration limit, Code late);

}  // namespace revproxyd

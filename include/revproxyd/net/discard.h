#pragma once
// Input that nobody wants, read off so that a close resets nothing away.

#include <cstddef>
#include <limits>

#include "revproxyd/base/result.h"
#include "revproxyd/base/task.h"
#include "revproxyd/net/transport.h"

namespace revproxyd::net {

/// discard_some() until the orderly end, the read deadline, a failure, or `most` bytes, of
/// which each read counts for limits::kDiscardLeast or more.
Task<void> discard(Transport& transport,
                   std::size_t most = std::numeric_limits<std::size_t>::max());

}  // namespace revproxyd::net

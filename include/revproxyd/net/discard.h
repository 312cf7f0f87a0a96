#pragma once
// Input that nobody wants, read off so that a close resets nothing away.

#include <cstddef>
#include <limits>

#include "revproxyd/base/result.h"
#include "revproxyd/base/task.h"
#include "revproxyd/net/transport.h"

namespace revproxyd::net {

/// As read_some(), of bytes that nobody looks at.
Task<Result<std::size_t>> discard_some(Transport& transport);

/// Reads and throws away until the orderly end, the read deadline, a failure, or `most` bytes.
Task<void> discard(Transport& transport,
                   std::size_t most = std::numeric_limits<std::size_t>::max());

}  // namespace revproxyd::net

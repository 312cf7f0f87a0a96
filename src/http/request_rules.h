#pragma once
// What every version of HTTP asks of a request head once its fields are read.

#include "revproxyd/http/head.h"

namespace revproxyd::http {

/// Settles target, authority, host, port and path from raw_target and the Host field, which must be
/// the only one and valid; only HTTP/1.0 may come without (RFC 9112 section 3.2). An absolute
/// target overrules it.
Result<void> read_target(RequestHead& head, Arena& arena);

/// Expect may only say 100-continue (RFC 9110 section 10.1.1); of HTTP/1.0 it is ignored.
Result<void> read_expectation(RequestHead& head) noexcept;

}  // namespace revproxyd::http

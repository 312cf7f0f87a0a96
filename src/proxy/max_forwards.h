#pragma once
// Max-Forwards (RFC 9110 section 7.6.2): how many more proxies an OPTIONS request may pass. TRACE,
// the other method that it is for, is refused.

#include "revproxyd/pipeline/exchange.h"

namespace revproxyd::proxy {

/// Counts this proxy. False: the request ends here and answer_as_last() answers it.
bool spend_forward(pipeline::Exchange& exchange);

/// What the last recipient says to OPTIONS: that it is there.
http::Response answer_as_last(pipeline::Exchange& exchange);

}  // namespace revproxyd::proxy

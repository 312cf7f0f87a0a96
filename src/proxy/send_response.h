#pragma once
// Moves a response to the client.

#include "revproxyd/http/stream.h"
#include "revproxyd/pipeline/exchange.h"

namespace revproxyd::proxy {

/// Head, body and trailers, flushing only when the body makes it wait. Nothing is sent to a client
/// that has left. After an error, which says whose it was, the stream is to be reset: the client
/// has only a part.
Task<Result<void>> send_response(http::ServerStream& stream, http::Response& response,
                                 pipeline::Exchange& exchange);

}  // namespace revproxyd::proxy

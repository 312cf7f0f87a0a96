#pragma once
// Moves a response to the client.

#include "revproxyd/http/stream.h"
#include "revproxyd/pipeline/exchange.h"

namespace revproxyd::proxy {

/// Head, body and trailers, flushing only when the body makes it wait. On an error the stream is reset and the error says whose it was.
/// Nothing is sent to a client that has left.
Task<Result<void>> send_response(http::ServerStream& stream, http::Response& response, pipeline::Exchange& exchange);

}  // namespace revproxyd::proxy

#pragma once
// RFC 9112 section 6.3 as one table: where a message's body ends.

#include <cstdint>

#include "revproxyd/base/result.h"
#include "revproxyd/http/head.h"

namespace revproxyd::http {

/// Length of a request's body from its version and fields. Refuses (malformed_request):
/// Content-Length beside Transfer-Encoding, repeated or unequal Content-Length, a list or
/// non-digits in it, overflow, a transfer coding other than a single "chunked", Transfer-Encoding
/// in HTTP/1.0.
Result<BodyLength> request_length(Version version, const Fields& fields);

/// Length of a response's body; `method` is that of the request. Same refusals as
/// malformed_response. 1xx, 204 and 304 and answers to HEAD have none whatever their fields say;
/// 101 and 2xx to CONNECT are a tunnel. A 1xx that announces content is refused.
Result<BodyLength> response_length(Version version, std::uint16_t status, const Fields& fields,
                                   Method method);

/// Holds the `total` bytes that are sent of a body, all of it when `last`, against what its head
/// announced (Code::internal): the reader would take the next message for a part of it, or this one
/// for cut.
Result<void> check_sent(const BodyLength& announced, std::uint64_t total, bool last);

}  // namespace revproxyd::http

#pragma once
// From an Error to an answer: one table of statuses, one form of body.

#include <cstdint>

#include "revproxyd/base/error.h"
#include "revproxyd/http/stream.h"
#include "revproxyd/pipeline/handler.h"

namespace revproxyd::pipeline {

/// Never sent: it stands in the log for a client that did not wait.
inline constexpr std::uint16_t kClientGoneStatus = 499;

/// The status that a client gets for `error`; 499 stands in the log for a client that did not wait.
std::uint16_t status_of(const Error& error) noexcept;

/// An answer of the proxy's own: a short body, JSON when Accept prefers it, with the request id;
/// Proxy-Status (RFC 9209). A gRPC call ends with status 200, a grpc-status and no body instead.
/// Sets notes.why.
http::Response error_response(Exchange& exchange, const Error& error);

/// The same as a task, for handlers that refuse.
Task<http::Response> refuse(Exchange& exchange, Error error);

/// Answers with exchange.refusal().
class Refuse final : public Handler {
 public:
  Task<http::Response> handle(Exchange& exchange) const override;
};

}  // namespace revproxyd::pipeline

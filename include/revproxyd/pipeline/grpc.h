#pragma once
// What the proxy must know of gRPC (its page "gRPC over HTTP2"): which requests are calls, how a
// failure is told to their clients, how long a call may take. gRPC-Web is ordinary HTTP here.

#include <cstdint>
#include <optional>

#include "revproxyd/base/error.h"
#include "revproxyd/base/units.h"
#include "revproxyd/http/fields.h"

namespace revproxyd::pipeline {

/// Those of gRPC's status codes that the proxy answers with, by their numbers.
enum class GrpcStatus : std::uint8_t {
  cancelled = 1,
  unknown = 2,
  deadline_exceeded = 4,
  permission_denied = 7,
  resource_exhausted = 8,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  unauthenticated = 16,
};

/// Content-Type is application/grpc, alone or followed by "+" or ";".
bool is_grpc(const http::Fields& fields) noexcept;

/// How a call ends that is answered because of `code`, for which others get `http_status`.
GrpcStatus grpc_status(Code code, std::uint16_t http_status) noexcept;

/// The value of grpc-timeout, rounded up to whole milliseconds, at least one and at most a year.
/// Nothing when it is absent or malformed: such a call has no deadline.
std::optional<Duration> grpc_timeout(const http::Fields& fields) noexcept;

}  // namespace revproxyd::pipeline

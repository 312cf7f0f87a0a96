#pragma once
// The question of a gRPC check: Check of grpc.health.v1.Health, and what its answer says.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "revproxyd/base/bytes.h"
#include "revproxyd/http/connection.h"
#include "upstream/probe.h"

namespace revproxyd::upstream {

/// ServingStatus of grpc.health.v1.HealthCheckResponse; servers may send numbers beyond these.
enum class Serving : std::uint64_t {
  unknown = 0,
  serving = 1,
  not_serving = 2,
  service_unknown = 3,
};

/// A HealthCheckRequest in its frame. An empty `service` is the server as a whole.
std::string grpc_check_message(std::string_view service);

/// What the body of an answer says: exactly one uncompressed frame with a HealthCheckResponse.
/// Fields that are not known are skipped; nothing when the bytes are not such a message.
std::optional<Serving> grpc_serving_status(Bytes body) noexcept;

/// Asks over `connection`, which speaks HTTP/2. Well is: status 200, a message that says SERVING,
/// and grpc-status 0. The caller bounds the time.
Task<ProbeResult> ask_grpc(http::ClientConnection& connection, const Endpoint& endpoint,
                           const HealthSettings& settings);

}  // namespace revproxyd::upstream

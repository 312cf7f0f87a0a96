#include "revproxyd/pipeline/grpc.h"

#include <algorithm>
#include <chrono>
#include <string_view>

#include "revproxyd/base/ascii.h"

namespace revproxyd::pipeline {

namespace {

constexpr std::string_view kType = "application/grpc";
constexpr std::size_t kMostDigits = 8;
// Timers count nanoseconds in 64 bits; 99999999H would not fit.
constexpr Duration kLongest = std::chrono::hours(24 * 365);

// One unit in nanoseconds; 0 for what is none.
constexpr std::int64_t nanoseconds_of(char unit) noexcept {
  switch (unit) {
    case 'H': return 3'600'000'000'000;
    case 'M': return 60'000'000'000;
    case 'S': return 1'000'000'000;
    case 'm': return 1'000'000;
    case 'u': return 1'000;
    case 'n': return 1;
    default: return 0;
  }
}

}  // namespace

bool is_grpc(const http::Fields& fields) noexcept {
  if (!fields.has(http::FieldName::content_type)) return false;
  const std::string_view type = fields.get(http::FieldName::content_type);
  // Much is application/ and something else.
  constexpr std::size_t kSubtype = kType.find('/') + 1;
  if (type.size() < kType.size() || ascii::to_lower(type[kSubtype]) != kType[kSubtype])
    return false;
  if (!ascii::iequals(type.substr(0, kType.size()), kType)) return false;
  const std::string_view rest = ascii::trim(type.substr(kType.size()));
  return rest.empty() || rest.front() == ';' || type[kType.size()] == '+';
}

// "HTTP to gRPC Status Code Mapping" of the gRPC documentation, but for causes that gRPC has a
// status of its own for.
GrpcStatus grpc_status(Code code, std::uint16_t http_status) noexcept {
  if (code == Code::deadline_exceeded) return GrpcStatus::deadline_exceeded;
  if (code == Code::queue_full || code == Code::queue_timeout)
    return GrpcStatus::resource_exhausted;
  switch (http_status) {
    case 400: return GrpcStatus::internal;
    case 401: return GrpcStatus::unauthenticated;
    case 403: return GrpcStatus::permission_denied;
    case 404: return GrpcStatus::unimplemented;
    case 413:
    case 431: return GrpcStatus::resource_exhausted;
    case 429:
    case 502:
    case 503:
    case 504: return GrpcStatus::unavailable;
    case 499: return GrpcStatus::cancelled;
    default: return GrpcStatus::unknown;
  }
}

std::optional<Duration> grpc_timeout(const http::Fields& fields) noexcept {
  const std::string_view text = fields.get("grpc-timeout");
  if (text.size() < 2 || text.size() > kMostDigits + 1) return std::nullopt;
  const std::int64_t unit = nanoseconds_of(text.back());
  if (unit == 0) return std::nullopt;
  std::int64_t count = 0;
  for (char c : text.substr(0, text.size() - 1)) {
    if (!ascii::is_digit(c)) return std::nullopt;
    count = count * 10 + (c - '0');
  }
  constexpr std::int64_t kMillisecond = 1'000'000;
  // In this order nothing overflows.
  const Duration whole(unit >= kMillisecond ? count * (unit / kMillisecond)
                                            : (count * unit + kMillisecond - 1) / kMillisecond);
  return std::clamp(whole, Duration(1), kLongest);
}

}  // namespace revproxyd::pipeline

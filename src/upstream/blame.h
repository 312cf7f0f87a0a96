#pragma once
// What a connect that failed says about its server.

#include "revproxyd/base/error.h"
#include "revproxyd/upstream/endpoint.h"

namespace revproxyd::upstream {

/// Not what was wanting here, such as descriptors.
inline bool blames_server(Code code) noexcept {
  switch (code) {
    case Code::refused:
    case Code::unreachable:
    case Code::resolve_failed:
    case Code::connect_timeout:
    case Code::end_of_stream:
    case Code::reset:
    case Code::tls_failed:
    case Code::certificate_rejected: return true;
    default: return false;
  }
}

/// So fails, now and then, also a server that has much to do and serves others well.
inline bool may_be_busy(const Endpoint& endpoint, Code code) noexcept {
  const bool gave_up =
      code == Code::connect_timeout || code == Code::end_of_stream || code == Code::reset;
  return gave_up && endpoint.active_requests() != 0;
}

}  // namespace revproxyd::upstream

#pragma once
// What a connect that failed says about its server.

#include "revproxyd/base/error.h"
#include "revproxyd/upstream/endpoint.h"

namespace revproxyd::upstream {

/// Whether it is the server's fault: not where something was wanting here, such as descriptors, nor
/// where a server fails like that which has much to do and serves others well.
inline bool blames(const Endpoint& endpoint, Code code) noexcept {
  switch (code) {
    case Code::refused:
    case Code::unreachable:
    case Code::resolve_failed:
    case Code::tls_failed:
    case Code::certificate_rejected: return true;
    case Code::connect_timeout:
    case Code::end_of_stream:
    case Code::reset: return endpoint.active_requests() == 0;
    default: return false;
  }
}

}  // namespace revproxyd::upstream

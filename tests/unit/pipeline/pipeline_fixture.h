#pragma once
// Exchanges without a client, for what only looks at heads.

#include <memory>
#include <string_view>

#include "http/h1/parser.h"
#include "revproxyd/pipeline/exchange.h"

namespace revproxyd::pipeline::testing {

/// A request of the proxy's own. Nothing here looks at a snapshot, so there is none.
class Subrequest {
 public:
  explicit Subrequest(std::string_view head) : Subrequest(head, Client()) {}
  Subrequest(std::string_view head, Client client) : client_(std::move(client)) {
    auto parsed = http::h1::parse_request(arena_.copy(head), arena_, http::h1::HeadLimits());
    http::Request request(std::move(*parsed));
    exchange_ = std::make_unique<Exchange>(std::move(request), arena_, scope_, client_, no_snapshot());
  }
  Exchange& exchange() noexcept { return *exchange_; }

 private:
  // A reference that is never followed.
  static const proxy::Snapshot& no_snapshot() noexcept {
    alignas(16) static const char nothing[64] = {};
    return reinterpret_cast<const proxy::Snapshot&>(nothing);
  }

  Arena arena_;
  CancelScope scope_;
  Client client_;
  std::unique_ptr<Exchange> exchange_;
};

}  // namespace revproxyd::pipeline::testing

#pragma once
// Exchanges without a client, for what only looks at heads.

#include <memory>
#include <string_view>

#include "http/h1/parser.h"
#include "revproxyd/pipeline/exchange.h"

// The pipeline knows a snapshot by name only; where proxy is not linked this one takes its place.
namespace revproxyd::proxy {
class Snapshot {};
}  // namespace revproxyd::proxy

namespace revproxyd::pipeline::testing {

/// A request of the proxy's own.
class Subrequest {
 public:
  explicit Subrequest(std::string_view head, const Standing& standing = {}) {
    auto parsed = http::h1::parse_request(arena_.copy(head), arena_, http::h1::HeadLimits());
    http::Request request(std::move(*parsed));
    exchange_ = std::make_unique<Exchange>(std::move(request), arena_, scope_, client_, snapshot_);
    exchange_->set_standing(standing);
  }
  Exchange& exchange() noexcept { return *exchange_; }

 private:
  Arena arena_;
  CancelScope scope_;
  Client client_;
  proxy::Snapshot snapshot_;
  std::unique_ptr<Exchange> exchange_;
};

}  // namespace revproxyd::pipeline::testing

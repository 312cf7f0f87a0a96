#pragma once
// Exchanges without a connection, for what looks at heads and clients only.

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "http/h1/parser.h"
#include "revproxyd/pipeline/exchange.h"
#include "revproxyd/proxy/snapshot.h"

namespace revproxyd::proxy::testing {

/// From 192.0.2.1 to port 8080 unless the client says otherwise.
class OneExchange {
 public:
  explicit OneExchange(std::string_view head, pipeline::Client client = ordinary_client())
      : client_(std::move(client)) {
    auto parsed = http::h1::parse_request(arena_.copy(head), arena_, http::h1::HeadLimits());
    http::Request request(std::move(*parsed));
    exchange_ = std::make_unique<pipeline::Exchange>(std::move(request), arena_, scope_, client_,
                                                     snapshot_);
  }
  pipeline::Exchange& operator*() noexcept { return *exchange_; }
  pipeline::Exchange* operator->() noexcept { return exchange_.get(); }
  std::string_view field(http::FieldName name) const { return exchange_->head().fields.get(name); }

  static pipeline::Client ordinary_client() {
    pipeline::Client client;
    client.peer = *net::Address::ip("192.0.2.1", 1234);
    client.local = *net::Address::ip("192.0.2.80", 8080);
    return client;
  }
  /// A peer that is one of trusted_proxies.
  static pipeline::Client near_client() {
    pipeline::Client client = ordinary_client();
    client.peer = *net::Address::ip("10.0.0.1", 1234);
    return client;
  }
  void trust() noexcept { exchange_->set_standing({.trusted = true}); }

 private:
  Arena arena_;
  CancelScope scope_;
  pipeline::Client client_;
  Snapshot snapshot_{std::make_shared<const Plan>(PlanSettings(), std::vector<PlanUpstream>()),
                     nullptr, 1};
  std::unique_ptr<pipeline::Exchange> exchange_;
};

}  // namespace revproxyd::proxy::testing

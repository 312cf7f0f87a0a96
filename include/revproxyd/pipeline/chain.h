#pragma once
// Filters in their order around a terminal handler.

#include <memory>
#include <vector>

#include "revproxyd/pipeline/filter.h"

namespace revproxyd::pipeline {

/// Filters and handler may be shared with other chains: routes with the same global filters have
/// them once.
class Chain final : public Handler {
 public:
  Chain(std::vector<std::shared_ptr<const Filter>> filters, std::shared_ptr<const Handler> last);
  ~Chain() override;

  /// Without filters this is the handler itself: what a request does not use costs it nothing.
  Task<http::Response> handle(Exchange& exchange) const override {
    return first_->handle(exchange);
  }

 private:
  class Link;
  std::vector<std::unique_ptr<const Link>> links_;
  std::shared_ptr<const Handler> last_;
  const Handler* first_;
};

}  // namespace revproxyd::pipeline

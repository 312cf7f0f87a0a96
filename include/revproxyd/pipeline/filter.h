#pragma once
// A step between routing and the terminal handler.

#include "revproxyd/pipeline/handler.h"

namespace revproxyd::pipeline {

class Filter {
 public:
  virtual ~Filter() = default;
  /// Answers the exchange itself, or awaits `next` and may edit or wrap what comes back.
  virtual Task<http::Response> handle(Exchange& exchange, const Handler& next) const = 0;
};

}  // namespace revproxyd::pipeline

#pragma once
// One shape for everything that answers: filters, terminal handlers and the chain that they form.

#include "revproxyd/base/task.h"
#include "revproxyd/http/stream.h"
#include "revproxyd/pipeline/exchange.h"

namespace revproxyd::pipeline {

/// Turns an exchange into a response. Immutable and shared by all workers: what belongs to one
/// request lives in the coroutine. Always a response: a failure is one whose `error` is set.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual Task<http::Response> handle(Exchange& exchange) const = 0;
};

}  // namespace revproxyd::pipeline

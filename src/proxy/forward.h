#pragma once
// The terminal handler that sends a request to an upstream and brings its response.

#include <cstddef>
#include <vector>

#include "revproxyd/pipeline/handler.h"
#include "revproxyd/proxy/settings.h"

namespace revproxyd::proxy {

/// An upstream of the plan with its share of a route's requests.
struct ForwardTarget {
  std::size_t upstream = 0;  // index in the plan, and so in each worker's snapshot
  std::uint32_t weight = 1;
};

/// Owns the choice of upstream and the retry loop. `route` must outlive it.
class Forward final : public pipeline::Handler {
 public:
  Forward(const RouteSettings& route, std::vector<ForwardTarget> targets);
  Task<http::Response> handle(pipeline::Exchange& exchange) const override;

 private:
  std::size_t choose_upstream() const noexcept;

  const RouteSettings& route_;
  std::vector<ForwardTarget> targets_;
  std::uint64_t total_weight_ = 0;
};

}  // namespace revproxyd::proxy

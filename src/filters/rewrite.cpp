// rewrite: strip_prefix, add_prefix and rewrite of a route. What no step changes is forwarded byte
// for byte.

#include "filters/entries.h"
#include "filters/path_rewrite.h"
#include "revproxyd/pipeline/error_response.h"

namespace revproxyd::filters {

namespace {

class Rewrite final : public pipeline::Filter {
 public:
  explicit Rewrite(const RewriteSettings& settings) : rewrite_(settings) {}

  Task<http::Response> handle(pipeline::Exchange& exchange,
                              const pipeline::Handler& next) const override {
    const http::RequestHead& head = exchange.head();
    const auto target =
        rewrite_.apply(head.path, head.target.query, head.target.has_query, exchange.arena());
    if (!target) return pipeline::refuse(exchange, target.error());
    if (target->edited) exchange.target = target->target;
    return next.handle(exchange);
  }

 private:
  PathRewrite rewrite_;
};

}  // namespace

std::shared_ptr<const pipeline::Filter> make_rewrite(const ChainSettings& settings) {
  if (settings.rewrite == nullptr || settings.rewrite->empty()) return nullptr;
  return std::make_shared<Rewrite>(*settings.rewrite);
}

}  // namespace revproxyd::filters

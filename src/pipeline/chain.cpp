#include "revproxyd/pipeline/chain.h"

namespace revproxyd::pipeline {

class Chain::Link final : public Handler {
 public:
  Link(std::shared_ptr<const Filter> filter, const Handler& next)
      : filter_(std::move(filter)), next_(next) {}
  Task<http::Response> handle(Exchange& exchange) const override {
    return filter_->handle(exchange, next_);
  }

 private:
  std::shared_ptr<const Filter> filter_;
  const Handler& next_;
};

Chain::Chain(std::vector<std::shared_ptr<const Filter>> filters,
             std::shared_ptr<const Handler> last)
    : last_(std::move(last)), first_(last_.get()) {
  for (auto filter = filters.rbegin(); filter != filters.rend(); ++filter) {
    links_.push_back(std::make_unique<Link>(std::move(*filter), *first_));
    first_ = links_.back().get();
  }
}

Chain::~Chain() = default;

}  // namespace revproxyd::pipeline

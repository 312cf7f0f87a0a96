// headers: edits fields of the request on its way in and of every response, the proxy's own
// included, on its way out.

#include "filters/entries.h"
#include "filters/field_edits.h"

namespace revproxyd::filters {

namespace {

class Headers final : public pipeline::Filter {
 public:
  explicit Headers(const HeadersSettings& settings) noexcept : settings_(settings) {}

  Task<http::Response> handle(pipeline::Exchange& exchange,
                              const pipeline::Handler& next) const override {
    apply(settings_.request, exchange.head().fields);
    // Without work on the way back the chain needs no frame for this filter.
    if (settings_.response.empty()) return next.handle(exchange);
    return edit_response(exchange, next);
  }

 private:
  Task<http::Response> edit_response(pipeline::Exchange& exchange,
                                     const pipeline::Handler& next) const {
    auto response = co_await next.handle(exchange);
    // 101 is a word between proxies about this connection, not content.
    if (response.head.status != 101) apply(settings_.response, response.head.fields);
    co_return std::move(response);
  }

  const HeadersSettings& settings_;
};

}  // namespace

std::shared_ptr<const pipeline::Filter> make_headers(const ChainSettings& settings) {
  if (settings.headers == nullptr || settings.headers->empty()) return nullptr;
  return std::make_shared<Headers>(*settings.headers);
}

}  // namespace revproxyd::filters

#include "proxy/max_forwards.h"

#include <charconv>

namespace revproxyd::proxy {

bool spend_forward(pipeline::Exchange& exchange) {
  http::RequestHead& head = exchange.head();
  if (head.method != http::Method::options) return true;
  const std::string_view text = head.fields.get(http::FieldName::max_forwards);
  std::uint64_t left = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), left);
  // A value that is no number limits nothing.
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size()) return true;
  if (left == 0) return false;
  head.fields.set(http::FieldName::max_forwards, exchange.arena().copy(std::to_string(left - 1)));
  return true;
}

http::Response answer_as_last(pipeline::Exchange& exchange) {
  exchange.notes.why = Code::max_forwards;
  http::ResponseHead head(exchange.arena());
  head.status = 200;
  return http::Response(std::move(head));
}

}  // namespace revproxyd::proxy

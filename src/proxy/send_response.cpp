#include "proxy/send_response.h"

#include "revproxyd/pipeline/error_response.h"

namespace revproxyd::proxy {

namespace {

Task<Result<void>> send_body(http::ServerStream& stream, http::Body& body) {
  for (;;) {
    if (!body.ready()) {
      auto flushed = co_await stream.flush();
      if (!flushed) co_return flushed.error();
    }
    auto piece = co_await body.read();
    if (!piece) co_return piece.error();
    const bool last = piece->last;
    const http::Fields* trailers = last ? body.trailers() : nullptr;
    const http::Piece out(piece->bytes, last && trailers == nullptr);
    auto sent = co_await stream.send_body(out);
    if (!sent) co_return sent.error();
    if (trailers != nullptr) {
      auto finished = co_await stream.finish(*trailers);
      co_return finished;
    }
    if (last) co_return {};
  }
}

Task<Result<void>> send(http::ServerStream& stream, http::Response& response) {
  stream.stage_head(response.head);
  if (response.body != nullptr) return send_body(stream, *response.body);
  return stream.send_body(http::Piece({}, true));
}

}  // namespace

Task<Result<void>> send_response(http::ServerStream& stream, http::Response& response, pipeline::Exchange& exchange) {
  if (exchange.scope().cancelled()) {
    stream.reset(exchange.scope().reason());
    co_return Error(exchange.scope().reason(), Side::downstream, "client left before the answer");
  }
  if (response.error.code() != Code::none && response.head.status == pipeline::kClientGoneStatus) {
    stream.reset(response.error.code());
    co_return response.error;
  }
  auto sending = send(stream, response);
  auto sent = co_await std::move(sending);
  if (!sent) stream.reset(sent.error().code());
  co_return sent;
}

}  // namespace revproxyd::proxy

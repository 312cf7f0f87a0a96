#include "proxy/send_response.h"

#include "revproxyd/http/splice.h"
#include "revproxyd/pipeline/error_response.h"

namespace revproxyd::proxy {

namespace {

// The client has all the bytes that were announced: it may leave, though the server has not said
// yet that there are no more.
bool has_all(const http::BodyLength& announced, std::uint64_t sent) noexcept {
  return announced.framing == http::Framing::length && sent == announced.bytes;
}

Task<Result<void>> send_body(http::ServerStream& stream, http::Body& body,
                             http::BodyLength announced) {
  const CancelScope* scope = co_await current_scope();
  std::uint64_t delivered = 0;
  for (;;) {
    http::PipeSource* const source = body.pipe_source();
    http::PipeSink* const sink = source == nullptr ? nullptr : stream.pipe_sink();
    if (sink != nullptr || !body.ready()) {
      auto flushed = co_await stream.flush();
      if (!flushed) co_return flushed.error();
    }
    if (sink != nullptr) {
      auto spliced = co_await http::splice(*source, *sink);
      if (!spliced) co_return spliced.error();
      if (*spliced) co_return {};
    }
    auto piece = co_await body.read();
    if (!piece) {
      if (scope->cancelled() && has_all(announced, delivered)) co_return {};
      // What came before the fault is the client's all the same.
      auto flushed = co_await stream.flush();
      ignore(flushed, "the body's own fault is told");
      co_return piece.error();
    }
    const bool last = piece->last;
    const http::Fields* trailers = last ? body.trailers() : nullptr;
    const http::Piece out(piece->bytes, last && trailers == nullptr);
    auto sent = co_await stream.send_body(out);
    if (!sent) co_return sent.error();
    delivered += piece->bytes.size();
    if (trailers != nullptr) {
      auto finished = co_await stream.finish(*trailers);
      co_return finished;
    }
    if (last) co_return {};
  }
}

// Why nothing is to be sent any more, or Code::none. A client whose time is over is still there,
// and is told so.
Error nobody_waits(const http::Response& response, pipeline::Exchange& exchange) noexcept {
  const Code reason = exchange.scope().reason();
  if (exchange.scope().cancelled() && reason != Code::drain_timeout)
    return Error(reason, Side::downstream, "client left before the answer");
  if (response.head.status == pipeline::kClientGoneStatus) return response.error;
  return Error(Code::none);
}

}  // namespace

Task<Result<void>> send_response(http::ServerStream& stream, http::Response& response,
                                 pipeline::Exchange& exchange) {
  if (const Error gone = nobody_waits(response, exchange); gone.code() != Code::none) {
    return Task<Result<void>>::settled(gone);
  }
  stream.stage_head(response.head);
  if (response.body != nullptr) return send_body(stream, *response.body, response.head.length);
  return stream.send_body(http::Piece({}, true));
}

}  // namespace revproxyd::proxy

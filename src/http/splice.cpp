#include "revproxyd/http/splice.h"

#include <utility>

namespace revproxyd::http {

Task<Result<bool>> splice(PipeSource& source, PipeSink& sink) {
  auto taken = net::Pipe::take();
  if (!taken) co_return false;
  net::Pipe pipe = std::move(*taken);
  while (!source.ended()) {
    auto received = co_await source.receive_into(pipe);
    if (!received) co_return received.error();
    auto sent = co_await sink.send_from(pipe, source.ended());
    if (!sent) co_return sent.error();
  }
  co_return true;
}

}  // namespace revproxyd::http

#include "http/h1/writer.h"

#include <algorithm>

#include "revproxyd/base/limits.h"

namespace revproxyd::http::h1 {

Result<std::span<iovec>> Writer::write_now(std::span<iovec> pieces) noexcept {
  pieces = net::drop_front(pieces, 0);
  while (!pieces.empty() && pieces.back().iov_len == 0) pieces = pieces.first(pieces.size() - 1);
  if (pieces.empty()) return pieces;
  const auto tried = step(pieces);
  if (!tried) return tried.error();
  return pieces;
}

Result<net::IoResult> Writer::step(std::span<iovec>& pieces) noexcept {
  const net::IoResult result = transport_.try_write(pieces);
  if (result.status == net::IoStatus::failed) return result.error.at(side_);
  if (result.status == net::IoStatus::end) return Error(Code::reset, side_, "closed while writing");
  if (result.status == net::IoStatus::done) {
    sent_ += result.bytes;
    pieces = net::drop_front(pieces, result.bytes);
  }
  return result;
}

Task<Result<void>> Writer::write(std::span<iovec> pieces) {
  pieces = net::drop_front(pieces, 0);
  while (!pieces.empty()) {
    const auto tried = step(pieces);
    if (!tried) co_return tried.error();
    if (tried->status == net::IoStatus::done) {
      if (pieces.empty()) break;
      auto fair = co_await Fair{};
      if (fair != Code::none) co_return Error(fair, side_);
      continue;
    }
    auto waited = co_await wait(tried->want());
    if (!waited) co_return waited.error();
  }
  co_return {};
}

Task<Result<void>> Writer::write_from(net::Pipe& pipe) {
  while (pipe.size() != 0) {
    const net::IoResult result = transport_.try_write_from(pipe);
    if (result.status == net::IoStatus::failed) co_return result.error.at(side_);
    if (result.status == net::IoStatus::done) {
      sent_ += result.bytes;
      continue;
    }
    auto waited = co_await wait(result.want());
    if (!waited) co_return waited.error();
  }
  co_return {};
}

Task<Result<void>> Writer::wait(net::Want want) {
  auto& readiness = transport_.readiness();
  const Duration look = look_period(rules_.uptake.stall);
  for (uptake_.wait_begins(net::unacknowledged(transport_), sent_);;) {
    readiness.write_deadline(look, rules_.stall_code);
    auto code = co_await readiness.wait_to_write(want);
    readiness.write_deadline(Duration::zero(), Code::none);
    if (held_) uptake_.excuse();
    const auto verdict = uptake_.look(net::unacknowledged(transport_), sent_, rules_.uptake);
    if (verdict == Uptake::Verdict::too_slow)
      co_return Error(Code::body_too_slow, side_, "peer takes less than min_rate");
    if (code == Code::none) co_return {};
    if (code != rules_.stall_code || verdict == Uptake::Verdict::stalled)
      co_return Error(code, side_, "peer does not take what is sent");
  }
}

}  // namespace revproxyd::http::h1

#include "http/h1/writer.h"

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

Task<Result<void>> Writer::wait(net::Want want) {
  const TimePoint begun = loop_now();
  auto& readiness = transport_.readiness();
  readiness.write_deadline(rules_.stall, rules_.stall_code);
  auto code = co_await readiness.wait(want);
  readiness.write_deadline(Duration::zero(), Code::none);
  if (code != Code::none) co_return Error(code, side_, "peer does not take what is sent");
  waited_ += since(begun);
  if (rules_.min_rate != 0 && waited_ > limits::kRateGrace &&
      sent_ * 1000 < rules_.min_rate * static_cast<std::uint64_t>(waited_.count())) {
    co_return Error(Code::body_too_slow, side_, "peer takes less than min_rate");
  }
  co_return {};
}

}  // namespace revproxyd::http::h1

#include "http/prior_knowledge.h"

#include <algorithm>

#include "http/h1/server_connection.h"
#include "http/h2/server_connection.h"
#include "revproxyd/base/limits.h"

namespace revproxyd::http {

namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// What came fits the preface as far as it goes.
bool may_be_preface(Bytes bytes) noexcept {
  const std::size_t size = std::min(bytes.size(), kPreface.size());
  return bytes.substr(0, size) == kPreface.substr(0, size);
}

}  // namespace

Task<Next> UndecidedConnection::decide() {
  Buffer received;
  auto& readiness = transport_->readiness();
  const TimePoint begun = loop_now();
  readiness.read_deadline(draining_ ? limits::kDrainTime : settings_.header, Code::header_timeout);
  while (received.size() < kPreface.size() && may_be_preface(received.held())) {
    if (!readiness.readable && !readiness.hangup && !transport_->pending()) {
      auto code = co_await readiness.wait(net::Want::read);
      if (code == Code::header_timeout && received.empty()) co_return Next::drained();
      // The time that has passed is a request's, too: it gets its answer.
      if (code == Code::header_timeout) break;
      if (code != Code::none) co_return Next::failure(Error(code, Side::downstream));
    }
    received.reserve(limits::kFirstRead);
    const net::IoResult result = transport_->try_read(received.room());
    if (result.status == net::IoStatus::failed)
      co_return Next::failure(result.error.at(Side::downstream));
    if (result.status == net::IoStatus::end) break;
    if (result.status == net::IoStatus::done) received.commit(result.bytes);
  }
  const bool preface = received.size() >= kPreface.size() && may_be_preface(received.held());
  if (preface) {
    readiness.read_deadline(Duration::zero(), Code::none);
    chosen_ = std::make_unique<h2::ServerConnection>(std::move(transport_), settings_, scope_,
                                                     received.held(), since(begun));
  } else {
    // With the deadline as it stands.
    chosen_ = std::make_unique<h1::ServerConnection>(std::move(transport_), settings_, scope_,
                                                     std::move(received));
  }
  if (draining_) chosen_->drain();
  if (retired_) chosen_->retire();
  auto next = co_await chosen_->next_stream();
  co_return std::move(next);
}

void UndecidedConnection::drain() noexcept {
  draining_ = true;
  if (chosen_ != nullptr) return chosen_->drain();
  // Its first request is on its way.
  transport_->readiness().read_deadline(limits::kDrainTime, Code::header_timeout);
}

void UndecidedConnection::retire() noexcept {
  retired_ = true;
  if (chosen_ != nullptr) chosen_->retire();
}

Task<void> UndecidedConnection::finish() {
  return chosen_ != nullptr ? chosen_->finish() : Task<void>::settled();
}

}  // namespace revproxyd::http

#include "proxy/held_body.h"

#include "revproxyd/base/limits.h"

namespace revproxyd::proxy {

Task<Result<http::Piece>> HeldBody::read() {
  // Only here: until now the last piece may have been a view of what is held.
  if (!keeping_ && replayed_ == held_.size()) {
    held_.release();
    replayed_ = 0;
  }
  if (replayed_ < held_.size()) {
    const Bytes again = held_.held().substr(replayed_);
    replayed_ = held_.size();
    co_return http::Piece(again, ended_);
  }
  if (ended_) co_return http::Piece({}, true);
  auto piece = co_await inner_->read();
  if (!piece) co_return piece.error();
  ended_ = piece->last;
  if (keeping_ && held_.size() + piece->bytes.size() <= limits::kReplayBody) {
    held_.append(piece->bytes);
    // Held here, it need not be there as well.
    inner_->release();
    co_return http::Piece(held_.held().substr(std::exchange(replayed_, held_.size())), ended_);
  }
  let_go();
  co_return *piece;
}

bool HeldBody::rewind() noexcept {
  if (!keeping_) return false;
  replayed_ = 0;
  return true;
}

void HeldBody::let_go() noexcept { keeping_ = false; }

}  // namespace revproxyd::proxy

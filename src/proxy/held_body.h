#pragma once
// A request body that can be read again, so that a request can be tried on another server.

#include <cstddef>
#include <memory>
#include <utility>

#include "revproxyd/base/buffer.h"
#include "revproxyd/http/body.h"

namespace revproxyd::proxy {

/// Keeps what was read of `inner` up to limits::kReplayBody; beyond that, and after let_go(),
/// rewinding is over.
class HeldBody final : public http::Body {
 public:
  explicit HeldBody(std::unique_ptr<http::Body> inner) noexcept : inner_(std::move(inner)) {}

  Task<Result<http::Piece>> read() override;
  bool ready() const noexcept override { return replayed_ < held_.size() || inner_->ready(); }
  const http::Fields* trailers() const noexcept override { return inner_->trailers(); }
  http::PipeSource* pipe_source() noexcept override {
    return keeping_ || replayed_ < held_.size() ? nullptr : inner_->pipe_source();
  }

  /// The next read() begins at the front again; false when that is no longer possible.
  bool rewind() noexcept;
  bool can_rewind() const noexcept { return keeping_; }
  /// All of it is held, so that rewinding cannot fail any more.
  bool complete() const noexcept { return keeping_ && ended_; }
  /// No other try will come: what is held is freed when it has been read.
  void let_go() noexcept;

 private:
  std::unique_ptr<http::Body> inner_;
  Buffer held_;
  std::size_t replayed_ = 0;  // of held_
  bool keeping_ = true;
  bool ended_ = false;  // inner_ has given its last piece
};

}  // namespace revproxyd::proxy

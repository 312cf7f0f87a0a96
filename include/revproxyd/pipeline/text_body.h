#pragma once
// A body that is at hand.

#include "revproxyd/http/body.h"

namespace revproxyd::pipeline {

/// `text` must outlive the body.
class TextBody final : public http::Body {
 public:
  explicit TextBody(Bytes text) noexcept : text_(text) {}
  Task<Result<http::Piece>> read() override;
  bool ready() const noexcept override { return true; }

 private:
  Bytes text_;
};

}  // namespace revproxyd::pipeline

#pragma once
// Bodies are pulled: whoever forwards one asks for the next piece, and not asking is back-pressure.

#include <cstdint>
#include <memory>

#include "revproxyd/base/bytes.h"
#include "revproxyd/base/error.h"
#include "revproxyd/base/result.h"
#include "revproxyd/base/slab.h"
#include "revproxyd/base/task.h"
#include "revproxyd/base/units.h"
#include "revproxyd/http/fields.h"

namespace revproxyd::http {

/// A run of body bytes. `last` means that nothing follows; a last piece may be empty.
struct Piece {
  Piece() noexcept = default;
  Piece(Bytes piece_bytes, bool is_last) noexcept : bytes(piece_bytes), last(is_last) {}
  Bytes bytes;
  bool last = false;
};

class PipeSource;

/// A message body with exactly one reader. Destroying it before its end abandons what is left.
class Body : public slab::Allocated {
 public:
  Body() noexcept = default;
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;
  virtual ~Body() = default;

  /// The next piece; its view lives until the next read() or the end of the body. Not called again
  /// after a last piece or an error.
  virtual Task<Result<Piece>> read() = 0;
  /// The last piece is not looked at any more, before the next read(): its memory may be given
  /// back.
  virtual void release() noexcept {}
  /// read() would not wait: bytes, or the end, are at hand. False may be wrong; true never is, or
  /// what is staged for the reader would be held back.
  virtual bool ready() const noexcept = 0;
  /// The rest of the body where it need not come into the process, else null. Asked between reads.
  virtual PipeSource* pipe_source() noexcept { return nullptr; }
  /// The trailer section, complete after the last piece; null when there is none.
  virtual const Fields* trailers() const noexcept { return nullptr; }
};

/// What a body that comes from a peer must keep to. Zero switches a rule off.
struct BodyRules {
  std::uint64_t max_bytes = 0;           // Code::body_too_large beyond it
  Duration stall{0};                     // longest wait for the next bytes
  Code stall_code = Code::body_timeout;  // what such a wait ends with
  std::uint64_t min_rate =
      0;  // bytes a second of waiting, after limits::kRateGrace; Code::body_too_slow
};

}  // namespace revproxyd::http

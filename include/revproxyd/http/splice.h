#pragma once
// Bodies that nobody looks at: from one socket to another within the kernel.
//
// Only a body that lies bare in a plain socket has a PipeSource, and only a message that goes bare
// into one has a PipeSink; whoever wraps a body to see its bytes inherits having none.

#include "revproxyd/base/result.h"
#include "revproxyd/base/task.h"
#include "revproxyd/net/pipe.h"

namespace revproxyd::http {

/// The rest of a body, from where it has been read to.
class PipeSource {
 public:
  /// Moves at least one byte into the empty pipe, waiting for it under the body's rules. Errors are
  /// those of Body::read().
  virtual Task<Result<void>> receive_into(net::Pipe& pipe) = 0;
  /// Nothing follows what has been moved.
  virtual bool ended() const noexcept = 0;

 protected:
  ~PipeSource() = default;
};

/// Where the rest of a body may go.
class PipeSink {
 public:
  /// Empties the pipe; `last` ends the message. Errors are those of send_body().
  virtual Task<Result<void>> send_from(net::Pipe& pipe, bool last) = 0;

 protected:
  ~PipeSink() = default;
};

/// Moves the rest of the body. False, and nothing moved, when there is no pipe to be had; what was
/// staged must have been flushed.
Task<Result<bool>> splice(PipeSource& source, PipeSink& sink);

}  // namespace revproxyd::http

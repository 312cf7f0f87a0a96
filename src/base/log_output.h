#pragma once
// Where log lines end up: a file, standard output or standard error. Writing never waits, whatever
// sits at the other end.

#include <sys/types.h>

#include <string>

#include "revproxyd/base/bytes.h"
#include "revproxyd/base/result.h"

namespace revproxyd {

/// An open log. "-" is standard output and "stderr" standard error; anything else is a file that is
/// appended to.
class LogOutput {
 public:
  /// Fails with Code::system and the errno of the call that failed. A FIFO without a reader is such
  /// a failure.
  static Result<LogOutput> open(const std::string& path);

  LogOutput(LogOutput&& other) noexcept;
  LogOutput& operator=(LogOutput&& other) noexcept;
  LogOutput(const LogOutput&) = delete;
  LogOutput& operator=(const LogOutput&) = delete;
  ~LogOutput() { close(); }

  /// Bytes taken, or the negative errno; -EAGAIN when the reader is behind (then poll fd() for
  /// POLLOUT).
  ssize_t write(Bytes bytes) noexcept;

  /// The front of `lines` that one write() should be given. Others may write to the same pipe, and
  /// only a short write is one piece there (PIPE_BUF, pipe(7)), so that pipes, sockets and
  /// terminals get whole lines of at most 4 KiB together.
  Bytes piece(Bytes lines) const noexcept;

  int fd() const noexcept { return fd_; }

 private:
  enum class Kind : unsigned char { file, stream, blocking_stream, socket };
  LogOutput(int fd, Kind kind) noexcept : fd_(fd), kind_(kind) {}
  static Result<LogOutput> open_inherited(int fd);
  void close() noexcept;

  int fd_ = -1;
  Kind kind_ = Kind::file;
};

}  // namespace revproxyd

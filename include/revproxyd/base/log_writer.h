#pragma once
// The thread that writes finished log lines, and the batch in which a worker collects them. Workers
// never wait for a disk or a reader: what cannot be kept is dropped and counted.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "revproxyd/base/buffer.h"
#include "revproxyd/base/bytes.h"
#include "revproxyd/base/result.h"
#include "revproxyd/base/units.h"

namespace revproxyd {

struct LogWriterOptions {
  /// "-" = standard output, "stderr" = standard error, else a file; created with mode 0640 and
  /// appended to.
  std::string path = "-";
  /// What may wait to be written, in bytes of memory, beside a full one of each LogBatch.
  std::size_t pending_bytes = 8 * 1024 * 1024;
  /// Told, on the writer's thread, in one line what is wrong or well again. May be empty. Must not
  /// call into the writer.
  std::function<void(std::string_view)> report;
  /// At most one line of trouble in this time.
  Duration report_interval{60000};
};

/// Writes batches in the order in which they were handed over. Every function may be called from
/// any thread.
///
/// What cannot be written (disk full, I/O error, reader gone) is kept, in order, and tried again
/// five times a second, within the bound of what may wait; what is handed over beyond that is
/// dropped. No line is torn: only reopen() and a stop in such a moment leave half a line, at the
/// end of the old file.
class LogWriter {
 public:
  /// Opens the path and starts the thread. The error has Code::system and the errno.
  static Result<std::unique_ptr<LogWriter>> open(LogWriterOptions options);
  /// flush_and_stop(0): call that with a limit before, or lose what is pending.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  /// Hands over whole lines, each with its newline. False when they were dropped: too much is
  /// pending, or stopped. `batch` is empty afterwards and may have got other memory, or none.
  bool submit(Buffer& batch);
  /// The same with a copy of `lines`, for who has few.
  bool submit(Bytes lines);

  /// Lines lost since the start, for whatever reason.
  std::uint64_t dropped_lines() const noexcept;
  /// Bytes of memory that wait or are being written.
  std::size_t pending_bytes() const noexcept;

  /// Opens the path again and goes on there, as after a rename by logrotate. On an error the old
  /// file stays in use. What was handed over before may go to either file, what comes after goes to
  /// the new one.
  Result<void> reopen();

  /// Waits until nothing is pending, at most `limit`; whether that was reached.
  bool flush(Duration limit);

  /// Writes what is pending within `limit`, drops and counts the rest, ends the thread. A write
  /// that fails is not tried again. Later batches are dropped.
  void flush_and_stop(Duration limit);

 private:
  friend class LogBatch;
  struct State;
  explicit LogWriter(std::unique_ptr<State> state);
  void admit_batch() noexcept;
  void dismiss_batch() noexcept;

  std::unique_ptr<State> state_;
  std::jthread thread_;
};

/// A worker's lines on their way to the writer. Belongs to one thread; the writer must outlive it.
/// The owner calls flush() from its loop every 200 ms, so that quiet services see their lines soon
/// and their batches stay small.
class LogBatch {
 public:
  /// The memory that a batch may grow to. To wake the writer and to call the kernel costs as much
  /// as writing fifty kilobytes, so a busy worker had better do so rarely.
  static constexpr std::size_t kSize = 512 * 1024;
  /// All of it but for the room of a usual line; lines that need more of it make a batch smaller,
  /// by half at most.
  static constexpr std::size_t kHandOver = kSize - 16 * 1024;

  explicit LogBatch(LogWriter& writer) noexcept : writer_(writer) { writer_.admit_batch(); }
  ~LogBatch() {
    flush();
    writer_.dismiss_batch();
  }
  LogBatch(const LogBatch&) = delete;
  LogBatch& operator=(const LogBatch&) = delete;

  /// Formats in place: append the line with its newline to what is returned, which has `room`
  /// bytes for it, then call line_done(). The buffer does not grow beyond kSize, unless a line
  /// needs more than half of that.
  Buffer& line(std::size_t room) {
    if (lines_.size() + room > kSize && lines_.size() >= kHandOver / 2) flush();
    lines_.reserve(room);
    return lines_;
  }
  /// A usual line comes soon: the memory that it goes to is fetched into the caches.
  void fetch_ahead() noexcept {
    const MutableBytes room = lines_.room();
    const std::size_t size = std::min(kUsualLine, room.size());
    for (std::size_t at = 0; at < size; at += kCacheLine) __builtin_prefetch(room.data() + at, 1);
  }
  void line_done() {
    if (lines_.size() >= kHandOver) flush();
  }
  /// Copies a line that has no newline of its own.
  void append(Bytes line);
  /// Hands over what was collected; nothing happens when that is nothing.
  void flush();

 private:
  static constexpr std::size_t kUsualLine = 384;
  static constexpr std::size_t kCacheLine = 64;

  LogWriter& writer_;
  Buffer lines_;
};

}  // namespace revproxyd

#pragma once
// The log of the process: starts, reloads, troubles. Requests go to the access log instead
// (base/log_writer.h). Lines are written by a thread of their own from a bounded queue, so that no
// disk and no reader holds up traffic.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "revproxyd/base/result.h"
#include "revproxyd/base/units.h"

namespace revproxyd {
class LogWriter;
}

namespace revproxyd::log {

enum class Level : std::uint8_t { debug, info, warn, error };

struct Options {
  Level level = Level::info;
  std::string path =
      "stderr";  // or a file, created with mode 0640 and appended to; "-" is standard output
  bool operator==(const Options&) const = default;
};

/// Opens the destination of `options`, not in use yet; null when it is the one in use. On an error
/// (Code::system with errno) all stays as it was.
Result<std::unique_ptr<LogWriter>> open(const Options& options);

/// Sets level and destination, at the start and at each reload, to what open() gave for `options`.
/// Until the first call lines go straight to standard error.
void use(const Options& options, std::unique_ptr<LogWriter> opened);

/// Both at once.
Result<void> configure(const Options& options);

/// Opens the file again, after a rename; the old one stays in use when that fails. Nothing to do on
/// a standard stream.
Result<void> reopen();

/// Waits until all lines are written, at most `limit`; whether that was reached.
bool flush(Duration limit);

/// Writes what is queued within `limit` and ends the thread. Later lines go straight to standard
/// error.
void stop(Duration limit);

/// Lines lost because the destination was full, failing or slow. The log says so itself when it can
/// write again.
std::uint64_t dropped_lines() noexcept;

bool enabled(Level level) noexcept;

/// Version of the library below, for -V.
std::string_view library_version() noexcept;

/// Writes one line, from any thread. Control characters in `text` become \xHH: one call is one
/// line, whoever supplied the text.
///
/// Lines of one `key` (the text itself when empty) pass at most 10 times a second, all lines
/// together at most 1000 times; what was held back is counted in a line of its own, written with
/// the next line of the log once that second is over. Give a key where the text varies with what
/// clients do. Debug lines are not limited.
void write(Level level, std::string_view text, std::string_view key = {}) noexcept;

inline void debug(std::string_view text) noexcept { write(Level::debug, text); }
inline void info(std::string_view text) noexcept { write(Level::info, text); }
inline void warn(std::string_view text) noexcept { write(Level::warn, text); }
inline void error(std::string_view text) noexcept { write(Level::error, text); }

/// Writes each line of `text` as a line, unlimited: for reports on the configuration. Not for what
/// a client can cause.
void lines(Level level, std::string_view text) noexcept;

/// Text of a client as it may stand in a line, between quotes too: control characters, quote,
/// backslash and all beyond ASCII as \xHH; cut with "..." after `limit` bytes of `text`.
std::string escaped(std::string_view text, std::size_t limit = 256);

/// Sees every line that is written (level, text without the time), serialised; an empty function
/// ends that. While it is set lines go nowhere else. For tests; it must not log.
using Capture = std::function<void(Level, std::string_view)>;
void capture(Capture capture);

/// Builds a line and writes it at the end of the statement; below the level it formats nothing:
///   log::Line(Level::info) << "listener " << name << ": " << error;
class Line {
 public:
  /// `key` as of write(); it must live until the statement ends.
  explicit Line(Level level, std::string_view key = {}) noexcept
      : key_(key), level_(level), enabled_(enabled(level)) {}
  ~Line() {
    if (enabled_) write(level_, text_, key_);
  }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  Line& operator<<(std::string_view text) {
    if (enabled_) text_.append(text);
    return *this;
  }
  Line& operator<<(const char* text) { return *this << std::string_view(text); }
  Line& operator<<(char c) { return *this << std::string_view(&c, 1); }
  template <std::integral Number>
  Line& operator<<(Number number) {
    if (enabled_) text_.append(std::to_string(number));
    return *this;
  }
  Line& operator<<(bool value) { return *this << (value ? "true" : "false"); }
  Line& operator<<(Duration duration) { return *this << duration.count() << " ms"; }
  /// The code's word, then the text and the meaning of the errno where there are such.
  Line& operator<<(const Error& error);

 private:
  std::string text_;
  std::string_view key_;
  Level level_;
  bool enabled_;
};

}  // namespace revproxyd::log

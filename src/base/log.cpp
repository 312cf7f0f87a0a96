#include "revproxyd/base/log.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>

#include <spdlog/common.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/version.h>

#include "base/log_limiter.h"
#include "revproxyd/base/log_writer.h"

namespace revproxyd::log {

namespace {

constexpr std::size_t kPendingBytes = 1024 * 1024;
// What the old destination gets when a reload names another one, or when the process ends without
// stop().
constexpr Duration kPartingTime{1000};
// Without a writer, a reader of standard error that is behind is waited for so long before a line
// is dropped.
constexpr int kDirectWait_ms = 100;

std::atomic<Level> threshold{Level::info};

/// Where spdlog puts a formatted line. Called under Log's mutex only.
class Sink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  void use(LogWriter* writer) noexcept { writer_ = writer; }
  std::uint64_t dropped() const noexcept { return dropped_; }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (writer_ != nullptr) {
      ignore(writer_->submit(Bytes(line.data(), line.size())), "the writer counts what it drops");
      return;
    }
    pollfd entry{STDERR_FILENO, POLLOUT, 0};
    const bool writable = ::poll(&entry, 1, kDirectWait_ms) == 1;
    if (!writable || ::write(STDERR_FILENO, line.data(), line.size()) < 0) ++dropped_;
  }
  void flush_() override {}

 private:
  LogWriter* writer_ = nullptr;
  std::uint64_t dropped_ = 0;
};

spdlog::level::level_enum spdlog_level(Level level) noexcept {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warn: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

bool is_control(char c) noexcept { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// U+0080 to U+009F in UTF-8, which terminals take for escape sequences too.
bool begins_late_control(std::string_view text) noexcept {
  if (text.size() < 2 || text[0] != '\xc2') return false;
  const auto second = static_cast<unsigned char>(text[1]);
  return second >= 0x80 && second < 0xa0;
}

void append_hex(std::string& out, char c) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  out += "\\x";
  out += kDigits[byte >> 4];
  out += kDigits[byte & 15];
}

std::string without_controls(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t late = begins_late_control(text) ? 2 : 0;
    const std::size_t escaped = is_control(text.front()) ? 1 : late;
    for (char c : text.substr(0, escaped)) append_hex(out, c);
    if (escaped == 0) out += text.front();
    text.remove_prefix(std::max<std::size_t>(escaped, 1));
  }
  return out;
}

/// The one log of the process. Its mutex is held while a line is formatted and queued, never while
/// one is written by a writer.
class Log {
 public:
  Log() : sink_(std::make_shared<Sink>()), logger_("revproxyd", sink_) {
    logger_.set_level(spdlog::level::trace);
    logger_.set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l: %v", spdlog::pattern_time_type::utc);
  }
  ~Log() { stop(kPartingTime); }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  Result<std::unique_ptr<LogWriter>> open(const Options& options);
  void use(const Options& options, std::unique_ptr<LogWriter> opened);
  Result<void> reopen();
  bool flush(Duration limit);
  void stop(Duration limit);
  std::uint64_t dropped();
  void write(Level level, std::string_view text, std::string_view key);
  void lines(Level level, std::string_view text);
  void set_capture(Capture capture);

 private:
  void emit(Level level, std::string_view text);
  void emit_loss();
  Limiter::Report report();

  std::mutex configuration_;  // taken first: configure, reopen, flush and stop do not overlap
  std::mutex mutex_;
  std::shared_ptr<Sink> sink_;
  spdlog::logger logger_;
  std::unique_ptr<LogWriter> writer_;
  Options options_;
  Limiter limiter_;
  Capture capture_;
  std::uint64_t dropped_before_ = 0;  // by writers that are gone
  std::uint64_t announced_ = 0;
};

Log& instance() {
  static Log log;
  return log;
}

Result<std::unique_ptr<LogWriter>> Log::open(const Options& options) {
  const std::lock_guard configuration(configuration_);
  if (writer_ != nullptr && options.path == options_.path) return std::unique_ptr<LogWriter>();
  LogWriterOptions to;
  to.path = options.path;
  to.pending_bytes = kPendingBytes;
  return LogWriter::open(std::move(to));
}

void Log::use(const Options& options, std::unique_ptr<LogWriter> opened) {
  const std::lock_guard configuration(configuration_);
  if (opened != nullptr) {
    const std::lock_guard lock(mutex_);
    std::swap(writer_, opened);
    sink_->use(writer_.get());
  }
  options_ = options;
  threshold.store(options.level, std::memory_order_relaxed);
  if (opened == nullptr) return;  // the one before
  opened->flush_and_stop(kPartingTime);
  const std::lock_guard lock(mutex_);
  dropped_before_ += opened->dropped_lines();
}

Result<void> Log::reopen() {
  const std::lock_guard configuration(configuration_);
  return writer_ != nullptr ? writer_->reopen() : Result<void>();
}

bool Log::flush(Duration limit) {
  const std::lock_guard configuration(configuration_);
  return writer_ == nullptr || writer_->flush(limit);
}

void Log::stop(Duration limit) {
  const std::lock_guard configuration(configuration_);
  std::unique_ptr<LogWriter> parting;
  {
    const std::lock_guard lock(mutex_);
    limiter_.finish(report());
    parting = std::move(writer_);
    sink_->use(nullptr);
  }
  if (parting == nullptr) return;
  parting->flush_and_stop(limit);
  const std::lock_guard lock(mutex_);
  dropped_before_ += parting->dropped_lines();
}

std::uint64_t Log::dropped() {
  const std::lock_guard lock(mutex_);
  return dropped_before_ + sink_->dropped() + (writer_ != nullptr ? writer_->dropped_lines() : 0);
}

void Log::write(Level level, std::string_view text, std::string_view key) {
  const std::lock_guard lock(mutex_);
  if (!limiter_.admit(level, text, key, Clock::now(), report())) return;
  emit_loss();
  emit(level, text);
}

void Log::lines(Level level, std::string_view text) {
  const std::lock_guard lock(mutex_);
  emit_loss();
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    emit(level, text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void Log::set_capture(Capture capture) {
  const std::lock_guard lock(mutex_);
  capture_ = std::move(capture);
  limiter_ = Limiter();
}

void Log::emit(Level level, std::string_view text) {
  const std::string line = without_controls(text);
  if (capture_) return capture_(level, line);
  logger_.log(spdlog_level(level), spdlog::string_view_t(line.data(), line.size()));
}

void Log::emit_loss() {
  if (writer_ == nullptr || capture_) return;
  const std::uint64_t lost = writer_->dropped_lines() + dropped_before_;
  // Only once the queue moves again: this line would be lost like the others.
  if (lost <= announced_ || writer_->pending_bytes() > kPendingBytes / 2) return;
  emit(Level::warn, "this log lost lines: " + std::to_string(lost - announced_));
  announced_ = lost;
}

Limiter::Report Log::report() {
  return [this](Level level, std::uint64_t count, std::string_view sample) {
    emit(level, "suppressed " + std::to_string(count) + " more like: " + std::string(sample));
  };
}

}  // namespace

Result<std::unique_ptr<LogWriter>> open(const Options& options) { return instance().open(options); }

void use(const Options& options, std::unique_ptr<LogWriter> opened) {
  instance().use(options, std::move(opened));
}

Result<void> configure(const Options& options) {
  auto opened = open(options);
  if (!opened) return opened.error();
  use(options, std::move(*opened));
  return {};
}

Result<void> reopen() { return instance().reopen(); }
bool flush(Duration limit) { return instance().flush(limit); }
void stop(Duration limit) { instance().stop(limit); }
std::uint64_t dropped_lines() noexcept { return instance().dropped(); }
void capture(Capture capture) { instance().set_capture(std::move(capture)); }

bool enabled(Level level) noexcept { return level >= threshold.load(std::memory_order_relaxed); }

void write(Level level, std::string_view text, std::string_view key) noexcept {
  if (!enabled(level)) return;
  try {
    instance().write(level, text, key);
  } catch (...) {
    // Out of memory: a log line is the last thing to fail for.
  }
}

void lines(Level level, std::string_view text) noexcept {
  if (!enabled(level)) return;
  try {
    instance().lines(level, text);
  } catch (...) {
    // As above.
  }
}

std::string escaped(std::string_view text, std::size_t limit) {
  std::string out;
  for (char c : text.substr(0, limit)) {
    const bool plain =
        !is_control(c) && static_cast<unsigned char>(c) < 0x80 && c != '"' && c != '\\';
    if (plain) {
      out += c;
    } else {
      append_hex(out, c);
    }
  }
  if (text.size() > limit) out += "...";
  return out;
}

Line& Line::operator<<(const Error& error) {
  *this << name(error.code());
  if (!error.text().empty()) *this << ": " << error.text();
  if (error.sys() != 0 && enabled_) *this << ": " << std::generic_category().message(error.sys());
  return *this;
}

std::string_view library_version() noexcept {
  static const std::string text = std::to_string(SPDLOG_VER_MAJOR) + "." +
                                  std::to_string(SPDLOG_VER_MINOR) + "." +
                                  std::to_string(SPDLOG_VER_PATCH);
  return text;
}

}  // namespace revproxyd::log

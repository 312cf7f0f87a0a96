#include "app/logs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "revproxyd/base/log.h"

namespace revproxyd::app {

namespace {

log::Level level_of(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug: return log::Level::debug;
    case LogLevel::info: return log::Level::info;
    case LogLevel::warn: return log::Level::warn;
    case LogLevel::error: return log::Level::error;
  }
  return log::Level::info;
}

log::Options log_options(const Settings& settings) {
  log::Options options;
  options.level = level_of(settings.log.level);
  options.path = settings.log.path;
  return options;
}

}  // namespace

FreshLogFile::FreshLogFile(const std::string& path) {
  struct stat status {};
  const bool named = path == "-" || path == "stderr";
  if (!named && ::lstat(path.c_str(), &status) != 0 && errno == ENOENT) path_ = path;
}

FreshLogFile::~FreshLogFile() {
  struct stat status {};
  if (path_.empty() || ::lstat(path_.c_str(), &status) != 0) return;
  if (S_ISREG(status.st_mode) && status.st_size == 0) ::unlink(path_.c_str());
}

std::string text_of(const Error& error) {
  std::string text(error.text());
  if (error.sys() != 0) text += ": " + std::generic_category().message(error.sys());
  return text;
}

const char* text_of(const std::exception& problem) noexcept {
  const bool memory = dynamic_cast<const std::bad_alloc*>(&problem) != nullptr;
  return memory ? "out of memory" : problem.what();
}

bool open_logs(const Settings& settings, const Settings& before,
               const std::shared_ptr<LogWriter>& access_log, OpenLogs& logs, std::string& problem) {
  const auto& wanted = settings.access_log;
  const bool same =
      access_log != nullptr && wanted.enabled && wanted.path == before.access_log.path;
  if (same) logs.access = access_log;
  if (wanted.enabled && !same) {
    logs.files.emplace_back(wanted.path);
    LogWriterOptions options;
    options.path = wanted.path;
    options.report = [](std::string_view text) { log::warn(text); };
    auto opened = LogWriter::open(std::move(options));
    if (!opened) {
      problem = "access_log " + wanted.path + ": " + text_of(opened.error());
      return false;
    }
    logs.access = std::move(*opened);
  }
  logs.files.emplace_back(settings.log.path);
  auto opened = log::open(log_options(settings));
  if (!opened) {
    problem = "log " + settings.log.path + ": " + text_of(opened.error());
    return false;
  }
  logs.process = std::move(*opened);
  if (logs.process == nullptr) logs.files.back().keep();  // it is in use
  return true;
}

std::shared_ptr<LogWriter> use_logs(const Settings& settings, OpenLogs logs) {
  for (FreshLogFile& file : logs.files) file.keep();
  log::use(log_options(settings), std::move(logs.process));
  return std::move(logs.access);
}

void reopen_logs(LogWriter* access_log) {
  if (auto reopened = log::reopen(); !reopened)
    log::Line(log::Level::error) << "log: " << text_of(reopened.error());
  if (access_log == nullptr) return;
  if (auto reopened = access_log->reopen(); !reopened) {
    log::Line(log::Level::error) << "access_log: " << text_of(reopened.error());
    return;
  }
  log::info("logs reopened");
}

}  // namespace revproxyd::app

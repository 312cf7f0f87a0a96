#pragma once
// The two logs of the process, as the configuration wants them.

#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "revproxyd/app/settings.h"
#include "revproxyd/base/log_writer.h"

namespace revproxyd::app {

/// The file of a log that is opened and not in use yet. If there was none before, and nothing has
/// been written to it, it goes with this object.
class FreshLogFile {
 public:
  /// To be made before the log is opened.
  explicit FreshLogFile(const std::string& path);
  FreshLogFile(FreshLogFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  FreshLogFile& operator=(FreshLogFile&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~FreshLogFile();

  void keep() noexcept { path_.clear(); }

 private:
  std::string path_;
};

/// Logs that are open, and of which those that are new are not in use yet.
struct OpenLogs {
  std::vector<FreshLogFile> files;
  std::shared_ptr<LogWriter> access;   // null without an access log
  std::unique_ptr<LogWriter> process;  // null where that in use stays
};

/// Opens what `settings` name. `access_log` is the writer in use under `before`. False with
/// `problem`; in either case nothing that is in use has changed.
bool open_logs(const Settings& settings, const Settings& before,
               const std::shared_ptr<LogWriter>& access_log, OpenLogs& logs, std::string& problem);

/// The log of the process is as `settings` want it from now on; returns the access log.
std::shared_ptr<LogWriter> use_logs(const Settings& settings, OpenLogs logs);

/// Opens the files again, after they were renamed; troubles go to the log. The writer may be null.
void reopen_logs(LogWriter* access_log);

/// The text of an error with the meaning of its errno.
std::string text_of(const Error& error);
/// What an exception says, in our words where those of the library say nothing to an operator.
const char* text_of(const std::exception& problem) noexcept;

}  // namespace revproxyd::app

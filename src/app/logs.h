#pragma once
// The two logs of the process, as the configuration wants them.

#include <memory>
#include <string>

#include "revproxyd/app/settings.h"
#include "revproxyd/base/log_writer.h"

namespace revproxyd::app {

/// Logs that are open, and of which those that are new are not in use yet.
struct OpenLogs {
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

}  // namespace revproxyd::app

#pragma once
// The two logs of the process, as the configuration wants them.

#include <memory>
#include <string>

#include "revproxyd/app/settings.h"
#include "revproxyd/base/log_writer.h"

namespace revproxyd::app {

/// Opens what `settings` name. `access_log` is the writer in use under `before`, and is replaced
/// where another is wanted. False with `problem`, and nothing has changed.
bool open_logs(const Settings& settings, const Settings& before,
               std::shared_ptr<LogWriter>& access_log, std::string& problem);

/// Opens the files again, after they were renamed; troubles go to the log. The writer may be null.
void reopen_logs(LogWriter* access_log);

/// The text of an error with the meaning of its errno.
std::string text_of(const Error& error);

}  // namespace revproxyd::app

#pragma once
// What each form of the command line does; each returns an exit code.

#include "app/command_line.h"
#include "app/program.h"

namespace revproxyd::app {

/// `program` is how this process was started.
int run_command(const CommandLine& command, const Program& program);

}  // namespace revproxyd::app

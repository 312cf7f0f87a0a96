#pragma once
// What each form of the command line does; each returns an exit code.

#include "app/command_line.h"

namespace revproxyd::app {

int run_command(const CommandLine& command);

}  // namespace revproxyd::app

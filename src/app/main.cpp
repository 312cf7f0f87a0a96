// The process: from the words of the command line to an exit code.

#include <csignal>
#include <exception>
#include <cstdio>
#include <string_view>
#include <vector>

#include "app/command_line.h"
#include "app/commands.h"

int main(int argc, char** argv) {
  // A peer that has gone is an error of a write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  try {
    return revproxyd::app::run_command(revproxyd::app::parse_command_line(arguments));
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "revproxyd: %s\n", problem.what());
    return revproxyd::app::kExitStartFailed;
  }
}

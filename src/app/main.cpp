// The process: from the words of the command line to an exit code.

#include <malloc.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <string_view>
#include <vector>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/descriptors.h"
#include "app/logs.h"

int main(int argc, char** argv) {
  revproxyd::app::occupy_standard_descriptors();
  const revproxyd::app::Program program = revproxyd::app::this_program(argc, argv);
  // A peer that has gone is an error of a write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  // A thread's heap grows by mprotect(): in large steps, so that taking up connections does not
  // mean a call for each.
  ::mallopt(M_TOP_PAD, 512 * 1024);
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  try {
    return revproxyd::app::run_command(revproxyd::app::parse_command_line(arguments), program);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "revproxyd: %s\n", revproxyd::app::text_of(problem));
    return revproxyd::app::kExitStartFailed;
  }
}

#pragma once
// Running other programs.

#include <string>
#include <vector>

#include "tests/support/waiting.h"

namespace revproxyd::testing {

struct CommandResult {
  int status = -1;  // exit code; 128 + number after a signal; 127 when there is no such program
  std::string out;  // standard output and standard error as they came
};

/// Runs argv[0] from PATH with an empty standard input. Killed, and an exception, after `patience`.
CommandResult run_command(const std::vector<std::string>& argv,
                          Milliseconds patience = Milliseconds(30000));

/// Listening sockets passed as a service manager does.
struct Activation {
  std::vector<int> sockets;
  std::string names;  // with colons between them; empty: none are told
};

/// Starts argv[0] with these descriptors as standard input, output and error. The process dies with
/// the calling thread.
int start_process(const std::vector<std::string>& argv, int in, int out, int error,
                  const Activation& activation = {});

/// Waits for the process to end; its status as above. Kills it, and returns -1, after `patience`.
int wait_process(int pid, Milliseconds patience);

}  // namespace revproxyd::testing

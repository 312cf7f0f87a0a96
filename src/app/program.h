#pragma once
// How this process was started, so that it can start its successor the same way.

#include <sys/types.h>

#include <string>
#include <vector>

#include "revproxyd/base/result.h"

namespace revproxyd::app {

struct Program {
  std::string path;                    // absolute, as it was started; links are followed anew
  std::vector<std::string> arguments;  // with the name in front
};

/// To be called first: the path may be relative to the working directory of now.
Program this_program(int argc, char** argv);

/// Where a successor finds the socket to its predecessor, and the variable that says so.
inline constexpr int kUpgradeSocket = 3;
inline constexpr const char* kUpgradeVariable = "REVPROXYD_UPGRADE";

/// Starts `program` with the standard streams of this process and `socket`, and no other
/// descriptor. A failure to run the file is an error here.
Result<pid_t> start_successor(const Program& program, int socket);

}  // namespace revproxyd::app

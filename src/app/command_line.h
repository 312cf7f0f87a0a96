#pragma once
// What the words behind `revproxyd` ask for.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace revproxyd::app {

enum class Action : std::uint8_t { run, test, print, schema, version, help, control, refuse };

/// Exit codes of the daemon.
inline constexpr int kExitOk = 0;
inline constexpr int kExitBadConfiguration = 1;  // a bad command line too
inline constexpr int kExitWarnings = 2;          // under --strict
inline constexpr int kExitStartFailed = 3;       // and all else that failed

struct CommandLine {
  Action action = Action::run;
  std::string config;           // -c FILE; empty when --listen and --to say it all
  bool strict = false;          // warnings count
  std::string listen;           // --listen ADDR
  std::vector<std::string> to;  // --to URL[,URL...]
  std::string verb;             // of ctl
  std::string socket;           // --socket PATH of ctl; empty = the configured or the default one
  std::string problem;          // why Action::refuse
  std::string hint;
};

/// `arguments` without the program's name. Pure.
CommandLine parse_command_line(std::span<const std::string_view> arguments);

/// What ctl takes, as a list for people.
std::string verbs();

/// What -h prints.
std::string_view usage() noexcept;

}  // namespace revproxyd::app

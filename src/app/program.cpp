#include "app/program.h"

#include <signal.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <string_view>

namespace revproxyd::app {

namespace {

std::string working_directory() {
  std::array<char, PATH_MAX> room{};
  return ::getcwd(room.data(), room.size()) == nullptr ? std::string() : std::string(room.data());
}

std::string own_image() {
  std::array<char, PATH_MAX> room{};
  const ssize_t size = ::readlink("/proc/self/exe", room.data(), room.size());
  return size <= 0 ? std::string() : std::string(room.data(), static_cast<std::size_t>(size));
}

// What the kernel was asked to run. A descriptor (fexecve(3)) is no path that can be run again.
std::string started_path() {
  // NOLINTNEXTLINE: the kernel's way to pass a pointer
  const auto* asked = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
  const std::string_view path = asked == nullptr ? std::string_view() : asked;
  if (path.empty() || path.starts_with("/dev/fd/") || path.starts_with("/proc/"))
    return own_image();
  if (path.front() == '/') return std::string(path);
  return working_directory() + "/" + std::string(path);
}

// Its own copy of the environment: the threads of this process go on using theirs. What names this
// process is left out, or the next one would not believe it.
std::vector<std::string> environment_of_successor() {
  constexpr std::array<std::string_view, 2> kOwn{"WATCHDOG_PID=", kUpgradeVariable};
  std::vector<std::string> out;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view one(*at);
    if (!one.starts_with(kOwn[0]) && !one.starts_with(kOwn[1])) out.emplace_back(one);
  }
  out.push_back(std::string(kUpgradeVariable) + "=" + std::to_string(kUpgradeSocket));
  return out;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

Program this_program(int argc, char** argv) {
  return {started_path(), std::vector<std::string>(argv, argv + argc)};
}

Result<pid_t> start_successor(const Program& program, int socket) {
  std::vector<std::string> arguments = program.arguments;
  std::vector<std::string> environment = environment_of_successor();
  const auto argument_pointers = pointers_to(arguments);
  const auto environment_pointers = pointers_to(environment);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, socket, kUpgradeSocket);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, kUpgradeSocket + 1);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = -1;
  const int failed = ::posix_spawn(&pid, program.path.c_str(), &actions, &attributes,
                                   argument_pointers.data(), environment_pointers.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return Error(Code::system, "cannot run the binary", failed);
  return pid;
}

}  // namespace revproxyd::app

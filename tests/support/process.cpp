#include "tests/support/process.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "tests/support/files.h"

namespace revproxyd::testing {

HeldThread::HeldThread(pid_t process, const std::string& name) {
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
    if (read_file(task.path().string() + "/comm") == name + "\n")
      thread_ = std::stoi(task.path().filename().string());
  }
  held_ = thread_ > 0 && ::ptrace(PTRACE_SEIZE, thread_, nullptr, nullptr) == 0 &&
          ::ptrace(PTRACE_INTERRUPT, thread_, nullptr, nullptr) == 0;
  int status = 0;
  if (held_) ::waitpid(thread_, &status, __WALL);
}

void HeldThread::release() noexcept {
  if (held_) ::ptrace(PTRACE_DETACH, thread_, nullptr, nullptr);
  held_ = false;
}

bool HeldThread::ends(Milliseconds patience) {
  int status = 0;
  const auto ended = [&] {
    return ::waitpid(thread_, &status, __WALL | WNOHANG) == thread_ &&
           (WIFEXITED(status) || WIFSIGNALED(status));
  };
  if (!held_ || !wait_until(ended, patience)) return false;
  held_ = false;
  return true;
}

DescriptorLimit::DescriptorLimit(pid_t process, std::size_t limit) : process_(process) {
  rlimit now{};
  if (::prlimit(process, RLIMIT_NOFILE, nullptr, &now) != 0)
    throw std::runtime_error("cannot read the limit of descriptors");
  before_ = now.rlim_cur;
  now.rlim_cur = limit;
  if (::prlimit(process, RLIMIT_NOFILE, &now, nullptr) != 0)
    throw std::runtime_error("cannot set the limit of descriptors");
}

DescriptorLimit::~DescriptorLimit() {
  rlimit now{};
  if (::prlimit(process_, RLIMIT_NOFILE, nullptr, &now) != 0) return;
  now.rlim_cur = before_;
  ::prlimit(process_, RLIMIT_NOFILE, &now, nullptr);
}

std::size_t raise_descriptor_limit() {
  rlimit now{};
  ::getrlimit(RLIMIT_NOFILE, &now);
  now.rlim_cur = now.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &now);
  ::getrlimit(RLIMIT_NOFILE, &now);
  return now.rlim_cur;
}

pid_t child_of(pid_t process) {
  const std::string number = std::to_string(process);
  const std::string children = read_file("/proc/" + number + "/task/" + number + "/children");
  return children.empty() ? -1 : std::stoi(children);
}

void deliver_signal(pid_t process, int number) {
  const std::string file = "/proc/" + std::to_string(process) + "/status";
  const std::string none = "ShdPnd:\t0000000000000000\n";
  if (::kill(process, number) != 0) throw std::runtime_error("cannot send a signal");
  if (!wait_until([&] { return read_file(file).find(none) != std::string::npos; }))
    throw std::runtime_error("a signal was not taken");
}

Milliseconds processor_time(pid_t process) {
  const std::string stat = read_file("/proc/" + std::to_string(process) + "/stat");
  // Behind the name, which may hold anything: 11 fields, then user and system time.
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  long user = 0;
  long system = 0;
  fields >> user >> system;
  return Milliseconds((user + system) * 1000 / ::sysconf(_SC_CLK_TCK));
}

}  // namespace revproxyd::testing

#include "tests/support/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <stdexcept>

namespace revproxyd::testing {

namespace {

constexpr int kNoProgram = 127;

int status_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

// In the child: the descriptors from 3 on, and the variables that speak of them.
unsigned pass_on(const Activation& activation) {
  constexpr int kFirst = 3;
  constexpr int kAside = 200;
  std::vector<int> copies;
  for (const int socket : activation.sockets) copies.push_back(::fcntl(socket, F_DUPFD, kAside));
  int next = kFirst;
  for (const int copy : copies) ::dup2(copy, next++);
  if (!copies.empty()) {
    ::setenv("LISTEN_FDS", std::to_string(copies.size()).c_str(), 1);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    if (!activation.names.empty()) ::setenv("LISTEN_FDNAMES", activation.names.c_str(), 1);
  }
  return static_cast<unsigned>(next);
}

}  // namespace

int start_process(const std::vector<std::string>& argv, int in, int out, int error,
                  const Activation& activation) {
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("cannot fork");
  if (pid > 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::signal(SIGPIPE, SIG_DFL);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(error, 2);
  ::close_range(pass_on(activation), ~0U, 0);
  ::execvp(arguments[0], arguments.data());
  ::_exit(kNoProgram);
}

int wait_process(int pid, Milliseconds patience) {
  int status = 0;
  // A descriptor of the process turns readable when it ends.
  const int watched = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  pollfd end{watched, POLLIN, 0};
  const bool ended = ::poll(&end, 1, static_cast<int>(patience.count())) > 0;
  if (watched >= 0) ::close(watched);
  if (!ended) ::kill(pid, SIGKILL);
  ::waitpid(pid, &status, 0);
  return ended ? status_of(status) : -1;
}

CommandResult run_command(const std::vector<std::string>& argv, Milliseconds patience) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) throw std::runtime_error("cannot make a pipe");
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int pid = start_process(argv, nothing, pipe[1], pipe[1]);
  ::close(nothing);
  ::close(pipe[1]);
  CommandResult result;
  const Stopwatch watch;
  std::array<char, 16384> buffer{};
  for (;;) {
    pollfd readable{pipe[0], POLLIN, 0};
    const auto left = patience - watch.elapsed();
    if (left.count() <= 0 || ::poll(&readable, 1, static_cast<int>(left.count())) <= 0) break;
    const ssize_t got = ::read(pipe[0], buffer.data(), buffer.size());
    if (got <= 0) break;
    result.out.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(pipe[0]);
  const auto left = patience - watch.elapsed();
  result.status = wait_process(pid, left.count() > 0 ? left : Milliseconds(0));
  if (result.status == -1)
    throw std::runtime_error(argv[0] + " did not end in time: " + result.out);
  return result;
}

}  // namespace revproxyd::testing

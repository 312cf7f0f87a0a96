#include "app/successor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>

#include "app/command_line.h"
#include "app/packed_lines.h"
#include "app/packets.h"
#include "app/program.h"
#include "app/upgrade.h"
#include "revproxyd/base/log.h"

namespace revproxyd::app {

namespace {

constexpr int kStepBackMs = 10000;
// A predecessor that has changed its mind has ended this process by then; one that is silent for
// longer is gone.
constexpr int kGoneMs = 2000;

bool is_channel(int fd) noexcept {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

// Waits until the child serves, and leaves it then, or until it has ended, and ends likewise.
[[noreturn]] void stand_by(pid_t child, int word) {
  for (const int number : {SIGHUP, SIGUSR1, SIGUSR2}) ::signal(number, SIG_IGN);
  char byte = 0;
  ssize_t got = -1;
  do {
    got = ::read(word, &byte, 1);
  } while (got < 0 && errno == EINTR);
  if (got == 1) ::_exit(kExitOk);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ::_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

// By errno. There is no log yet.
[[noreturn]] void give_up(const net::Descriptor& channel, const char* what) {
  const std::string why = std::string(what) + ": " + std::generic_category().message(errno);
  std::fprintf(stderr, "revproxyd: %s\n", why.c_str());
  ignore(send_packet(channel.get(), std::string(message::kFailed) + why),
         "nobody is left to hear it");
  std::exit(kExitStartFailed);
}

}  // namespace

std::unique_ptr<Successor> Successor::from_environment() {
  const char* named = std::getenv(kUpgradeVariable);
  if (named == nullptr) return nullptr;
  const bool good = std::to_string(kUpgradeSocket) == named && is_channel(kUpgradeSocket);
  ::unsetenv(kUpgradeVariable);
  if (!good) return nullptr;
  net::Descriptor channel(kUpgradeSocket);
  ::fcntl(channel.get(), F_SETFD, FD_CLOEXEC);
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) give_up(channel, "cannot make a pipe");
  net::Descriptor word(pipe[0]);
  net::Descriptor starter(pipe[1]);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) give_up(channel, "cannot fork");
  if (child > 0) {
    // The end of the channel must be the child's.
    channel.reset();
    starter.reset();
    stand_by(child, word.get());
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kExitStartFailed);
  return std::unique_ptr<Successor>(new Successor(std::move(channel), std::move(starter)));
}

bool Successor::receive() {
  for (;;) {
    if (!send_packet(channel_.get(), message::kNext)) return false;
    auto packet = receive_packet(channel_.get());
    if (!packet) return false;
    std::string_view text = packet->text;
    if (text == message::kEnd) return true;
    if (text.starts_with(message::kTickets)) {
      tickets_ = decode_tickets(text.substr(message::kTickets.size()));
      ::explicit_bzero(packet->text.data(), packet->text.size());
    } else if (text.starts_with(message::kAddresses)) {
      decode_addresses(text.substr(message::kAddresses.size()), addresses_);
    } else if (text.starts_with(message::kDown)) {
      for (const std::string_view line : lines_of(text.substr(message::kDown.size())))
        down_.emplace(line);
    } else if (text.starts_with(message::kSockets)) {
      text.remove_prefix(message::kSockets.size());
      for (net::Descriptor& socket : packet->sockets) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        sockets_.add(std::move(socket), std::string(text.substr(0, end)));
        text.remove_prefix(std::min(end + 1, text.size()));
      }
    }
  }
}

bool Successor::may_accept() {
  if (!send_packet(channel_.get(), message::kPrepared)) return false;
  auto packet = receive_packet(channel_.get());
  return packet && packet->text == message::kGo;
}

void Successor::serves(const std::vector<std::string>& dropped) {
  await_decision(dropped);
  // From here on the starter's end is no reason to die.
  ::prctl(PR_SET_PDEATHSIG, 0);
  ignore(send_packet(channel_.get(), message::kStays), "a predecessor that has gone asks no more");
  const char byte = 1;
  if (::write(starter_.get(), &byte, 1) != 1) log::warn("upgrade: the starter has gone early");
  starter_.reset();
  pollfd answer{channel_.get(), POLLIN, 0};
  ::poll(&answer, 1, kStepBackMs);
  channel_.reset();
}

void Successor::await_decision(const std::vector<std::string>& dropped) {
  std::string ready = std::string(message::kReady) + std::to_string(::getpid()) + "\n";
  const auto lines = pack_lines(dropped, kPacketBytes - ready.size());
  if (!lines.empty()) ready += lines.front();
  if (send_packet(channel_.get(), ready)) {
    const auto packet = receive_packet(channel_.get());
    if (packet && packet->text == message::kDecided) return;
  }
  ::poll(nullptr, 0, kGoneMs);
  log::warn("upgrade: the predecessor has gone early");
}

void Successor::fail(std::string_view reason) {
  const std::string text = std::string(message::kFailed) + std::string(reason);
  ignore(send_packet(channel_.get(), text), "nobody is left to hear it");
}

}  // namespace revproxyd::app

#include "app/notify.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

namespace revproxyd::app {

namespace {
// Signals and reloads wait meanwhile.
timeval patience(Urgency urgency) noexcept {
  return urgency == Urgency::vital ? timeval{10, 0} : timeval{0, 500'000};
}
}  // namespace

bool notify_service_manager(std::string_view state, Urgency urgency) noexcept {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return true;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  if (length >= sizeof address.sun_path) return true;
  std::memcpy(address.sun_path, path, length);
  // An abstract name begins with NUL.
  if (path[0] == '@') address.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const timeval longest = patience(urgency);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof longest);
  const int flags = MSG_NOSIGNAL | (urgency == Urgency::passing ? MSG_DONTWAIT : 0);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  const bool sent = ::sendto(fd, state.data(), state.size(), flags,
                             reinterpret_cast<const sockaddr*>(&address), size) >= 0;
  ::close(fd);
  return sent;
}

void notify_reloading(std::string_view status) {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const long long microseconds = now.tv_sec * 1'000'000LL + now.tv_nsec / 1000;
  notify_service_manager("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds) +
                         "\nSTATUS=" + std::string(status));
}

Duration watchdog_time() noexcept {
  const auto number = [](const char* name) {
    const char* text = std::getenv(name);
    return text == nullptr ? 0 : std::strtoll(text, nullptr, 10);
  };
  const long long process = number("WATCHDOG_PID");
  if (process != 0 && process != ::getpid()) return Duration::zero();
  return Duration(std::max(number("WATCHDOG_USEC") / 1000, 0LL));
}

}  // namespace revproxyd::app

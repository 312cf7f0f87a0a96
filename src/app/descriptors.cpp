#include "app/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "revproxyd/base/result.h"
#include "revproxyd/net/pipe.h"

namespace revproxyd::app {

namespace {

constexpr std::uint64_t kEachRequest = 2;
constexpr std::uint64_t kEachPipe = 2;

}  // namespace

void raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ignore(::setrlimit(RLIMIT_NOFILE, &limit), "then it stays as it is");
}

void occupy_standard_descriptors() noexcept {
  int fd = -1;
  do {
    fd = ::open("/dev/null", O_RDWR);  // NOLINT: successors have it, too
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

std::string descriptor_shortage(const Settings& settings, std::size_t workers) {
  rlimit limit{};
  const std::uint64_t connections = settings.limits.connections;
  if (connections == 0 || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  const std::uint64_t needed = kEachRequest * connections + kEachPipe * net::Pipe::kMost * workers;
  if (limit.rlim_cur >= needed) return {};
  return "limits.connections " + std::to_string(connections) + " may need " +
         std::to_string(needed) + " descriptors, and " + std::to_string(limit.rlim_cur) +
         " may be open (LimitNOFILE)";
}

}  // namespace revproxyd::app

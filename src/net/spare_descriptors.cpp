#include "net/spare_descriptors.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>

namespace revproxyd::net {

bool is_spare(int fd, Taker taker) noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > std::numeric_limits<int>::max())
    return false;
  const int most = static_cast<int>(limit.rlim_cur);
  const int left = taker == Taker::client ? std::min(most / 8, kSparedByClients)
                                          : std::min(most / 16, kSparedByServers);
  return fd >= most - left;
}

}  // namespace revproxyd::net

// What regexes of paths cost.

#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "router_fixture.h"

namespace revproxyd::proxy::testing {
namespace {

std::size_t resident_bytes() {
  std::ifstream sizes("/proc/self/statm");
  std::size_t all = 0;
  std::size_t resident = 0;
  sizes >> all >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST(RouterRegex, IsCompiledOnceForAllHostsOfItsRoute) {
  constexpr int kHosts = 100;
  std::vector<std::string> hosts;
  for (int i = 0; i < kHosts; ++i) hosts.push_back("h" + std::to_string(i) + ".test");
  const std::vector<std::string_view> names(hosts.begin(), hosts.end());
  // About a megabyte when it is compiled.
  const std::vector<RouteSettings> routes{route("r", names, {"~^/\\pL{1,100}$"})};

  const std::size_t before = resident_bytes();
  const Router router(routes);
  EXPECT_LT(resident_bytes() - before, 32U << 20);

  for (const std::string& host : hosts) {
    EXPECT_TRUE(router.match(Request(host, "/abc").input()).has_value()) << host;
    EXPECT_FALSE(router.match(Request(host, "/1").input()).has_value()) << host;
  }
}

}  // namespace
}  // namespace revproxyd::proxy::testing

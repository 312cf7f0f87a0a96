// What a configuration does for which memory does not suffice.

#include <sys/resource.h>
#include <unistd.h>

#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/process.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {
namespace {

// Of its address space, all that it has and may have.
std::size_t memory_of(pid_t process) {
  std::istringstream sizes(read_file("/proc/" + std::to_string(process) + "/statm"));
  std::size_t pages = 0;
  sizes >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

void limit_memory(pid_t process, rlim_t bytes) {
  rlimit now{};
  ASSERT_EQ(::prlimit(process, RLIMIT_AS, nullptr, &now), 0);
  now.rlim_cur = bytes;
  ASSERT_EQ(::prlimit(process, RLIMIT_AS, &now, nullptr), 0);
}

// Some tens of MiB to read.
std::string large_configuration(const std::string& body) {
  std::string text = std::string(kPlainListener) + "routes: [ { respond: { body: " + body +
                     " } } ]\ntrusted_proxies: [ 10.0.0.0/8";
  for (int i = 0; i < 400000; ++i) text += ", 10.1.1.1";
  return text + " ]\n";
}

TEST(Memory, WhenAReloadGetsTooLittleTheOldConfigurationServesOn) {
  if (sanitized()) GTEST_SKIP() << "sanitizers end the process";
  Daemon daemon(std::string(kPlainListener) + "routes: [ { respond: { body: old } } ]\n");
  EXPECT_EQ(fetch(daemon.port()).body, "old");
  limit_memory(daemon.pid(), memory_of(daemon.pid()) + (8U << 20));
  EXPECT_FALSE(daemon.reload(large_configuration("new")));
  EXPECT_NE(daemon.log().find("reload refused: out of memory"), std::string::npos);
  EXPECT_EQ(fetch(daemon.port()).body, "old");
  limit_memory(daemon.pid(), RLIM_INFINITY);
  EXPECT_TRUE(daemon.reload(large_configuration("new")));
  EXPECT_EQ(fetch(daemon.port()).body, "new");
}

TEST(Memory, WhenThereIsTooLittleTheStartFailsAndSaysWhy) {
  if (sanitized()) GTEST_SKIP() << "sanitizers end the process";
  const TempDir directory;
  const std::string config = directory.file("proxy.yaml");
  write_file(config, large_configuration("x"));
  const std::string room = "--as=" + std::to_string(60U << 20);
  const CommandResult result = run_command({"prlimit", room, binary_path(), "-c", config});
  EXPECT_EQ(result.status, 3) << result.out;
  EXPECT_EQ(result.out, "revproxyd: out of memory\n");
}

}  // namespace
}  // namespace revproxyd::testing

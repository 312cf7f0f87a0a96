#include "app/successor.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "app/command_line.h"
#include "app/packets.h"
#include "app/program.h"

namespace revproxyd::app {
namespace {

#ifndef REVPROXYD_SANITIZED  // sanitizers have threads and descriptors of their own

using ::testing::ExitedWithCode;

struct Channel {
  Channel() {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) return;
    ours.reset(pair[0]);
    theirs.reset(pair[1]);
  }
  // What the other side said before it ended.
  std::string heard() {
    theirs.reset();
    auto packet = receive_packet(ours.get());
    return packet ? packet->text : "nothing";
  }
  net::Descriptor ours;
  net::Descriptor theirs;
};

// As a process that was started for an upgrade.
void take_over(const Channel& channel, decltype(RLIMIT_NPROC) what, rlim_t most) {
  ::dup2(channel.theirs.get(), kUpgradeSocket);
  ::setenv(kUpgradeVariable, std::to_string(kUpgradeSocket).c_str(), 1);
  const rlimit limit{most, most};
  ::setrlimit(what, &limit);
  Successor::from_environment();
}

TEST(SuccessorDeathTest, SaysThatThereIsNoProcessForIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  constexpr uid_t kNobodyElse = 60600;
  Channel channel;
  EXPECT_EXIT(
      {
        if (::setuid(kNobodyElse) == 0) take_over(channel, RLIMIT_NPROC, 0);
      },
      ExitedWithCode(kExitStartFailed), "cannot fork: Resource temporarily unavailable");
  EXPECT_EQ(channel.heard(), "failed\ncannot fork: Resource temporarily unavailable");
}

TEST(SuccessorDeathTest, SaysThatThereIsNoDescriptorForIt) {
  Channel channel;
  EXPECT_EXIT(take_over(channel, RLIMIT_NOFILE, 0), ExitedWithCode(kExitStartFailed),
              "cannot make a pipe: Too many open files");
  EXPECT_EQ(channel.heard(), "failed\ncannot make a pipe: Too many open files");
}

#endif

}  // namespace
}  // namespace revproxyd::app

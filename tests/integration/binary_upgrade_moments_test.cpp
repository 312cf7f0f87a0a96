// A change of the binary that is disturbed at this moment or that: one of the two serves.

#include <signal.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/process.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

const std::string kConfig = std::string(kPlainListener) + "routes: [ { respond: { body: x } } ]\n";
constexpr std::string_view kUpgraded = "upgraded: process";

// What the log says of an upgrade in the end: kUpgraded or the other; empty when nothing comes.
std::string wait_verdict(const Daemon& daemon) {
  std::string found;
  const bool told = wait_until([&] {
    const std::string log = daemon.log();
    for (const std::string_view text : {kUpgraded, std::string_view("upgrade refused")}) {
      if (log.find(text) != std::string::npos) found = text;
    }
    return !found.empty();
  });
  return told ? found : std::string();
}

// Connects and asks until nobody listens; how many had a connection and no answer.
std::size_t lost_until_refused(std::uint16_t port) {
  std::size_t lost = 0;
  for (;;) {
    std::optional<RawClient> client;
    try {
      client.emplace(port);
    } catch (const std::exception&) {
      return lost;
    }
    try {
      client->get("/");
    } catch (const std::exception&) {
      ++lost;
    }
    std::this_thread::sleep_for(Milliseconds(5));
  }
}

// Takes a while to read, so that the new process is seen while it starts.
std::string long_config() {
  std::string out = std::string(kPlainListener) + "routes:\n";
  for (int i = 0; i < 3000; ++i)
    out += "  - { path: /" + std::to_string(i) + ", respond: { body: x } }\n";
  return out + "  - { respond: { body: x } }\n";
}

/// An upgrade of a daemon whose new process has no help of the one between the two, which stands
/// still from the beginning on.
class HeldUpgrade {
 public:
  HeldUpgrade() {
    const std::size_t from = daemon_.log_lines();
    daemon_.signal(SIGUSR2);
    // -1 is everybody to kill().
    const bool found = wait_until([&] { return (starter_ = child_of(daemon_.pid())) > 0; }) &&
                       wait_until([&] { return (successor_ = child_of(starter_)) > 0; });
    if (!found) throw std::runtime_error("the new process was not seen while it started");
    ::kill(starter_, SIGSTOP);
    daemon_.wait_log("listening on", from);
  }
  ~HeldUpgrade() {
    if (!refuses(port_)) ::kill(successor_, SIGKILL);
  }
  HeldUpgrade(const HeldUpgrade&) = delete;
  HeldUpgrade& operator=(const HeldUpgrade&) = delete;

  void kill_starter() const { ::kill(starter_, SIGKILL); }
  // One of the two serves, whatever was said, and its end is the end.
  void expect_one_outcome(const std::string& verdict) {
    ASSERT_NE(verdict, "");
    if (verdict == kUpgraded) {
      daemon_.follow();
      EXPECT_EQ(daemon_.pid(), successor_);
      EXPECT_EQ(daemon_.wait_former(), 0);
    }
    EXPECT_EQ(fetch(port_).body, "x");
    EXPECT_NE(daemon_.ctl("status").out.find("process " + std::to_string(daemon_.pid())),
              std::string::npos);
    EXPECT_EQ(daemon_.stop(), 0);
    EXPECT_TRUE(wait_until([&] { return refuses(port_); })) << "somebody serves on";
  }
  const Daemon& daemon() const noexcept { return daemon_; }

 private:
  Daemon daemon_{long_config()};
  std::uint16_t port_ = daemon_.port();
  pid_t starter_ = -1;
  pid_t successor_ = -1;
};

}  // namespace

// Until it has ended, the new process holds the sockets, too. What comes in the instant in which
// they are closed is reset by the kernel, as it is at any stop: once in a hundred.
TEST(BinaryUpgrade, AStopWhileItStartsLosesNoMoreThanAnyOther) {
  std::size_t all = 0;
  for (int round = 0; round < 12; ++round) {
    Daemon daemon(kConfig);
    const std::uint16_t port = daemon.port();
    std::atomic<std::size_t> lost = 0;
    std::vector<std::thread> clients;
    for (int i = 0; i < 3; ++i) clients.emplace_back([&] { lost += lost_until_refused(port); });
    daemon.signal(SIGUSR2);
    daemon.wait_log("upgrade: starting");
    std::this_thread::sleep_for(Milliseconds(10 + 4 * round));  // a moment of the start
    daemon.signal(SIGTERM);
    const std::string verdict = wait_verdict(daemon);
    ASSERT_NE(verdict, "");
    if (verdict == kUpgraded) {
      daemon.follow();
      EXPECT_EQ(daemon.wait_former(), 0);
      EXPECT_EQ(daemon.stop(), 0);
    } else {
      EXPECT_EQ(daemon.wait_exit(), 0);
    }
    for (std::thread& client : clients) client.join();
    all += lost;
  }
  EXPECT_LE(all, 2U);
}

// The moment between the new process serving and the old one knowing it takes some milliseconds.
TEST(BinaryUpgrade, AStopAtAnyMomentLeavesOneOutcome) {
  for (int moment = 0; moment < 8; ++moment) {
    Daemon daemon(kConfig);
    const std::uint16_t port = daemon.port();
    const std::size_t from = daemon.log_lines();
    daemon.signal(SIGUSR2);
    daemon.wait_log("listening on", from);
    std::this_thread::sleep_for(Milliseconds(2 * moment));
    daemon.signal(SIGTERM);
    const std::string verdict = wait_verdict(daemon);
    ASSERT_NE(verdict, "");
    if (verdict == kUpgraded) {
      daemon.follow();
      EXPECT_EQ(daemon.wait_former(), 0);
      EXPECT_EQ(fetch(port).body, "x");
      EXPECT_EQ(daemon.ctl("status").status, 0);
      EXPECT_EQ(daemon.stop(), 0);
    } else {
      EXPECT_EQ(daemon.wait_exit(), 0);
    }
    // A new process that was given up ends with its starter, and may be a moment behind.
    EXPECT_TRUE(wait_until([&] { return refuses(port); })) << "somebody serves on";
  }
}

// The new process has heard that it stays, and has clients.
TEST(BinaryUpgrade, AStarterThatStandsStillLeavesOneOutcome) {
  HeldUpgrade held;
  const std::string verdict = wait_verdict(held.daemon());
  EXPECT_EQ(verdict, kUpgraded);
  held.expect_one_outcome(verdict);
}

TEST(BinaryUpgrade, AStarterThatIsKilledLeavesOneOutcome) {
  for (int moment = 0; moment < 4; ++moment) {
    HeldUpgrade held;
    std::this_thread::sleep_for(Milliseconds(5 * moment * moment));
    held.kill_starter();
    held.expect_one_outcome(wait_verdict(held.daemon()));
  }
}

}  // namespace revproxyd::testing

// A change of the binary that is disturbed at this moment or that: one of the two serves.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/certificates.h"
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

// A stop came in the midst of an upgrade: either the daemon has ended, or the new process serves
// and is stopped here.
void expect_one_end(Daemon& daemon) {
  const std::uint16_t port = daemon.port();
  const std::string verdict = wait_verdict(daemon);
  ASSERT_NE(verdict, "");
  if (verdict != kUpgraded) {
    EXPECT_EQ(daemon.wait_exit(), 0);
    return;
  }
  daemon.follow();
  EXPECT_EQ(daemon.wait_former(), 0);
  EXPECT_EQ(fetch(port).body, "x");
  EXPECT_EQ(daemon.ctl("status").status, 0);
  EXPECT_EQ(daemon.stop(), 0);
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

/// The system's authorities, which come when a test lets them: whoever starts with a server of
/// https waits for them, behind opening its logs and before it has listened. For daemons that are
/// made later.
class HeldAuthorities {
 public:
  HeldAuthorities() {
    write_file(path_, authority_.authority_pem());
    held_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    // Who opens the file waits for the end of the lease (fcntl(2)), of which a signal tells us.
    ::signal(SIGIO, SIG_IGN);
    EXPECT_EQ(::fcntl(held_, F_SETLEASE, F_WRLCK), 0);
    ::setenv("SSL_CERT_FILE", path_.c_str(), 1);
  }
  HeldAuthorities(const HeldAuthorities&) = delete;
  HeldAuthorities& operator=(const HeldAuthorities&) = delete;
  ~HeldAuthorities() {
    ::unsetenv("SSL_CERT_FILE");
    release();
    ::signal(SIGIO, SIG_DFL);
  }

  static std::string config() {
    return "upstreams: { held: { servers: [ { url: 'https://127.0.0.1:1' } ] } }\n" + kConfig;
  }
  // Throws when nobody comes to read them.
  void wait_for_reader() const {
    if (!wait_until([this] { return ::fcntl(held_, F_GETLEASE) != F_WRLCK; }))
      throw TimedOut("nobody reads the authorities");
  }
  void release() { ::close(std::exchange(held_, -1)); }

 private:
  Certificates authority_;
  TempDir directory_;
  std::string path_ = directory_.file("authorities.pem");
  int held_ = -1;
};

/// An upgrade of a daemon whose new process has no help of the one between the two, which stands
/// still.
class HeldUpgrade {
 public:
  HeldUpgrade() {
    const std::size_t from = daemon_.log_lines();
    daemon_.write_config(authorities_.config());
    daemon_.signal(SIGUSR2);
    authorities_.wait_for_reader();
    starter_ = child_of(daemon_.pid());
    successor_ = starter_ > 0 ? child_of(starter_) : -1;
    // -1 is everybody to kill().
    if (successor_ <= 0) throw std::runtime_error("the new process is not where it was looked for");
    ::kill(starter_, SIGSTOP);
    authorities_.release();
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
  HeldAuthorities authorities_;
  Daemon daemon_{kConfig};
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
    ASSERT_NO_FATAL_FAILURE(expect_one_end(daemon));
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
    ASSERT_NO_FATAL_FAILURE(expect_one_end(daemon));
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

TEST(BinaryUpgrade, LogsThatWereTurnedMeanwhileAreOpenedAgain) {
  HeldAuthorities authorities;
  const TempDir directory;
  Daemon daemon(kConfig);
  daemon.write_config(authorities.config());
  daemon.signal(SIGUSR2);
  authorities.wait_for_reader();
  std::filesystem::rename(daemon.access_log_file(), directory.file("turned"));
  daemon.signal(SIGUSR1);
  daemon.wait_log("logs reopened");
  authorities.release();
  daemon.follow();
  EXPECT_EQ(daemon.wait_former(), 0);
  EXPECT_EQ(fetch(daemon.port(), "/after").status, 200);
  daemon.wait_access_of("/after");
}

}  // namespace revproxyd::testing

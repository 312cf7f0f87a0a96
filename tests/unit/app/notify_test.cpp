#include "app/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "revproxyd/net/descriptor.h"

namespace revproxyd::app {
namespace {

/// The environment is as before when the test ends.
class Notify : public ::testing::Test {
 protected:
  void TearDown() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }
  /// A manager at this path, or at this abstract name when it begins with '@'.
  void listen_at(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (path.front() == '@') address.sun_path[0] = '\0';
    manager_ = net::Descriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    ASSERT_EQ(::bind(manager_.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
  }
  std::string heard() const {
    std::array<char, 64> room{};
    const ssize_t got = ::recv(manager_.get(), room.data(), room.size(), 0);
    return got <= 0 ? std::string() : std::string(room.data(), static_cast<std::size_t>(got));
  }

 private:
  net::Descriptor manager_;
};

TEST_F(Notify, ReachesAnAbstractName) {
  const std::string name = "@revproxyd-test-" + std::to_string(::getpid());
  listen_at(name);
  ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  EXPECT_TRUE(notify_service_manager("READY=1"));
  EXPECT_EQ(heard(), "READY=1");
}

TEST_F(Notify, SaysWhenTheManagerHasNotGotIt) {
  const std::string name = "@revproxyd-test-" + std::to_string(::getpid());
  listen_at(name);
  ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  int taken = 0;
  while (notify_service_manager("READY=1", Urgency::passing)) ++taken;
  EXPECT_FALSE(notify_service_manager("READY=1"));
  for (; taken > 0; --taken) EXPECT_EQ(heard(), "READY=1");
  EXPECT_EQ(heard(), "");
  EXPECT_TRUE(notify_service_manager("READY=1"));
}

TEST_F(Notify, DoesNothingWithANameThatIsNone) {
  const std::string longest = "/" + std::string(sizeof(sockaddr_un::sun_path) - 1, 'a');
  for (const std::string& name : {std::string(), std::string("relative"), longest}) {
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    EXPECT_TRUE(notify_service_manager("READY=1"));
  }
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_TRUE(notify_service_manager("READY=1"));
}

TEST_F(Notify, TheWatchdogIsAskedForInMicroseconds) {
  EXPECT_EQ(watchdog_time(), Duration::zero());
  ::setenv("WATCHDOG_USEC", "2500000", 1);
  EXPECT_EQ(watchdog_time(), Duration(2500));
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  EXPECT_EQ(watchdog_time(), Duration(2500));
  ::setenv("WATCHDOG_PID", std::to_string(::getppid()).c_str(), 1);
  EXPECT_EQ(watchdog_time(), Duration::zero());
}

TEST_F(Notify, AWatchdogTimeThatIsNoneIsZero) {
  for (const char* text : {"", "soon", "-5000000", "999"}) {
    ::setenv("WATCHDOG_USEC", text, 1);
    EXPECT_EQ(watchdog_time(), Duration::zero()) << text;
  }
}

}  // namespace
}  // namespace revproxyd::app

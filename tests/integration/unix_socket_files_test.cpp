// The files of UNIX listeners: they go with the listener, and only with it.

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

using std::filesystem::exists;

constexpr std::string_view kResponds = "routes: [ { respond: { body: x } } ]\n";

/// Where a daemon of the test listens, beside a port.
struct Place {
  TempDir directory;
  std::string path = directory.file("web.sock");
  std::string without = std::string(kPlainListener) + std::string(kResponds);
  std::string with =
      "listeners: [ { name: web, address: '127.0.0.1:0' }, { address: 'unix:" + path + "' } ]\n" +
      std::string(kResponds);
};

/// Somebody else who listens at the path.
class Stranger {
 public:
  explicit Stranger(const std::string& path)
      : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd_, 64), 0);
  }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;
  ~Stranger() { ::close(fd_); }
  int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace

TEST(UnixSocketFiles, GoAtAStop) {
  const Place place;
  for (const char* workers : {"workers: 1\n", "workers: 2\n"}) {
    Daemon daemon(place.with + workers);
    EXPECT_EQ(RawClient::unix_socket(place.path).get("/").body, "x");
    EXPECT_EQ(daemon.stop(), 0);
    EXPECT_FALSE(exists(place.path)) << workers;
  }
}

TEST(UnixSocketFiles, GoWithAReloadThatTakesTheListenerAway) {
  const Place place;
  Daemon daemon(place.with);
  for (int i = 0; i < 5; ++i) {
    daemon.write_config(place.without);
    ASSERT_EQ(daemon.ctl("reload").status, 0);
    EXPECT_FALSE(exists(place.path));
    daemon.write_config(place.with);
    ASSERT_EQ(daemon.ctl("reload").status, 0);
    EXPECT_EQ(RawClient::unix_socket(place.path).get("/").body, "x");
  }
}

TEST(UnixSocketFiles, StayWhenAReloadIsRefused) {
  const Place place;
  const Origin holder;
  Daemon daemon(place.with);
  EXPECT_FALSE(daemon.reload("listeners: [ { address: '" + holder.address() + "' } ]\n" +
                             std::string(kResponds)));
  EXPECT_EQ(RawClient::unix_socket(place.path).get("/").body, "x");
}

TEST(UnixSocketFiles, OfOthersStay) {
  const Place place;
  Daemon daemon(place.with);
  std::filesystem::remove(place.path);
  const Stranger stranger(place.path);
  ASSERT_TRUE(daemon.reload(place.without));
  EXPECT_TRUE(exists(place.path));
  std::filesystem::remove(place.path);
  ASSERT_TRUE(daemon.reload(place.with));
  std::filesystem::remove(place.path);
  const Stranger another(place.path);
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_TRUE(exists(place.path));
}

TEST(UnixSocketFiles, OfOthersStayAfterAnUpgrade) {
  const Place place;
  Daemon daemon(place.with);
  std::filesystem::remove(place.path);
  const Stranger stranger(place.path);
  ASSERT_EQ(daemon.upgrade().status, 0);
  EXPECT_EQ(daemon.wait_former(), 0);
  ASSERT_TRUE(daemon.reload(place.without));
  EXPECT_TRUE(exists(place.path));
}

TEST(UnixSocketFiles, PassToAnUpgradedBinaryAndGoWithThat) {
  const Place place;
  Daemon daemon(place.with);
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(daemon.upgrade().status, 0);
    EXPECT_EQ(daemon.wait_former(), 0);
    EXPECT_EQ(RawClient::unix_socket(place.path).get("/").body, "x");
  }
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_FALSE(exists(place.path));
}

TEST(UnixSocketFiles, ThatAnUpgradedBinaryDoesNotTakeGoWithTheOldOne) {
  const Place place;
  Daemon daemon(place.with);
  daemon.write_config(place.without);
  ASSERT_EQ(daemon.upgrade().status, 0);
  EXPECT_EQ(daemon.wait_former(), 0);
  EXPECT_FALSE(exists(place.path));
}

TEST(UnixSocketFiles, OfAServiceManagerStay) {
  const Place place;
  const Stranger manager(place.path);
  for (const bool reload : {true, false}) {
    Daemon daemon(place.with, {{manager.fd()}, "held"});
    ASSERT_EQ(daemon.upgrade().status, 0);
    EXPECT_EQ(RawClient::unix_socket(place.path).get("/").body, "x");
    if (reload) {
      ASSERT_TRUE(daemon.reload(place.without));
    }
    EXPECT_EQ(daemon.stop(), 0);
    EXPECT_TRUE(exists(place.path));
  }
}

}  // namespace revproxyd::testing

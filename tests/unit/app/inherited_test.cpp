#include "app/inherited.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "revproxyd/net/listener.h"
#include "tests/support/files.h"

// What is found by address, name or identity is in sockets_test.cpp.

namespace revproxyd::app {
namespace {

using testing::TempDir;

net::BindAddress address_of(const std::string& host, std::uint16_t port) {
  net::BindAddress address;
  address.text = host + ":" + std::to_string(port);
  address.host = host;
  address.port = port;
  return address;
}

proxy::ListenerSettings listener_at(const net::BindAddress& address) {
  proxy::ListenerSettings listener;
  listener.name = "web";
  listener.address = address;
  return listener;
}

/// A socket that listens at `host`, of which nothing else is known; whether one for `wanted` and
/// its port is given that.
bool fits(const std::string& host, const std::string& wanted) {
  auto socket = net::bind_listener(address_of(host, 0), false, 16);
  if (!socket) return false;
  const std::uint16_t port = net::local_address(socket->get()).port();
  InheritedSockets inherited;
  inherited.add(std::move(*socket), "other");
  return !inherited.take(listener_at(address_of(wanted, port)), {}).empty();
}

TEST(InheritedSockets, OfAllInterfacesFitAListenerWithoutAHost) {
  EXPECT_TRUE(fits("0.0.0.0", ""));
  EXPECT_TRUE(fits("", ""));
  EXPECT_FALSE(fits("127.0.0.1", ""));
  EXPECT_FALSE(fits("127.0.0.2", "127.0.0.1"));
}

TEST(InheritedSockets, OfVersion6AreFoundByTheirAddress) {
  if (!net::bind_listener(address_of("::1", 0), false, 16)) GTEST_SKIP() << "no IPv6 here";
  EXPECT_TRUE(fits("::1", "::1"));
  EXPECT_FALSE(fits("::1", "::2"));
  EXPECT_FALSE(fits("::1", ""));
}

TEST(InheritedSockets, OfAPathAreFoundByItButNotByANameOfAnotherFamily) {
  const std::string path =
      std::filesystem::temp_directory_path() / ("revproxyd-" + std::to_string(::getpid()));
  net::BindAddress at_path;
  at_path.text = "unix:" + path;
  at_path.path = path;
  InheritedSockets inherited;
  inherited.add(std::move(*net::bind_listener(at_path, false, 16)), "web");
  EXPECT_TRUE(inherited.take(listener_at(address_of("127.0.0.1", 0)), {}).empty());
  EXPECT_FALSE(inherited.take_admin("/another").socket);
  EXPECT_EQ(inherited.take(listener_at(at_path), {}).size(), 1U);
  EXPECT_TRUE(inherited.empty());
  std::filesystem::remove(path);
}

TEST(InheritedSockets, OfAPathAreFoundHoweverItIsWritten) {
  const TempDir directory;
  const auto bound = [&] {
    const net::BindAddress where{"", "", 0, directory.file("./a.sock")};
    InheritedSockets inherited;
    inherited.add(std::move(*net::bind_listener(where, false, 16)), "other");
    return inherited;
  };
  net::BindAddress wanted;
  wanted.path = directory.file("/a.sock");
  EXPECT_EQ(bound().take(listener_at(wanted), {}).size(), 1U);
  EXPECT_TRUE(bound().take_admin(wanted.path).socket);
}

TEST(InheritedSockets, OfTheAdminSocketAreHeldUnlessAPredecessorSaysThatItIsItsOwn) {
  const auto held = [](std::string label) {
    const TempDir directory;
    const net::BindAddress where{"", "", 0, directory.file("a.sock")};
    InheritedSockets inherited;
    inherited.add(std::move(*net::bind_listener(where, false, 16)), std::move(label));
    return inherited.take_admin(where.path).held;
  };
  EXPECT_TRUE(held("revproxyd.socket"));
  EXPECT_TRUE(held(std::string(kHeldAdmin)));
  EXPECT_TRUE(held("admin:")) << "older binaries do not say whose it is";
  EXPECT_FALSE(held(std::string(kOwnAdmin)));
}

TEST(InheritedSockets, OfOneNameGoToTheListenersOfTheirAddresses) {
  InheritedSockets inherited;
  std::vector<proxy::ListenerSettings> listeners;
  for (const char* name : {"web", "other"}) {
    auto socket = net::bind_listener(address_of("127.0.0.1", 0), false, 16);
    listeners.push_back(
        listener_at(address_of("127.0.0.1", net::local_address(socket->get()).port())));
    listeners.back().name = name;
    inherited.add(std::move(*socket), "web");
  }
  EXPECT_EQ(inherited.take(listeners[0], listeners).size(), 1U);
  EXPECT_EQ(inherited.take(listeners[1], listeners).size(), 1U);
}

TEST(InheritedSockets, ThatAreNoneAreNotKept) {
  InheritedSockets inherited;
  inherited.add(net::Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)), "file");
  inherited.add(net::Descriptor(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), "datagrams");
  inherited.add(net::Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), "quiet");
  EXPECT_TRUE(inherited.empty());
}

/// What is found with LISTEN_FDS and LISTEN_PID of these values; no descriptor is touched.
bool finds_any(std::optional<std::string> count, std::optional<std::string> pid) {
  if (count) ::setenv("LISTEN_FDS", count->c_str(), 1);
  if (pid) ::setenv("LISTEN_PID", pid->c_str(), 1);
  ::setenv("LISTEN_FDNAMES", "web", 1);
  const bool found = !sockets_of_service_manager().empty();
  for (const char* name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"})
    EXPECT_EQ(std::getenv(name), nullptr);
  return found;
}

TEST(InheritedSockets, AreThoseOfThisProcessOnly) {
  EXPECT_FALSE(finds_any("1", std::to_string(::getppid())));
  EXPECT_FALSE(finds_any("1", std::nullopt));
}

TEST(InheritedSockets, AreNoneWhereTheirNumberIsNone) {
  const std::string own = std::to_string(::getpid());
  EXPECT_FALSE(finds_any(std::nullopt, own));
  for (const char* count : {"", "x", "1x", " 1", "0", "-1", "99999999999"})
    EXPECT_FALSE(finds_any(count, own)) << count;
}

}  // namespace
}  // namespace revproxyd::app

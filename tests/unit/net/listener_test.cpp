#include "revproxyd/net/listener.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "revproxyd/base/deadline.h"
#include "revproxyd/base/log.h"
#include "revproxyd/base/task_group.h"
#include "tests/support/loop_runner.h"
#include "tests/unit/net/sockets.h"

namespace revproxyd::net {
namespace {

using revproxyd::test::LoopRunner;
using test::loopback_listener;

BindAddress unix_at(const std::string& path) {
  BindAddress where;
  where.text = "unix:" + path;
  where.path = path;
  return where;
}

class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "listener.XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

Descriptor call(const Address& server) {
  Descriptor socket(::socket(server.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(socket.get(), server.data(), server.size()) != 0) socket.reset();
  return socket;
}

bool v6_works() {
  const Descriptor probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Address loopback = *Address::ip("::1", 0);
  return probe && ::bind(probe.get(), loopback.data(), loopback.size()) == 0;
}

TEST(BindListener, PortZeroGetsAPortThatCanBeCalled) {
  const Descriptor socket = loopback_listener();
  const Address address = local_address(socket.get());
  EXPECT_NE(address.port(), 0);
  EXPECT_EQ(address.host(), "127.0.0.1");
  EXPECT_TRUE(call(address));
}

TEST(BindListener, AnEmptyHostTakesBothFamilies) {
  auto socket = bind_listener(BindAddress{}, false, 16);
  ASSERT_TRUE(socket);
  const std::uint16_t port = local_address(socket->get()).port();
  EXPECT_TRUE(call(*Address::ip("127.0.0.1", port)));
  EXPECT_EQ(static_cast<bool>(call(*Address::ip("::1", port))), v6_works());
}

TEST(BindListener, AHostOfVersionSixLeavesVersionFourAlone) {
  if (!v6_works()) GTEST_SKIP() << "no IPv6 here";
  BindAddress where;
  where.host = "::";
  auto socket = bind_listener(where, false, 16);
  ASSERT_TRUE(socket);
  const std::uint16_t port = local_address(socket->get()).port();
  EXPECT_TRUE(call(*Address::ip("::1", port)));
  EXPECT_FALSE(call(*Address::ip("127.0.0.1", port)));
}

TEST(BindListener, APortInUseIsAnErrorWithItsReason) {
  const Descriptor first = loopback_listener();
  BindAddress where;
  where.host = "127.0.0.1";
  where.port = local_address(first.get()).port();
  const auto second = bind_listener(where, false, 16);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().sys(), EADDRINUSE);
  EXPECT_EQ(second.error().text(), "cannot bind");
}

TEST(BindListener, ReusePortLetsASecondSocketShareThePort) {
  const Descriptor first = loopback_listener(true);
  const std::uint16_t port = local_address(first.get()).port();
  const Descriptor second = loopback_listener(true, port);
  EXPECT_EQ(local_address(second.get()).port(), port);
}

TEST(BindListener, AUnixSocketIsForOwnerAndGroupWhateverTheUmask) {
  const Directory directory;
  const std::string path = directory.file("s");
  for (const mode_t mask : {mode_t{0}, mode_t{077}}) {
    const mode_t before = ::umask(mask);
    auto socket = bind_listener(unix_at(path), false, 16);
    ::umask(before);
    ASSERT_TRUE(socket);
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0660u);
  }
}

TEST(BindListener, TheSocketFileOfADeadProcessIsReplaced) {
  const Directory directory;
  const std::string path = directory.file("s");
  { ASSERT_TRUE(bind_listener(unix_at(path), false, 16)); }
  ASSERT_TRUE(std::filesystem::exists(path));
  auto socket = bind_listener(unix_at(path), false, 16);
  ASSERT_TRUE(socket);
  EXPECT_TRUE(call(*Address::unix_path(path)));
  EXPECT_EQ(local_address(socket->get()).text(), "unix:" + path);
}

TEST(BindListener, AUnixSocketInUseIsRefusedAndGoesOnWorking) {
  const Directory directory;
  const std::string path = directory.file("s");
  auto first = bind_listener(unix_at(path), false, 16);
  ASSERT_TRUE(first);
  const auto second = bind_listener(unix_at(path), false, 16);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().sys(), EADDRINUSE);
  EXPECT_TRUE(call(*Address::unix_path(path)));
}

TEST(BindListener, AFileThatIsNoSocketIsNotReplaced) {
  const Directory directory;
  const std::string path = directory.file("precious");
  std::ofstream(path) << "text";
  const auto socket = bind_listener(unix_at(path), false, 16);
  ASSERT_FALSE(socket);
  EXPECT_EQ(socket.error().sys(), EEXIST);
  EXPECT_EQ(std::filesystem::file_size(path), 4u);
}

Task<std::string> accept_one(Descriptor& socket, Address& peer, bool& no_delay, int& flags) {
  auto listener = Listener::open(std::move(socket));
  auto accepted = co_await (*listener)->accept();
  if (!accepted) co_return std::string(name(accepted.error().code()));
  peer = accepted->peer;
  int value = 0;
  socklen_t size = sizeof value;
  ::getsockopt(accepted->socket.get(), IPPROTO_TCP, TCP_NODELAY, &value, &size);
  no_delay = value != 0;
  flags = ::fcntl(accepted->socket.get(), F_GETFL);
  co_return local_address(accepted->socket.get()).text();
}

TEST(Listener, AcceptedSocketsDoNotBlockAndDoNotDelay) {
  Descriptor socket = loopback_listener();
  const Address server = local_address(socket.get());
  const Descriptor client = call(server);
  Address peer;
  bool no_delay = false;
  int flags = 0;
  EXPECT_EQ(revproxyd::test::run(accept_one(socket, peer, no_delay, flags)), server.text());
  EXPECT_TRUE(no_delay);
  EXPECT_NE(flags & O_NONBLOCK, 0);
  EXPECT_EQ(peer, local_address(client.get()));
}

Task<void> accept_into(Listener& listener, std::vector<Descriptor>& out, Code& end) {
  for (;;) {
    auto accepted = co_await listener.accept();
    if (!accepted) {
      end = accepted.error().code();
      co_return;
    }
    out.push_back(std::move(accepted->socket));
  }
}

/// A loop with a listener whose connections are collected.
struct Collecting {
  explicit Collecting(Descriptor socket, ListenerOptions options = {})
      : address(local_address(socket.get())) {
    listener = std::move(*Listener::open(std::move(socket), std::move(options)));
    group.spawn(accept_into(*listener, accepted, end));
  }
  ~Collecting() {
    group.cancel(Code::shutdown);
    runner.run_until([this] { return group.size() == 0; });
  }
  bool wait_for(std::size_t count) {
    return runner.run_until([this, count] { return accepted.size() >= count; });
  }

  LoopRunner runner;
  Address address;
  std::unique_ptr<Listener> listener;
  std::vector<Descriptor> accepted;
  Code end = Code::none;
  TaskGroup group;
};

TEST(Listener, OneEdgeForManyConnectionsGivesThemAll) {
  Collecting server(loopback_listener());
  std::vector<Descriptor> clients;
  for (int i = 0; i < 40; ++i) clients.push_back(call(server.address));
  EXPECT_TRUE(server.wait_for(40));
  clients.push_back(call(server.address));
  EXPECT_TRUE(server.wait_for(41));
}

TEST(Listener, CancellingTheScopeEndsAccept) {
  Collecting server(loopback_listener());
  server.group.cancel(Code::shutdown);
  EXPECT_TRUE(server.runner.run_until([&] { return server.group.size() == 0; }));
  EXPECT_EQ(server.end, Code::shutdown);
}

TEST(Listener, TakesWhatIsQueuedBeforeAClose) {
  Collecting server(loopback_listener());
  server.group.cancel(Code::shutdown);
  ASSERT_TRUE(server.runner.run_until([&] { return server.group.size() == 0; }));
  const Descriptor first = call(server.address);
  const Descriptor second = call(server.address);
  EXPECT_TRUE(server.listener->waited_for());
  EXPECT_EQ(server.listener->take_pending(1).connections.size(), 1u);
  EXPECT_EQ(server.listener->take_pending(10).connections.size(), 1u);
  EXPECT_FALSE(server.listener->waited_for());
  EXPECT_TRUE(server.listener->take_pending(10).connections.empty());
}

TEST(Listener, TwoListenersOfOneUnixSocketServeEachConnectionOnce) {
  const Directory directory;
  auto socket = bind_listener(unix_at(directory.file("s")), false, 64);
  ASSERT_TRUE(socket);
  Descriptor twin(::dup(socket->get()));
  Collecting server(std::move(*socket));
  auto other = Listener::open(std::move(twin));
  ASSERT_TRUE(other);
  std::vector<Descriptor> elsewhere;
  Code end = Code::none;
  TaskGroup group;
  group.spawn(accept_into(**other, elsewhere, end));
  std::vector<Descriptor> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(call(server.address));
  EXPECT_TRUE(
      server.runner.run_until([&] { return server.accepted.size() + elsewhere.size() == 20; }));
  EXPECT_EQ(end, Code::none);
  group.cancel(Code::shutdown);
  EXPECT_TRUE(server.runner.run_until([&] { return group.size() == 0; }));
}

/// No more descriptors above those that are open now can be had while it lives than `room`.
class NoDescriptors {
 public:
  explicit NoDescriptors(int room = 0) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const Descriptor lowest(::dup(0));
    rlimit now = before_;
    limit_ = static_cast<std::size_t>(lowest.get() + room);
    now.rlim_cur = limit_;
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  std::size_t limit() const noexcept { return limit_; }

 private:
  std::size_t limit_ = 0;
  rlimit before_{};
};

Task<Code> pause(Duration length) { co_return co_await Sleep(length); }

TEST(Listener, WithoutDescriptorsItPausesAndThenTakesTheConnection) {
  Collecting server(loopback_listener());
  // UBSan looks at a class that it meets for the first time through a pipe, and takes it for
  // invalid when there is no descriptor for one: whatever the shortage calls is called before.
  EXPECT_EQ(server.runner.run(pause(Duration(1))), Code::none);
  log::Line(log::Level::warn) << "before the shortage: " << std::generic_category().message(EMFILE);
  const Descriptor client = call(server.address);
  const TimePoint begin = Clock::now();
  {
    const NoDescriptors shortage;
    ASSERT_TRUE(server.runner.run_until([&] { return server.listener->exhausted() >= 2; }));
    EXPECT_TRUE(server.accepted.empty());
  }
  EXPECT_GE(Clock::now() - begin, Listener::kExhaustedPause);
  EXPECT_TRUE(server.wait_for(1));
}

TEST(Listener, WithoutDescriptorsWhatIsQueuedIsLeftForLater) {
  Collecting server(loopback_listener());
  server.group.cancel(Code::shutdown);
  ASSERT_TRUE(server.runner.run_until([&] { return server.group.size() == 0; }));
  log::Line(log::Level::warn) << "before the shortage: " << std::generic_category().message(EMFILE);
  const Descriptor client = call(server.address);
  {
    const NoDescriptors shortage;
    const Pending none = server.listener->take_pending(10);
    EXPECT_TRUE(none.connections.empty());
    EXPECT_TRUE(none.exhausted);
    EXPECT_TRUE(server.listener->waited_for());
  }
  const Pending all = server.listener->take_pending(10);
  EXPECT_EQ(all.connections.size(), 1u);
  EXPECT_FALSE(all.exhausted);
}

TEST(Listener, WhatIsQueuedGetsNoMoreThanOneDescriptorThatIsKeptForOthers) {
  ListenerOptions options;
  options.spares = true;
  Collecting server(loopback_listener(), std::move(options));
  server.group.cancel(Code::shutdown);
  ASSERT_TRUE(server.runner.run_until([&] { return server.group.size() == 0; }));
  log::Line(log::Level::warn) << "before the shortage: " << std::generic_category().message(EMFILE);
  std::vector<Descriptor> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(call(server.address));
  const NoDescriptors shortage(15);
  const std::size_t kept = shortage.limit() / 8;
  ASSERT_LT(kept, 15u);
  const Pending first = server.listener->take_pending(100);
  EXPECT_EQ(first.connections.size(), 15 - kept + 1);
  EXPECT_TRUE(first.exhausted);
  const Pending second = server.listener->take_pending(100);
  EXPECT_TRUE(second.connections.empty());
  EXPECT_TRUE(second.exhausted);
}

TEST(Listener, AListeningSocketThatWasShutDownEndsAccept) {
  Collecting server(loopback_listener());
  ::shutdown(server.listener->fd(), SHUT_RDWR);
  EXPECT_TRUE(server.runner.run_until([&] { return server.group.size() == 0; }));
  EXPECT_EQ(server.end, Code::system);
}

TEST(Listener, ADescriptorThatAnotherHasListensOn) {
  const auto socket = std::make_shared<const Descriptor>(loopback_listener());
  {
    const LoopRunner runner;
    ASSERT_TRUE(Listener::open(socket));
  }
  EXPECT_TRUE(call(local_address(socket->get())));
}

}  // namespace
}  // namespace revproxyd::net

#include "revproxyd/net/connect.h"

#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "revproxyd/base/deadline.h"
#include "revproxyd/base/task_group.h"
#include "tests/support/loop_runner.h"
#include "tests/unit/net/sockets.h"

namespace revproxyd::net {
namespace {

using revproxyd::test::LoopRunner;
using revproxyd::test::run;
using test::Deaf;
using test::loopback_listener;
using namespace std::chrono_literals;

using Connected = Result<std::unique_ptr<Transport>>;

Address free_port() { return local_address(loopback_listener().get()); }

/// No TCP leads there, so the kernel refuses at once and sends nothing.
Address multicast() { return *Address::ip("224.0.0.1", 80); }

Task<Code> outcome(std::vector<Address> servers, Duration limit) {
  auto made = co_await connect(servers, limit);
  if (made) co_return Code::none;
  co_return made.error().code();
}

Task<std::string> peer_of(std::vector<Address> servers, Duration limit) {
  auto made = co_await connect(servers, limit);
  if (!made) co_return std::string(name(made.error().code()));
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  ::getpeername((*made)->fd(), address, &size);
  co_return Address(address, size).text();
}

Task<std::string> greet(Address server) {
  auto made = co_await connect(std::span<const Address>(&server, 1), 1s);
  if (!made) co_return std::string(name(made.error().code()));
  iovec piece = piece_of("hello");
  auto written = co_await write_all(**made, std::span<iovec>(&piece, 1), 1s);
  if (!written) co_return std::string(name(written.error().code()));
  char buffer[16];
  MutableBytes into(buffer);
  auto got = co_await read_some(**made, into);
  co_return got ? std::string(buffer, *got) : std::string(name(got.error().code()));
}

Task<void> echo_one(Listener& listener) {
  auto accepted = co_await listener.accept();
  if (!accepted) co_return;
  auto made = make_socket_transport(accepted->socket.release());
  char buffer[16];
  MutableBytes into(buffer);
  auto got = co_await read_some(**made, into);
  if (!got) co_return;
  iovec piece = piece_of(Bytes(buffer, *got));
  auto written = co_await write_all(**made, std::span<iovec>(&piece, 1), 1s);
  ignore(written, "the client will tell");
}

TEST(Connect, OneAddressGivesAWorkingTransport) {
  LoopRunner runner;
  Descriptor socket = loopback_listener();
  const Address server = local_address(socket.get());
  auto listener = Listener::open(std::move(socket));
  ASSERT_TRUE(listener);
  TaskGroup group;
  group.spawn(echo_one(**listener));
  EXPECT_EQ(runner.run(greet(server)), "hello");
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
}

TEST(Connect, NobodyListeningIsRefused) {
  EXPECT_EQ(run(outcome({free_port()}, 1s)), Code::refused);
}

TEST(Connect, NoAddressAtAllIsUnreachable) { EXPECT_EQ(run(outcome({}, 1s)), Code::unreachable); }

TEST(Connect, AnAddressThatCannotBeRoutedIsUnreachable) {
  EXPECT_EQ(run(outcome({multicast()}, 1s)), Code::unreachable);
}

TEST(Connect, ASilentServerRunsIntoTheLimit) {
  const Deaf deaf;
  const TimePoint begin = Clock::now();
  EXPECT_EQ(run(outcome({deaf.address()}, 120ms)), Code::connect_timeout);
  EXPECT_GE(Clock::now() - begin, 120ms);
}

TEST(Connect, SilentServersTogetherHaveOneLimit) {
  const Deaf one;
  const Deaf two;
  const TimePoint begin = Clock::now();
  EXPECT_EQ(run(outcome({one.address(), two.address()}, 400ms)), Code::connect_timeout);
  EXPECT_LT(Clock::now() - begin, 800ms);
}

TEST(Connect, ARefusalMakesTheNextAddressStartAtOnce) {
  const Descriptor server = loopback_listener();
  const Address good = local_address(server.get());
  const TimePoint begin = Clock::now();
  EXPECT_EQ(run(peer_of({free_port(), free_port(), good}, 2s)), good.text());
  EXPECT_LT(Clock::now() - begin, kAttemptDelay);
}

TEST(Connect, ASlowAddressIsOvertakenAfterTheDelay) {
  const Deaf deaf;
  const Descriptor server = loopback_listener();
  const Address good = local_address(server.get());
  const TimePoint begin = Clock::now();
  EXPECT_EQ(run(peer_of({deaf.address(), good}, 5s)), good.text());
  const auto took = Clock::now() - begin;
  EXPECT_GE(took, kAttemptDelay);
  EXPECT_LT(took, 2 * kAttemptDelay + 1s);
}

TEST(Connect, WhenAllRefuseTheAnswerIsRefused) {
  EXPECT_EQ(run(outcome({multicast(), free_port(), multicast()}, 2s)), Code::refused);
}

TEST(Connect, TheOtherFamilyComesSecondHoweverLateItStands) {
  // Two silent addresses of one family stand before the good one of the other, which is still only
  // one delay away.
  BindAddress where;
  where.host = "::1";
  auto server = bind_listener(where, false, 16);
  if (!server) GTEST_SKIP() << "no IPv6 here";
  const Address good = local_address(server->get());
  const Deaf one;
  const Deaf two;
  const Deaf three;
  const TimePoint begin = Clock::now();
  EXPECT_EQ(run(peer_of({one.address(), two.address(), three.address(), good}, 5s)), good.text());
  EXPECT_LT(Clock::now() - begin, 2 * kAttemptDelay);
}

TEST(Connect, MoreAddressesThanTheLimitAreLeftOut) {
  const Descriptor server = loopback_listener();
  std::vector<Address> servers(kAttempts, free_port());
  servers.push_back(local_address(server.get()));
  EXPECT_EQ(run(outcome(servers, 2s)), Code::refused);
  servers.erase(servers.begin());
  EXPECT_EQ(run(outcome(servers, 2s)), Code::none);
}

Task<void> keep_outcome(std::vector<Address> servers, Code& out) {
  auto code = co_await outcome(servers, 30s);
  out = code;
}

TEST(Connect, EndsWithTheReasonOfItsScope) {
  const Deaf one;
  const Deaf two;
  for (const std::vector<Address>& servers :
       {std::vector<Address>{one.address()}, {one.address(), two.address()}}) {
    LoopRunner runner;
    TaskGroup group;
    Code out = Code::none;
    group.spawn(keep_outcome(servers, out));
    EXPECT_FALSE(runner.run_until([&] { return group.size() == 0; }, 50ms));
    group.cancel(Code::client_gone);
    EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
    EXPECT_EQ(out, Code::client_gone);
  }
}

TEST(Connect, UnderACancelledScopeNothingIsCalled) {
  const Descriptor server = loopback_listener();
  LoopRunner runner;
  TaskGroup group;
  group.cancel(Code::shutdown);
  Code out = Code::none;
  group.spawn(keep_outcome({local_address(server.get())}, out));
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
  EXPECT_EQ(out, Code::shutdown);
  EXPECT_EQ(::accept(server.get(), nullptr, nullptr), -1);
}

class UnixServer {
 public:
  explicit UnixServer(int backlog) {
    std::string name = (std::filesystem::temp_directory_path() / "connect.XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    BindAddress where;
    where.path = directory_ + "/s";
    address_ = *Address::unix_path(where.path);
    socket_ = std::move(*bind_listener(where, false, backlog));
  }
  ~UnixServer() { std::filesystem::remove_all(directory_); }
  Descriptor accept() {
    return Descriptor(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  void close() { socket_.reset(); }
  void set_mode(mode_t mode) const { ::chmod((directory_ + "/s").c_str(), mode); }
  const Address& address() const { return address_; }

 private:
  std::string directory_;
  Address address_;
  Descriptor socket_;
};

TEST(Connect, ReachesAUnixSocket) {
  UnixServer server(4);
  EXPECT_EQ(run(outcome({server.address()}, 1s)), Code::none);
}

TEST(Connect, AUnixSocketWithoutListenerOrFileIsRefused) {
  UnixServer server(4);
  server.close();
  EXPECT_EQ(run(outcome({server.address()}, 1s)), Code::refused);
  EXPECT_EQ(run(outcome({*Address::unix_path("/nonexistent/socket")}, 1s)), Code::refused);
}

// For the thread, until the end: root may connect to whatever it likes.
class Nobody {
 public:
  Nobody() noexcept : before_(::setfsuid(65534)) {}
  ~Nobody() { ::setfsuid(static_cast<uid_t>(before_)); }
  Nobody(const Nobody&) = delete;
  Nobody& operator=(const Nobody&) = delete;

 private:
  int before_;
};

TEST(Connect, AUnixSocketThatMayNotBeUsedIsUnreachable) {
  UnixServer server(4);
  server.set_mode(0);
  const Nobody nobody;
  EXPECT_EQ(run(outcome({server.address()}, 1s)), Code::unreachable);
}

TEST(Connect, AFullUnixQueueIsTriedAgainUntilThereIsRoom) {
  UnixServer server(0);
  std::vector<Descriptor> clients;
  for (;;) {
    clients.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (::connect(clients.back().get(), server.address().data(), server.address().size()) != 0)
      break;
  }
  EXPECT_EQ(run(outcome({server.address()}, 60ms)), Code::connect_timeout);

  LoopRunner runner;
  TaskGroup group;
  Code out = Code::internal;
  group.spawn(keep_outcome({server.address()}, out));
  EXPECT_FALSE(runner.run_until([&] { return group.size() == 0; }, 30ms));
  EXPECT_TRUE(server.accept());
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
  EXPECT_EQ(out, Code::none);
}

}  // namespace
}  // namespace revproxyd::net

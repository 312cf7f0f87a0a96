// What a service manager hears, and the sockets that it passes.

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <future>

#include <gtest/gtest.h>

#include "tests/support/listening_socket.h"
#include "tests/support/load.h"
#include "tests/support/process.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kResponds = "routes: [ { respond: { body: x } } ]\n";

sockaddr_un address_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return address;
}

/// Plays systemd: what NOTIFY_SOCKET and WATCHDOG_USEC of the environment promise.
class Manager {
 public:
  explicit Manager(const char* watchdog_usec = nullptr) {
    const std::string path = directory_.file("notify");
    const sockaddr_un address = address_at(path);
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const int on = 1;
    ::setsockopt(socket_, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    if (watchdog_usec != nullptr) ::setenv("WATCHDOG_USEC", watchdog_usec, 1);
  }
  ~Manager() {
    ::close(socket_);
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }

  /// Messages that nobody reads, as many as the kernel keeps.
  void fill() const {
    sockaddr_un address{};
    socklen_t size = sizeof address;
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    const int sender = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    while (::sendto(sender, "x", 1, 0, reinterpret_cast<const sockaddr*>(&address), size) == 1) {
    }
    ::close(sender);
  }
  /// The next message; empty when none comes in time.
  std::string next(Milliseconds patience = kPatience) const {
    return next_with_sender(patience).text;
  }
  struct Message {
    std::string text;
    pid_t sender = -1;
  };
  Message next_with_sender(Milliseconds patience) const {
    Message message;
    pollfd input{socket_, POLLIN, 0};
    if (::poll(&input, 1, static_cast<int>(patience.count())) <= 0) return message;
    std::array<char, 4096> room{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> words{};
    iovec piece{room.data(), room.size()};
    msghdr header{};
    header.msg_iov = &piece;
    header.msg_iovlen = 1;
    header.msg_control = words.data();
    header.msg_controllen = words.size();
    const ssize_t got = ::recvmsg(socket_, &header, 0);
    if (got <= 0) return message;
    message.text.assign(room.data(), static_cast<std::size_t>(got));
    const cmsghdr* word = CMSG_FIRSTHDR(&header);
    if (word == nullptr || word->cmsg_type != SCM_CREDENTIALS) return message;
    ucred sender{};
    std::memcpy(&sender, CMSG_DATA(word), sizeof sender);
    message.sender = sender.pid;
    return message;
  }
  /// The next one that holds `text`; empty when none comes.
  std::string wait(std::string_view text) const {
    const Stopwatch watch;
    while (watch.elapsed() < kPatience) {
      std::string message = next();
      if (message.find(text) != std::string::npos) return message;
    }
    ADD_FAILURE() << "the manager was never told " << text;
    return {};
  }
  /// Whether `text` comes within that time.
  bool hears(std::string_view text, Milliseconds patience) const {
    const Stopwatch watch;
    while (watch.elapsed() < patience) {
      if (next(patience - watch.elapsed()).find(text) != std::string::npos) return true;
    }
    return false;
  }

 private:
  TempDir directory_;
  int socket_ = -1;
};

std::string at_port(std::uint16_t port, const std::string& more = {}) {
  return "listeners: [ { name: web, address: '127.0.0.1:" + std::to_string(port) + "' } ]\n" +
         std::string(kResponds) + more;
}

}  // namespace

TEST(ServiceManager, HearsOfStartReloadAndStop) {
  const Manager manager;
  Daemon daemon(std::string(kPlainListener) + std::string(kResponds));
  EXPECT_EQ(manager.next(), "READY=1");
  EXPECT_EQ(manager.next(), "STATUS=serving: configuration 1, 2 workers, 1 listeners");
  ASSERT_TRUE(daemon.reload());
  const std::string reloading = manager.next();
  EXPECT_TRUE(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC=")) << reloading;
  EXPECT_EQ(manager.next(), "READY=1");
  EXPECT_EQ(manager.next(), "STATUS=serving: configuration 2, 2 workers, 1 listeners");
  ASSERT_FALSE(daemon.reload("nonsense: 1\n"));
  EXPECT_TRUE(manager.next().starts_with("RELOADING=1\n"));
  EXPECT_EQ(manager.next(), "READY=1");
  EXPECT_EQ(manager.next(), "STATUS=serving: configuration 2, 2 workers, 1 listeners");
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_TRUE(manager.next().starts_with("STOPPING=1\nSTATUS=stopping"));
}

// With a worker that takes its time a reload is in force only when something else has begun.
TEST(ServiceManager, HearsNothingOfAReloadThatAStopHasOvertaken) {
  const Manager manager;
  Daemon daemon(std::string(kPlainListener) + std::string(kResponds) +
                "shutdown: { drain: 20s }\n");
  HeldThread held(daemon.pid(), "worker-1");
  if (!held.held()) GTEST_SKIP() << "threads cannot be held here";
  daemon.signal(SIGHUP);
  manager.wait("RELOADING=1");
  daemon.signal(SIGTERM);
  manager.wait("STOPPING=1");
  held.release();
  EXPECT_EQ(daemon.wait_exit(), 0);
  daemon.wait_log("reload 2: ok");
  EXPECT_EQ(manager.next(Milliseconds(1)), "");
}

TEST(ServiceManager, HearsNothingOfAReloadThatAnUpgradeHasOvertaken) {
  const Manager manager;
  Daemon daemon(std::string(kPlainListener) + std::string(kResponds));
  HeldThread held(daemon.pid(), "worker-1");
  if (!held.held()) GTEST_SKIP() << "threads cannot be held here";
  manager.wait("READY=1");
  daemon.signal(SIGHUP);
  manager.wait("RELOADING=1");
  daemon.signal(SIGUSR2);
  manager.wait("STATUS=upgrading the binary");
  held.release();
  std::string next = manager.next();
  EXPECT_TRUE(next.starts_with("MAINPID=")) << next;
  daemon.follow();
  daemon.wait_log("reload 2: ok");
  EXPECT_EQ(daemon.wait_former(), 0);
}

TEST(ServiceManager, HearsTheWatchdogOnlyWhileEveryWorkerTurns) {
  const Manager manager("1000000");
  Daemon daemon(std::string(kPlainListener) + std::string(kResponds));
  for (int i = 0; i < 3; ++i) manager.wait("WATCHDOG=1");
  HeldThread held(daemon.pid(), "worker-1");
  if (!held.held()) GTEST_SKIP() << "threads cannot be held here";
  daemon.wait_log("error: worker-1: stalled");
  while (!manager.next(Milliseconds(1)).empty()) {
    // From before it was noticed.
  }
  EXPECT_FALSE(manager.hears("WATCHDOG=1", Milliseconds(700)));
  EXPECT_EQ(daemon.log().find("worker-0: stalled"), std::string::npos);
  held.release();
  daemon.wait_log("worker-1: turns again");
  manager.wait("WATCHDOG=1");
  EXPECT_EQ(daemon.ctl("stats").out.find("\"loops\":[]"), std::string::npos);
  EXPECT_NE(daemon.ctl("stats").out.find("\"longest_lag_us\":"), std::string::npos);
}

TEST(ServiceManager, HearsNoWatchdogThatIsMeantForAnother) {
  const Manager manager("200000");
  ::setenv("WATCHDOG_PID", "1", 1);
  const Daemon daemon(std::string(kPlainListener) + std::string(kResponds));
  manager.wait("READY=1");
  EXPECT_FALSE(manager.hears("WATCHDOG=1", Milliseconds(700)));
}

TEST(ServiceManager, HearsOfTheNewMainProcess) {
  const Manager manager("2000000");
  Daemon daemon(std::string(kPlainListener) + std::string(kResponds));
  manager.wait("READY=1");
  ASSERT_EQ(daemon.upgrade().status, 0);
  EXPECT_TRUE(manager.wait("RELOADING=1").find("STATUS=upgrading the binary") != std::string::npos);
  const std::string main = manager.wait("MAINPID=");
  const std::string pid = std::to_string(daemon.pid());
  EXPECT_TRUE(main.starts_with("MAINPID=" + pid + "\nREADY=1\n")) << main;
  EXPECT_EQ(daemon.wait_former(), 0);
  manager.wait("WATCHDOG=1");
}

// systemd refuses what others than the main process say, and warns of each time.
TEST(ServiceManager, HearsNothingMoreOfAProcessThatHasHandedOver) {
  const Manager manager("200000");
  Daemon daemon(std::string(kPlainListener) + std::string(kResponds));
  RawClient kept(daemon.port());
  EXPECT_EQ(kept.get("/").status, 200);
  const pid_t former = daemon.pid();
  // The manager reads meanwhile: the kernel keeps few messages.
  auto upgraded = std::async(std::launch::async, [&] { return daemon.upgrade().status; });
  manager.wait("MAINPID=");
  ASSERT_EQ(upgraded.get(), 0);
  for (int of_another = 0; of_another < 8;) {
    const auto message = manager.next_with_sender(kPatience);
    ASSERT_FALSE(message.text.empty());
    EXPECT_NE(message.sender, former) << message.text;
    if (message.sender != former) ++of_another;
  }
  ::kill(former, SIGTERM);
  EXPECT_EQ(daemon.wait_former(), 0);
  for (;;) {
    const auto message = manager.next_with_sender(Milliseconds(1));
    if (message.text.empty()) break;
    EXPECT_NE(message.sender, former) << message.text;
  }
}

TEST(ServiceManager, OneThatIsBusyForAWhileHearsOfTheNewMainProcessAllTheSame) {
  const Manager manager;
  Daemon daemon(std::string(kPlainListener) + std::string(kResponds));
  manager.fill();
  const std::size_t from = daemon.log_lines();
  auto upgraded = std::async(std::launch::async, [&] { return daemon.upgrade().status; });
  daemon.wait_log("listening on", from);  // the new process is there
  EXPECT_EQ(upgraded.wait_for(Milliseconds(1500)), std::future_status::timeout);
  manager.wait("MAINPID=");
  EXPECT_EQ(upgraded.get(), 0);
}

// It would end the service for want of that word.
TEST(ServiceManager, OneThatWasBusyAtTheStartHearsThatItIsReady) {
  const Manager manager;
  manager.fill();
  const Daemon daemon(std::string(kPlainListener) + std::string(kResponds));
  // The main thread has given up waiting for the manager.
  ASSERT_EQ(daemon.ctl("status").status, 0);
  manager.wait("READY=1");
  manager.wait("STATUS=serving: configuration 1, 2 workers, 1 listeners");
}

TEST(ServiceManager, OneThatWasBusyAtAReloadHearsThatItIsReady) {
  const Manager manager;
  Daemon daemon(std::string(kPlainListener) + std::string(kResponds));
  manager.wait("STATUS=serving");
  manager.fill();
  ASSERT_TRUE(daemon.reload());
  ASSERT_EQ(daemon.ctl("status").status, 0);
  manager.wait("READY=1");
  manager.wait("STATUS=serving: configuration 2, 2 workers, 1 listeners");
}

TEST(ServiceManager, OneThatDoesNotReadHoldsUpNothing) {
  const Manager manager("200000");
  manager.fill();
  Daemon daemon(std::string(kPlainListener) + std::string(kResponds));
  EXPECT_EQ(fetch(daemon.port()).status, 200);
  EXPECT_EQ(daemon.stop(), 0);
}

TEST(SocketActivation, ARestartRefusesNoConnection) {
  const ListeningSocket socket;
  const Activation passed{{socket.fd()}, {}};
  for (int i = 0; i < 2; ++i) {
    RawClient early(socket.port());  // nobody accepts yet
    early.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    Daemon daemon(at_port(socket.port()), passed);
    EXPECT_EQ(early.response().status, 200);
    for (int more = 0; more < 8; ++more) EXPECT_EQ(fetch(socket.port()).status, 200);
    EXPECT_EQ(daemon.stop(), 0);
  }
}

TEST(SocketActivation, FindsListenersByName) {
  const ListeningSocket socket;
  const Daemon daemon(std::string(kPlainListener) + std::string(kResponds), {{socket.fd()}, "web"});
  EXPECT_EQ(daemon.port("web"), socket.port());
  EXPECT_EQ(fetch(socket.port()).status, 200);
}

TEST(SocketActivation, WorkersWithoutASocketGetTheirOwnWhereThePortMayBeShared) {
  const ListeningSocket socket(true);
  const Daemon daemon(at_port(socket.port(), "workers: 3\n"), {{socket.fd()}, {}});
  std::size_t listening = 0;
  std::array<char, 8> port{};
  std::snprintf(port.data(), port.size(), ":%04X ", socket.port());
  const std::string table = read_file("/proc/net/tcp");
  for (std::size_t at = table.find("0100007F" + std::string(port.data()) + "00000000:0000 0A");
       at != std::string::npos;
       at = table.find("0100007F" + std::string(port.data()) + "00000000:0000 0A", at + 1))
    ++listening;
  EXPECT_EQ(listening, 3U);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(fetch(socket.port()).status, 200);
}

TEST(SocketActivation, WarnsOfWhatFitsNothing) {
  const ListeningSocket socket;
  const ListeningSocket other;
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
  const Daemon daemon(at_port(socket.port()),
                      {{socket.fd(), other.fd(), pair[0]}, "web:spare:strange"});
  daemon.wait_log("warning: inherited socket 'spare' at 127.0.0.1:" + std::to_string(other.port()));
  daemon.wait_log("'strange' is not a listening stream socket");
  EXPECT_EQ(fetch(socket.port()).status, 200);
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST(SocketActivation, WarnsOfASocketThatIsBoundElsewhere) {
  const ListeningSocket socket(true);  // shares its port with the daemon
  const ListeningSocket other;
  const Daemon daemon(at_port(socket.port()), {{other.fd()}, "web"});
  const std::string there = "127.0.0.1:";
  daemon.wait_log("warning: listener web: the inherited socket of this name is bound to " + there +
                  std::to_string(other.port()) + " and not to " + there +
                  std::to_string(socket.port()));
}

TEST(SocketActivation, TheAdminSocketServesCtlAndStaysWithTheManager) {
  const TempDir directory;
  const std::string path = directory.file("admin.sock");
  const ListeningSocket socket(path);
  Daemon daemon(
      std::string(kPlainListener) + std::string(kResponds) + "admin: { socket: '" + path + "' }\n",
      {{socket.fd()}, "revproxyd-admin.socket"});
  EXPECT_EQ(run_revproxyd({"ctl", "status", "--socket", path}).status, 0);
  EXPECT_EQ(daemon.log().find("warning: inherited"), std::string::npos);
  daemon.signal(SIGUSR2);
  daemon.follow();
  EXPECT_EQ(daemon.wait_former(), 0);
  EXPECT_EQ(run_revproxyd({"ctl", "status", "--socket", path}).status, 0);
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_FALSE(socket.is_wanted());
}

namespace {

/// Sockets of a listener and of ctl that a manager holds in a directory of their own.
struct Held {
  TempDir directory;
  std::string run = directory.file("run");
  std::string web = run + "/web.sock";
  std::string admin = run + "/admin.sock";
  bool made = std::filesystem::create_directory(run);
  ListeningSocket web_socket{web};
  ListeningSocket admin_socket{admin};
  Activation passed{{web_socket.fd(), admin_socket.fd()}, "web:admin"};
  std::string config = "listeners: [ { name: web, address: 'unix:" + web + "' } ]\n" +
                       std::string(kResponds) + "admin: { socket: '" + admin + "' }\n";

  void expect_told_of(const Daemon& daemon) const {
    const std::string told = ": no file leads to the inherited socket, as far as can be seen";
    daemon.wait_log("warning: unix:" + web + told);
    daemon.wait_log("warning: admin socket " + admin + told);
  }
  void lose_files() const {
    std::filesystem::remove(web);
    std::filesystem::remove(admin);
  }
  void expect_made_anew_by_a_reload(Daemon& daemon) const {
    ASSERT_TRUE(daemon.reload());
    expect_served();
  }
  void expect_served() const {
    EXPECT_EQ(RawClient::unix_socket(web).get("/").status, 200);
    EXPECT_EQ(run_revproxyd({"ctl", "status", "--socket", admin}).status, 0);
  }
};

}  // namespace

TEST(SocketActivation, SocketsWhoseFilesWereRemovedBeforeTheStartAreToldOfAndMadeAnew) {
  const Held held;
  held.lose_files();
  Daemon daemon(held.config, held.passed);
  held.expect_told_of(daemon);
  held.expect_made_anew_by_a_reload(daemon);
}

// The file at the path is one that another process has left.
TEST(SocketActivation, SocketsBesideFilesThatLeadNowhereAreToldOfAndMadeAnew) {
  const Held held;
  {
    Daemon daemon(held.config, held.passed);
    held.expect_served();
    held.lose_files();
    held.expect_made_anew_by_a_reload(daemon);
    EXPECT_EQ(daemon.stop(), 0);
  }
  { const ListeningSocket left(held.web); }
  Daemon daemon(held.config, held.passed);
  held.expect_told_of(daemon);
  held.expect_made_anew_by_a_reload(daemon);
}

// As with PrivateTmp=: the manager's clients see files that the service does not.
TEST(SocketActivation, ClientsThatSeeAnotherFileAreServedOn) {
  const Held held;
  const std::string elsewhere = held.directory.file("elsewhere");
  const auto expect_served_there = [&] {
    EXPECT_EQ(RawClient::unix_socket(elsewhere + "/web.sock").get("/").status, 200);
    EXPECT_EQ(run_revproxyd({"ctl", "status", "--socket", elsewhere + "/admin.sock"}).status, 0);
  };
  std::filesystem::rename(held.run, elsewhere);
  Daemon daemon(held.config, held.passed);
  expect_served_there();
  ASSERT_TRUE(daemon.reload()) << "without the directory there can be no new sockets";
  expect_served_there();
  daemon.signal(SIGUSR2);
  daemon.follow();
  expect_served_there();
  std::filesystem::create_directory(held.run);
  ASSERT_TRUE(daemon.reload());
  expect_served_there();
  held.expect_served();
}

TEST(SocketActivation, SocketsPassToAnUpgradedBinary) {
  const ListeningSocket socket;
  Daemon daemon(at_port(socket.port()), {{socket.fd()}, {}});
  Load load({{socket.port(), false, {}, "/"}, {socket.port(), true, {}, "/"}});
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(load.wait_more(20)) << load.failures();
    ASSERT_EQ(daemon.upgrade().status, 0);
  }
  ASSERT_TRUE(load.wait_more(20)) << load.failures();
  load.stop();
  EXPECT_EQ(load.failed(), 0U) << load.failures();
}

}  // namespace revproxyd::testing

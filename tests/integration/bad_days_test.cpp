// What the machine does to the daemon: it runs out of descriptors, threads and ports, its disk
// fills up, its clock jumps, its processors stand still.

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/load.h"
#include "tests/support/namespaces.h"
#include "tests/support/process.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
// Another user than root, for whom limits hold, and than any that has processes here: in a range
// that nobody gives away, with tests beside this one in mind.
uid_t nobody_else() { return static_cast<uid_t>(60600 + ::getpid() % 500); }

// A daemon whose descriptors have been taken by a crowd of clients, all that clients get; `kept`
// was there before.
struct Exhausted {
  explicit Exhausted(const Proxy& proxy)
      : kept(proxy.connect()),
        before(kept.get("/").status),
        limit(proxy.daemon.pid(), room(proxy)) {
    for (int i = 0; i < 40; ++i) crowd.push_back(proxy.connect());
    full = wait_until([&] { return proxy.daemon.descriptors() >= most - spares(); });
  }
  // For others than clients: an eighth.
  std::size_t spares() const { return most / 8; }
  // And for others than servers, too.
  std::size_t last() const { return most / 16; }
  std::size_t room(const Proxy& proxy) { return most = proxy.daemon.descriptors() + 10; }

  RawClient kept;
  int before;
  std::size_t most = 0;
  DescriptorLimit limit;
  std::vector<RawClient> crowd;
  bool full = false;
};

CommandResult run_with_threads(std::size_t processes, const std::vector<std::string>& arguments) {
  const std::string user = std::to_string(nobody_else());
  std::vector<std::string> argv{"setpriv",        "--reuid", user,
                                "--clear-groups", "prlimit", "--nproc=" + std::to_string(processes),
                                binary_path()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return run_command(argv, Milliseconds(10000));
}

// The wall clock of daemons begun while this object lives.
class Clock {
 public:
  Clock() {
    const std::string file = directory_.file("shift");
    write_file(file, std::string(sizeof(std::int64_t), '\0'));
    const int opened = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
    void* memory =
        ::mmap(nullptr, sizeof(std::int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, opened, 0);
    ::close(opened);
    shift_ = static_cast<std::int64_t*>(memory);
    ::setenv("LD_PRELOAD", REVPROXYD_TEST_CLOCK, 1);
    ::setenv("CLOCK_SHIFT", file.c_str(), 1);
  }
  ~Clock() {
    ::unsetenv("LD_PRELOAD");
    ::unsetenv("CLOCK_SHIFT");
    ::munmap(shift_, sizeof *shift_);
  }
  void jump_to(std::chrono::seconds from_now) {
    std::atomic_ref<std::int64_t> shift(*shift_);
    shift = from_now.count();
  }

 private:
  TempDir directory_;
  std::int64_t* shift_ = nullptr;  // the library reads it
};

// UBSan looks at a class that it meets for the first time through a pipe, and takes it for invalid
// when there is no descriptor for one.
class Descriptors : public ::testing::Test {
 protected:
  void SetUp() override {
    if (sanitized()) GTEST_SKIP() << "the sanitizer needs descriptors of its own";
  }
};

}  // namespace

TEST_F(Descriptors, WhenNoneIsLeftThoseWhoAreThereAreServed) {
  const std::string large(300000, 'a');
  const Proxy proxy([&](OriginExchange& exchange) { exchange.respond(large); }, "workers: 1\n");
  Exhausted exhausted(proxy);
  ASSERT_TRUE(exhausted.full);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(exhausted.kept.get("/").body.size(), large.size());
}

TEST_F(Descriptors, WaitingForOneCostsNoTime) {
  const Proxy proxy("workers: 1\n");
  const Exhausted exhausted(proxy);
  ASSERT_TRUE(exhausted.full);
  const Milliseconds before = processor_time(proxy.daemon.pid());
  std::this_thread::sleep_for(Milliseconds(500));  // the time that is looked at
  EXPECT_LE((processor_time(proxy.daemon.pid()) - before).count(), 50);
}

TEST_F(Descriptors, NewClientsAreServedWhenOthersHaveLeft) {
  const Proxy proxy("workers: 1\n");
  Exhausted exhausted(proxy);
  ASSERT_TRUE(exhausted.full);
  RawClient late = proxy.connect();
  late.send(kGet);
  exhausted.crowd.clear();
  EXPECT_EQ(late.response().status, 200);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(proxy.get().status, 200);
}

TEST_F(Descriptors, ARequestThatGetsNoneToAServerIsToldToComeAgain) {
  Gate release;
  const Proxy proxy(answer_slow_when(release), "workers: 1\n");
  Exhausted exhausted(proxy);
  ASSERT_TRUE(exhausted.full);
  // The first takes the connection that is kept to the server, the others the spares.
  const std::size_t holders = 2 + exhausted.spares();
  for (std::size_t i = 0; i < holders; ++i)
    exhausted.crowd[i].send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(
      wait_until([&] { return proxy.daemon.descriptors() == exhausted.most - exhausted.last(); }));
  const Response refused = exhausted.kept.get("/refused");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.field("Retry-After"), "1");
  EXPECT_EQ(refused.field("Proxy-Status"),
            "revproxyd; error=proxy_internal_error; details=\"system\"");
  EXPECT_EQ(proxy.daemon.wait_access_of("/refused").why(), "system");
  proxy.daemon.wait_log("connect: Too many open files");
  release.open();
  EXPECT_EQ(exhausted.crowd[0].response().status, 200);
  EXPECT_EQ(exhausted.kept.get("/").status, 200);
}

TEST_F(Descriptors, ConnectionsThatAreIdleGiveThemBackToARequestThatGetsNone) {
  constexpr std::size_t kIdle = 8;
  Gate release;
  const Origin busy(answer_slow_when(release));
  const Origin other;
  const Daemon daemon(std::string(kPlainListener) + "workers: 1\nroutes: [ { path: /other, to: '" +
                      other.url() + "' }, { to: '" + busy.url() + "' } ]\n");
  std::vector<RawClient> clients;
  for (std::size_t i = 0; i < kIdle; ++i) {
    clients.emplace_back(daemon.port());
    clients.back().send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  ASSERT_TRUE(busy.wait_requests(kIdle));
  release.open();
  for (RawClient& client : clients) EXPECT_EQ(client.response().status, 200);
  const std::size_t before = daemon.descriptors();
  const DescriptorLimit limit(daemon.pid(), before);
  EXPECT_EQ(clients[0].get("/other").status, 200);
  EXPECT_LT(daemon.descriptors(), before);
}

TEST_F(Descriptors, SomeAreLeftForServersAndForThoseWhoAsk) {
  Gate release;
  const Proxy proxy(answer_slow_when(release), "workers: 1\n");
  Exhausted exhausted(proxy);
  ASSERT_TRUE(exhausted.full);
  exhausted.crowd[0].send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(proxy.origin.wait_requests(2));
  EXPECT_EQ(exhausted.kept.get("/another-connection").status, 200);
  const CommandResult stats = proxy.daemon.ctl("stats");
  EXPECT_EQ(stats.status, 0);
  EXPECT_EQ(stats.out.find("\"accept_pauses\":0,"), std::string::npos) << stats.out;
  release.open();
  EXPECT_EQ(exhausted.crowd[0].response().status, 200);
}

TEST_F(Descriptors, ConnectionsToServersLeaveSomeForThoseWhoRunTheDaemon) {
  constexpr std::size_t kLimit = 160;
  Gate release;
  Proxy proxy(answer_slow_when(release), "workers: 1\n");
  const DescriptorLimit limit(proxy.daemon.pid(), kLimit);
  std::vector<RawClient> crowd;
  for (std::size_t i = 0; i < kLimit; ++i) crowd.push_back(proxy.connect());
  ASSERT_TRUE(wait_until([&] { return proxy.daemon.descriptors() >= kLimit - kLimit / 8; }));
  for (RawClient& client : crowd) client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  proxy.daemon.wait_log("connect: Too many open files");
  EXPECT_EQ(proxy.daemon.ctl("status").status, 0);
  const CommandResult reload = proxy.daemon.ctl("reload");
  EXPECT_EQ(reload.status, 0) << reload.out;
  const CommandResult upgrade = proxy.daemon.upgrade();
  EXPECT_EQ(upgrade.status, 0) << upgrade.out;
  release.open();
}

// That nobody can be asked says nothing about the servers.
TEST_F(Descriptors, HealthChecksThatGetNoneTakeNoServerOut) {
  const Origin origin;
  const Daemon daemon(balance_over({origin.url()},
                                   "health_check: { path: /, interval: 50ms, fall: 1, rise: 1 }",
                                   "workers: 1\n"));
  RawClient client(daemon.port());
  EXPECT_EQ(client.get("/").status, 200);
  const DescriptorLimit limit(daemon.pid(), daemon.descriptors());
  const std::size_t before = origin.request_count();
  const Stopwatch watch;
  while (watch.elapsed() < Milliseconds(400)) {
    ASSERT_EQ(client.get("/").status, 200);
    ASSERT_TRUE(client.stays_quiet(Milliseconds(10)));
  }
  EXPECT_GT(origin.request_count(), before);
  EXPECT_EQ(daemon.log().find("is down"), std::string::npos);
}

TEST_F(Descriptors, TheLogSaysThatNoneIsLeft) {
  const Proxy proxy("workers: 1\n");
  const Exhausted exhausted(proxy);
  ASSERT_TRUE(exhausted.full);
  EXPECT_NE(proxy.daemon.wait_log("Too many open files").find("listener web"), std::string::npos);
  std::this_thread::sleep_for(Milliseconds(500));  // the time that is looked at
  EXPECT_LE(proxy.daemon.log_lines(), 12U) << proxy.daemon.log();
}

TEST_F(Descriptors, WhenThereAreTooFewTheStartFailsAndSaysWhy) {
  const TempDir directory;
  const std::string config = directory.file("proxy.yaml");
  write_file(config, std::string(kPlainListener) +
                         "routes: [ { respond: { body: x } } ]\nworkers: 8\naccess_log: { path: " +
                         directory.file("access.log") +
                         " }\nadmin: { socket: " + directory.file("admin.sock") + " }\n");
  // From as many as the loader needs up to one for each worker's loop.
  for (std::size_t descriptors = 4; descriptors <= 16 + 8 * 4; ++descriptors) {
    SCOPED_TRACE(descriptors);
    const CommandResult result = run_command(
        {"prlimit", "--nofile=" + std::to_string(descriptors), binary_path(), "-c", config},
        Milliseconds(10000));
    EXPECT_EQ(result.status, 3) << result.out;
    EXPECT_NE(result.out.find("Too many open files"), std::string::npos) << result.out;
    EXPECT_EQ(result.out.find("thread:"), std::string::npos) << result.out;
    EXPECT_EQ(result.out.find("[system:"), std::string::npos) << result.out;
    EXPECT_EQ(result.out.find("eventfd"), std::string::npos) << result.out;
    EXPECT_EQ(result.out.find("epoll"), std::string::npos) << result.out;
  }
}

TEST_F(Descriptors, MemoryIsWatchedWithoutOne) {
  const Proxy proxy("limits: { memory: 1MiB }\n");
  RawClient client = proxy.connect();
  ASSERT_TRUE(wait_until([&] { return client.get("/").status == 503; }));
  const DescriptorLimit limit(proxy.daemon.pid(), proxy.daemon.descriptors());
  const Stopwatch watch;
  while (watch.elapsed() < Milliseconds(1300)) {
    ASSERT_EQ(client.get("/").status, 503);
    ASSERT_TRUE(client.stays_quiet(Milliseconds(20)));
  }
}

TEST(Threads, WhenThereAreTooFewTheStartFailsAndSaysWhy) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  if (sanitized()) GTEST_SKIP() << "sanitizers have threads of their own";
  const TempDir directory;
  const std::string config = directory.file("proxy.yaml");
  write_file(config, std::string(kPlainListener) +
                         "routes: [ { respond: { body: x } } ]\nworkers: 8\naccess_log: { path: " +
                         directory.file("access.log") +
                         " }\nadmin: { socket: " + directory.file("admin.sock") + " }\n");
  ASSERT_EQ(::chown(directory.path().c_str(), nobody_else(), nobody_else()), 0);
  if (run_with_threads(1, {"-V"}).status != 0) GTEST_SKIP() << "no other user may run the binary";
  for (std::size_t processes = 1; processes <= 8; ++processes) {
    SCOPED_TRACE(processes);
    const CommandResult result = run_with_threads(processes, {"-c", config});
    EXPECT_EQ(result.status, 3) << result.out;
    EXPECT_NE(result.out.find("thread: Resource temporarily unavailable"), std::string::npos)
        << result.out;
  }
}

TEST(Ports, WhenNoneIsLeftRequestsAreToldToComeAgain) {
  const bool allowed = in_own_namespaces([] {
    Gate release;
    const Origin origin(answer_slow_when(release));
    const TempDir directory;
    const std::string path = directory.file("web.sock");
    const Daemon daemon("listeners: [ { name: web, address: 'unix:" + path +
                        "' } ]\nroutes: [ { to: '" + origin.url() + "' } ]\nworkers: 1\n");
    set_network("ipv4/ip_local_port_range", "20000 20003");
    std::vector<RawClient> slow;
    for (int i = 0; i < 4; ++i) {
      slow.push_back(RawClient::unix_socket(path));
      slow.back().send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    ASSERT_TRUE(origin.wait_requests(4));
    RawClient late = RawClient::unix_socket(path);
    const Response refused = late.get("/refused");
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.field("Proxy-Status"),
              "revproxyd; error=proxy_internal_error; details=\"system\"");
    EXPECT_EQ(daemon.wait_access_of("/refused").why(), "system");
    daemon.wait_log("connect: Cannot assign requested address");
    release.open();
    for (RawClient& client : slow) EXPECT_EQ(client.response().status, 200);
    EXPECT_EQ(late.get("/").status, 200);
  });
  if (!allowed) GTEST_SKIP() << "no network of its own is allowed here";
}

TEST(Ports, AnotherServerIsTriedWhenThereIsNoneToTheFirst) {
  const bool allowed = in_own_namespaces([] {
    Gate release;
    const Origin first([&](OriginExchange& exchange) {
      release.wait();
      exchange.respond("first");
    });
    const Origin second("second");
    const TempDir directory;
    const std::string path = directory.file("web.sock");
    const Daemon daemon("listeners: [ { name: web, address: 'unix:" + path +
                        "' } ]\nupstreams: { app: { balance: first, servers: [ { url: '" +
                        first.url() + "' }, { url: '" + second.url() +
                        "' } ] } }\nroutes: [ { to: app } ]\nworkers: 1\n");
    set_network("ipv4/ip_local_port_range", "20000 20003");
    std::vector<RawClient> slow;
    for (int i = 0; i < 4; ++i) {
      slow.push_back(RawClient::unix_socket(path));
      slow.back().send(kGet);
    }
    ASSERT_TRUE(first.wait_requests(4));
    EXPECT_EQ(RawClient::unix_socket(path).get("/").body, "second");
    release.open();
    for (RawClient& client : slow) EXPECT_EQ(client.response().body, "first");
  });
  if (!allowed) GTEST_SKIP() << "no network of its own is allowed here";
}

TEST(LogDisk, AFileThatWasRemovedIsThereAgainAfterUsrOne) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  EXPECT_EQ(client.get("/before").status, 200);
  proxy.daemon.wait_access_of("/before");
  std::filesystem::remove(proxy.daemon.access_log_file());
  EXPECT_EQ(client.get("/meanwhile").status, 200);
  proxy.daemon.signal(SIGUSR1);
  proxy.daemon.wait_log("logs reopened");
  EXPECT_EQ(client.get("/after").status, 200);
  EXPECT_EQ(proxy.daemon.wait_access_of("/after").status(), 200);
}

TEST(LogDisk, ADirectoryThatWasRemovedStopsNoTraffic) {
  const Origin origin;
  const TempDir above;
  const std::string directory = above.file("logs");
  std::filesystem::create_directory(directory);
  const std::string file = directory + "/access.log";
  const Daemon daemon(forward_to(origin.url(), "access_log: { path: " + file + " }\n"));
  RawClient client(daemon.port());
  EXPECT_EQ(client.get("/").status, 200);
  std::filesystem::remove_all(directory);
  daemon.signal(SIGUSR1);
  daemon.wait_log("error: access_log: cannot open the log file: No such file or directory");
  EXPECT_EQ(client.get("/").status, 200);
  std::filesystem::create_directory(directory);
  daemon.signal(SIGUSR1);
  daemon.wait_log("logs reopened");
  EXPECT_EQ(client.get("/after").status, 200);
  EXPECT_TRUE(
      wait_until([&] { return read_file(file).find("\"path\":\"/after\"") != std::string::npos; }));
}

TEST(LogDisk, WhenItIsFullTrafficGoesOnAndLinesWaitForRoom) {
  const bool allowed = in_own_namespaces([] {
    const Origin origin;
    const TempDir disk;
    mount_small_disk(disk.path(), 512 * 1024);
    const std::string file = disk.file("access.log");
    const Daemon daemon(forward_to(origin.url(), "access_log: { path: " + file + " }\n"));
    RawClient client(daemon.port());
    const std::string ballast = disk.file("ballast");
    std::ofstream(ballast) << std::string(480 * 1024, 'x') << std::flush;
    constexpr int kRequests = 300;
    for (int i = 0; i < kRequests; ++i)
      ASSERT_EQ(client.get("/" + std::string(300, 'a')).status, 200) << i;
    daemon.wait_log("log " + file + ": No space left on device");
    std::filesystem::remove(ballast);
    EXPECT_EQ(client.get("/after").status, 200);
    EXPECT_TRUE(wait_until(
        [&] { return read_file(file).find("\"path\":\"/after\"") != std::string::npos; }));
    daemon.wait_log("log " + file + ": writing again; lines lost so far: 0");
    const std::string lines = read_file(file);
    EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), kRequests + 1);
  });
  if (!allowed) GTEST_SKIP() << "no mounts of its own are allowed here";
}

TEST(ClockJumps, ADayForwardAndBackFailsNoRequest) {
  if (sanitized()) GTEST_SKIP() << "nothing can be put before a sanitizer";
  Clock clock;
  const Origin origin;
  const Daemon daemon(
      "listeners: [ { name: web, address: '127.0.0.1:0' }, { name: tls, address: '127.0.0.1:0', "
      "tls: internal } ]\nroutes: [ { to: '" +
      origin.url() + "' } ]\n");
  RawClient kept(daemon.port());
  RawClient kept_tls(daemon.port("tls"), ClientTls{});
  EXPECT_EQ(kept.get("/").status, 200);
  EXPECT_EQ(kept_tls.get("/").status, 200);
  Load load({{daemon.port("web"), true, {}, "/"}, {daemon.port("tls"), false, ClientTls{}, "/"}});
  for (const int days : {1, -1, 0, 400, 0}) {
    clock.jump_to(std::chrono::hours(24 * days));
    ASSERT_TRUE(load.wait_more(50)) << load.failures();
  }
  load.stop();
  EXPECT_EQ(load.failed(), 0U) << load.failures();
  EXPECT_EQ(kept.get("/").status, 200);
  EXPECT_EQ(kept_tls.get("/").status, 200);
}

TEST(ClockJumps, ATimeOutRunsByTheClockThatDoesNotJump) {
  if (sanitized()) GTEST_SKIP() << "nothing can be put before a sanitizer";
  Clock clock;
  const Proxy proxy("timeouts: { header: 1s }\n");
  RawClient slow = proxy.connect();
  slow.send("GET / HTTP/1.1\r\n");
  const Stopwatch watch;
  EXPECT_TRUE(slow.stays_quiet(Milliseconds(300)));
  clock.jump_to(-std::chrono::hours(24));
  EXPECT_EQ(slow.response().status, 408);
  EXPECT_GE(watch.elapsed().count(), 900);
}

TEST(ClockJumps, TheDateOfAnswersFollowsIt) {
  if (sanitized()) GTEST_SKIP() << "nothing can be put before a sanitizer";
  Clock clock;
  const Daemon daemon(std::string(kPlainListener) + "routes: [ { respond: { body: x } } ]\n");
  RawClient client(daemon.port());
  const std::string before = client.get("/").field("Date");
  clock.jump_to(std::chrono::hours(24));
  EXPECT_TRUE(wait_until(
      [&] { return client.get("/").field("Date").substr(0, 16) != before.substr(0, 16); }));
  clock.jump_to(std::chrono::hours(0));
  EXPECT_TRUE(wait_until(
      [&] { return client.get("/").field("Date").substr(0, 16) == before.substr(0, 16); }));
}

}  // namespace revproxyd::testing

// Servers to which no connection can be made: others serve instead for a while.

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/load.h"
#include "tests/support/namespaces.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

std::string closed_url() {
  Origin origin;
  origin.stop();
  return origin.url();
}

std::string with_backup(const std::string& url, const std::string& backup) {
  return std::string(kPlainListener) + "upstreams: { app: { servers: [ { url: '" + url +
         "' }, { url: '" + backup + "', backup: true } ], timeouts: { connect: 300ms } } }\n" +
         "routes: [ { name: all, to: app } ]\n";
}

std::string tried_once_over_h2(const std::string& url) {
  return std::string(kPlainListener) + "workers: 1\nupstreams: { app: { servers: [ { url: 'h2c" +
         url.substr(4) + "' } ], timeouts: { connect: 1s }, retry: { attempts: 1 } } }\n" +
         "routes: [ { name: all, to: app } ]\n";
}

// Its queue holds one connection. As long as that is not taken, others get no answer to their SYN.
class NarrowServer {
 public:
  NarrowServer() : listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = here(0);
    ::bind(listening_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    ::listen(listening_, 0);
    socklen_t size = sizeof address;
    ::getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~NarrowServer() {
    for (const int socket : sockets_) ::close(socket);
    ::close(listening_);
  }
  NarrowServer(const NarrowServer&) = delete;
  NarrowServer& operator=(const NarrowServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  void take_one() { sockets_.push_back(::accept(listening_, nullptr, nullptr)); }
  void fall_silent() {
    const sockaddr_in address = here(port_);
    for (int i = 0; i < 4; ++i) {
      sockets_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      ::connect(sockets_.back(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    }
  }

 private:
  static sockaddr_in here(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
  }

  int listening_;
  std::uint16_t port_ = 0;
  std::vector<int> sockets_;
};

std::size_t count_of(std::string_view word, std::string_view text) {
  std::size_t count = 0;
  for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1))
    ++count;
  return count;
}

// As `ctl stats` counts them.
long connect_failures(const Daemon& daemon) {
  const std::string_view key = "\"upstream_connect_failures\":";
  const std::string stats = daemon.ctl("stats").out;
  const std::size_t at = stats.find(key);
  return at == std::string::npos ? -1 : std::stol(stats.substr(at + key.size()));
}

}  // namespace

TEST(TakingOut, ABackupStepsInForAServerToWhichThereIsNoConnection) {
  const Origin backup("backup");
  NarrowServer silent;
  silent.fall_silent();
  for (const std::string& url : {closed_url(), std::string("http://no-such-host.invalid:80"),
                                 std::string("http://224.0.0.1:80"), silent.url()}) {
    SCOPED_TRACE(url);
    const Daemon daemon(with_backup(url, backup.url()));
    EXPECT_EQ(fetch(daemon.port()).body, "backup");
  }
}

TEST(TakingOut, ABackupStepsInForAServerToWhichThereIsNoSourceAddress) {
  const bool allowed = in_own_namespaces([] {
    const Origin backup("backup");
    const TempDir directory;
    const std::string path = directory.file("web.sock");
    set_network("ipv6/conf/all/disable_ipv6", "1");
    const Daemon daemon(
        "listeners: [ { name: web, address: 'unix:" + path +
        "' } ]\nupstreams: { app: { servers: [ { url: 'http://[::1]:80' }, { url: '" +
        backup.url() + "', backup: true } ] } }\nroutes: [ { to: app } ]\nworkers: 1\n");
    RawClient client = RawClient::unix_socket(path);
    EXPECT_EQ(client.get("/").body, "backup");
    daemon.wait_log("unreachable: connect: Cannot assign requested address");
  });
  if (!allowed) GTEST_SKIP() << "no network of its own is allowed here";
}

TEST(TakingOut, ABackupStepsInForAServerWhoseCertificateIsOfAnother) {
  const Origin backup("backup");
  Certificates authority;
  OriginOptions options;
  options.tls = ServerTls{authority.issue_for({"elsewhere.example"}), ""};
  const Origin stranger(answer_ok, options);
  const Daemon daemon(with_backup(stranger.url(), backup.url()));
  EXPECT_EQ(fetch(daemon.port()).body, "backup");
}

TEST(TakingOut, WhoWaitsIsServedByTheServerThatComesBack) {
  Origin out("out");
  Gate release;
  const Origin busy(answer_slow_when(release));
  out.stop();
  const std::string server = ", max_connections: 1 }";
  const Daemon daemon(std::string(kPlainListener) +
                      "workers: 1\nupstreams: { app: { balance: first, servers: [ { url: '" +
                      out.url() + "'" + server + ", { url: '" + busy.url() + "'" + server +
                      " ], limits: { queue_timeout: 10s } } }\n" +
                      "routes: [ { name: all, to: app } ]\n");
  RawClient first(daemon.port());
  first.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(busy.wait_requests(1));
  out.start();
  EXPECT_EQ(fetch(daemon.port()).body, "out");
  release.open();
  EXPECT_EQ(first.response().status, 200);
}

TEST(TakingOut, ATimeoutOfOneConnectTakesNoServerOutThatHasRequestsUnderWay) {
  const Origin backup("backup");
  NarrowServer busy;
  const Daemon daemon(with_backup(busy.url(), backup.url()));
  RawClient first(daemon.port());
  first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  busy.take_one();
  busy.fall_silent();
  EXPECT_EQ(fetch(daemon.port()).status, 504);
  EXPECT_EQ(backup.request_count(), 0U);
}

TEST(TakingOut, AConnectThatManyRequestsWaitForFailsOnce) {
  NarrowServer silent;
  silent.fall_silent();
  Daemon daemon(tried_once_over_h2(silent.url()));
  std::vector<RawClient> clients;
  for (int i = 0; i < 5; ++i) clients.emplace_back(daemon.port());
  for (RawClient& client : clients) client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  for (RawClient& client : clients) EXPECT_EQ(client.response().status, 504);
  EXPECT_TRUE(comes_to(daemon, "requests_active", 0));
  EXPECT_TRUE(comes_to(daemon, "upstream_connect_failures", 1));
  EXPECT_TRUE(daemon.reload()) << "what it says comes behind all warnings";
  EXPECT_EQ(count_of(": connect_timeout", daemon.log()), 1U) << daemon.log();
}

// Its connect has succeeded, so who made it has nothing to tell.
TEST(TakingOut, AServerThatIsConnectedToAndSaysNothingIsToldOf) {
  const NarrowServer mute;
  Daemon daemon(tried_once_over_h2(mute.url()));
  RawClient first(daemon.port());
  first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(comes_to(daemon, "requests_active", 1));
  RawClient second(daemon.port());
  second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(second.response().status, 504);
  daemon.wait_log(": connect_timeout");
  EXPECT_TRUE(comes_to(daemon, "upstream_connect_failures", 0));
}

TEST(TakingOut, OneRequestTriesASilentServerAgainAndTheOthersDoNotWait) {
  const Origin backup("backup");
  NarrowServer silent;
  silent.fall_silent();
  const Daemon daemon(with_backup(silent.url(), backup.url()));
  EXPECT_EQ(fetch(daemon.port()).body, "backup");
  ASSERT_TRUE(comes_to(daemon, "upstream_connect_failures", 1));
  const Stopwatch watch;
  Load load(std::vector<LoadPlan>(8, {.port = daemon.port()}));
  EXPECT_TRUE(wait_until([&] { return connect_failures(daemon) > 2; }));
  load.stop();
  EXPECT_EQ(load.failed(), 0U) << load.failures();
  // Each after a second and the 300 ms of the one before.
  EXPECT_LE(connect_failures(daemon) - 1, watch.elapsed().count() / 1300 + 1);
}

}  // namespace revproxyd::testing

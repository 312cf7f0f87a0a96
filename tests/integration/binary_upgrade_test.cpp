// The change of the binary: another process serves, and nobody outside can tell.

#include <signal.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/certificates.h"
#include "tests/support/h2_load.h"
#include "tests/support/load.h"
#include "tests/support/process.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kHandshake =
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
constexpr std::string_view kSwitch =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

// tests/bench/upgrades.sh asks for more.
int rounds() {
  const char* asked = std::getenv("REVPROXYD_UPGRADES");
  return asked == nullptr ? 4 : std::atoi(asked);
}

std::string responding(const std::string& body) {
  return std::string(kPlainListener) + "routes: [ { respond: { body: '" + body + "' } } ]\n";
}

std::string plain_and_tls(const std::string& to, const std::string& more = {}) {
  return "listeners: [ { name: web, address: '127.0.0.1:0' }, { name: tls, address: '127.0.0.1:0', "
         "tls: internal } ]\nroutes: [ { to: '" +
         to + "' } ]\n" + more;
}

// Says back what it is told.
void echo(OriginExchange& exchange) {
  exchange.send(kSwitch);
  for (std::string bytes = exchange.stream().receive(); !bytes.empty();
       bytes = exchange.stream().receive()) {
    exchange.send(bytes);
  }
  exchange.close();
}

/// A daemon that runs a copy of the binary, which a test may spoil.
struct OwnBinary {
  explicit OwnBinary(const std::string& config) {
    const std::string before = binary_path();
    std::filesystem::copy_file(before, path);
    ::setenv("REVPROXYD_BINARY", path.c_str(), 1);
    daemon.emplace(config);
    ::setenv("REVPROXYD_BINARY", before.c_str(), 1);  // for the tests after this one
  }
  void replace(const std::string& script) const {
    write_file(path, "#!/bin/sh\n" + script + "\n");
    ::chmod(path.c_str(), 0755);
  }
  TempDir directory;
  std::string path = directory.file("revproxyd");
  std::optional<Daemon> daemon;
};

}  // namespace

TEST(BinaryUpgrade, FailsNoRequestUnderLoad) {
  const Origin origin;
  Daemon daemon(plain_and_tls(origin.url(), "shutdown: { drain: 5s }\n"));
  const ClientTls tls;
  const std::uint16_t plain = daemon.port("web");
  const std::uint16_t secure = daemon.port("tls");
  Load load({{plain, true, {}, "/"},
             {plain, false, {}, "/"},
             {secure, true, tls, "/"},
             {secure, false, tls, "/"}});
  H2Load streams({{.port = plain}, {.port = secure, .tls = ClientTls()}});
  for (int i = 0; i < rounds(); ++i) {
    ASSERT_TRUE(load.wait_more(50)) << load.failures();
    ASSERT_TRUE(streams.wait_more(50)) << streams.report();
    const pid_t before = daemon.pid();
    const CommandResult result = daemon.upgrade();
    ASSERT_EQ(result.status, 0) << result.out;
    ASSERT_NE(daemon.pid(), before);
  }
  ASSERT_TRUE(load.wait_more(50)) << load.failures();
  ASSERT_TRUE(streams.wait_more(50)) << streams.report();
  load.stop();
  streams.stop();
  EXPECT_EQ(load.failed(), 0U) << load.failures();
  EXPECT_EQ(streams.failed() + streams.refused(), 0U) << streams.report();
  std::printf("%d upgrades: %zu requests of HTTP/1.1, %zu of HTTP/2, %zu failed\n", rounds(),
              load.done(), streams.done(), load.failed() + streams.failed() + streams.refused());
}

TEST(BinaryUpgrade, APathThatIsRelativeLeadsToTheSameFileAgain) {
  const std::filesystem::path here = std::filesystem::current_path();
  const std::string before = binary_path();
  const TempDir directory;
  std::filesystem::copy_file(before, directory.file("revproxyd"));
  std::filesystem::current_path(directory.path());
  ::setenv("REVPROXYD_BINARY", "./revproxyd", 1);
  Daemon daemon(responding("old"));
  ::setenv("REVPROXYD_BINARY", before.c_str(), 1);
  std::filesystem::current_path(here);
  daemon.write_config(responding("new"));
  EXPECT_EQ(daemon.upgrade().status, 0);
  EXPECT_EQ(fetch(daemon.port()).body, "new");
}

TEST(BinaryUpgrade, IsAskedForBySignalToo) {
  Daemon daemon(responding("same"));
  const std::uint16_t port = daemon.port();
  daemon.signal(SIGUSR2);
  daemon.follow();
  EXPECT_EQ(daemon.wait_former(), 0);
  EXPECT_EQ(fetch(port).body, "same");
  EXPECT_NE(daemon.ctl("status").out.find("process " + std::to_string(daemon.pid())),
            std::string::npos);
}

TEST(BinaryUpgrade, TakesUpTheConfigurationOfNow) {
  Daemon daemon(responding("old"));
  const std::uint16_t port = daemon.port();
  daemon.write_config(responding("new") + "workers: 1\n");
  ASSERT_EQ(daemon.upgrade().status, 0);
  for (int i = 0; i < 20; ++i) ASSERT_EQ(fetch(port).body, "new");
}

TEST(BinaryUpgrade, TheOldProcessEndsWhenItsClientsHaveGone) {
  Daemon daemon(responding("x"));
  RawClient idle(daemon.port());
  EXPECT_EQ(idle.get("/").status, 200);
  ASSERT_EQ(daemon.upgrade().status, 0);
  EXPECT_TRUE(idle.stays_quiet(Milliseconds(200))) << "it was closed before its client was told";
  const Response last = idle.get("/");
  EXPECT_EQ(last.status, 200);
  EXPECT_TRUE(equal_ignoring_case(last.field("Connection"), "close"));
  EXPECT_TRUE(idle.closes());
  EXPECT_EQ(daemon.wait_former(), 0);
}

TEST(BinaryUpgrade, TunnelsAndDownloadsGoOn) {
  Gate rest;
  const Origin origin([&](OriginExchange& exchange) {
    if (exchange.request().target == "/ws") return echo(exchange);
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfirst");
    rest.wait();
    exchange.send(" last!");
  });
  Daemon daemon(forward_to(origin.url(), "shutdown: { drain: 300ms, streams: 20s }\n"));
  RawClient tunnel(daemon.port());
  tunnel.send(kHandshake);
  EXPECT_EQ(tunnel.response().status, 101);
  RawClient download(daemon.port());
  download.send("GET /file HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_NE(download.until("first").find("200"), std::string::npos);
  ASSERT_EQ(daemon.upgrade().status, 0);
  EXPECT_TRUE(tunnel.stays_quiet(Milliseconds(900))) << "longer than shutdown.drain";
  tunnel.send("still there");
  EXPECT_EQ(tunnel.bytes(11), "still there");
  rest.open();
  EXPECT_EQ(download.bytes(6), " last!");
  tunnel.stream().close();
  EXPECT_EQ(daemon.wait_former(), 0);
}

TEST(BinaryUpgrade, WhatTakesLongerThanStreamsIsCut) {
  const Origin origin(echo);
  Daemon daemon(forward_to(origin.url(), "shutdown: { drain: 100ms, streams: 600ms }\n"));
  RawClient tunnel(daemon.port());
  tunnel.send(kHandshake);
  EXPECT_EQ(tunnel.response().status, 101);
  const Stopwatch watch;
  ASSERT_EQ(daemon.upgrade().status, 0);
  EXPECT_TRUE(tunnel.closes());
  EXPECT_GE(watch.elapsed(), Milliseconds(550));
  EXPECT_EQ(daemon.wait_former(), 0);
}

TEST(BinaryUpgrade, AStopOfTheOldProcessIsAStop) {
  const Origin origin(echo);
  Daemon daemon(forward_to(origin.url(), "shutdown: { drain: 300ms, streams: 60s }\n"));
  RawClient tunnel(daemon.port());
  tunnel.send(kHandshake);
  EXPECT_EQ(tunnel.response().status, 101);
  const pid_t former = daemon.pid();
  ASSERT_EQ(daemon.upgrade().status, 0);
  ::kill(former, SIGTERM);
  EXPECT_TRUE(tunnel.closes());
  EXPECT_EQ(daemon.wait_former(), 0);
  EXPECT_EQ(fetch(daemon.port(), "/ws").status, 502) << "the origin only switches";
}

// systemd tells all processes of a service, and those that are left when the main one has ended.
TEST(BinaryUpgrade, AStopOfTheServiceLeavesTheOldProcessItsTime) {
  const Origin origin(echo);
  Daemon daemon(forward_to(origin.url(), "shutdown: { drain: 20s, streams: 60s }\n"));
  RawClient tunnel(daemon.port());
  tunnel.send(kHandshake);
  EXPECT_EQ(tunnel.response().status, 101);
  const pid_t former = daemon.pid();
  ASSERT_EQ(daemon.upgrade().status, 0);
  ::kill(former, SIGTERM);
  daemon.wait_log("stopping: finishing what is under way");
  ::kill(former, SIGTERM);
  EXPECT_TRUE(tunnel.stays_quiet(Milliseconds(300)));
  tunnel.send("still there");
  EXPECT_EQ(tunnel.bytes(11), "still there");
  ::kill(former, SIGINT);
  EXPECT_TRUE(tunnel.closes());
  EXPECT_EQ(daemon.wait_former(), 0);
}

TEST(BinaryUpgrade, ServesWithAnyNumberOfWorkers) {
  const Origin origin;
  const auto config = [&](int workers) {
    return plain_and_tls(origin.url(), "workers: " + std::to_string(workers) + "\n");
  };
  Daemon daemon(config(2));
  Load load({{daemon.port("web"), false, {}, "/"},
             {daemon.port("web"), false, {}, "/"},
             {daemon.port("tls"), false, ClientTls(), "/"}});
  for (const int workers : {4, 1, 3, 2}) {
    daemon.write_config(config(workers));
    ASSERT_TRUE(load.wait_more(30)) << load.failures();
    const CommandResult result = daemon.upgrade();
    ASSERT_EQ(result.status, 0) << result.out;
    ASSERT_TRUE(load.wait_more(60)) << load.failures();
    EXPECT_NE(daemon.ctl("status").out.find("worker-" + std::to_string(workers - 1)),
              std::string::npos);
  }
  load.stop();
  EXPECT_EQ(load.failed(), 0U) << load.failures();
}

// The new process asks by itself as well, and does not hear either for as long as a check may take.
TEST(BinaryUpgrade, ServersThatAreDownStayDown) {
  std::atomic<bool> silent = false;
  std::atomic<int> asked = 0;
  Gate end;
  const Origin sick([&](OriginExchange& exchange) {
    if (exchange.request().target != "/healthz") ++asked;
    if (silent) end.wait();
    exchange.respond("", 500);
  });
  const Origin well("well");
  Daemon daemon(balance_over({sick.url(), well.url()},
                             "health_check: { path: /healthz, interval: 1h, timeout: 30s }"));
  daemon.wait_log("is down");
  asked = 0;
  silent = true;
  ASSERT_EQ(daemon.upgrade().status, 0);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(fetch(daemon.port()).body, "well");
  EXPECT_EQ(asked, 0);
  end.open();
}

TEST(BinaryUpgrade, UnixSocketsPassToo) {
  const TempDir directory;
  const std::string path = directory.file("web.sock");
  Daemon daemon("listeners: [ { name: web, address: 'unix:" + path +
                "' } ]\nroutes: [ { respond: { body: here } } ]\n");
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(daemon.upgrade().status, 0);
    EXPECT_EQ(RawClient::unix_socket(path).get("/").body, "here");
    EXPECT_EQ(daemon.wait_former(), 0);
    EXPECT_EQ(daemon.ctl("stats").status, 0) << "the admin socket is there";
  }
}

TEST(BinaryUpgrade, TheAdminSocketIsForNoListenerWhateverItIsCalled) {
  const TempDir directory;
  const std::string path = directory.file("web.sock");
  Daemon daemon("listeners: [ { name: admin, address: 'unix:" + path +
                "' } ]\nroutes: [ { respond: { body: here } } ]\n");
  ASSERT_EQ(daemon.upgrade().status, 0);
  EXPECT_EQ(RawClient::unix_socket(path).get("/").body, "here");
  EXPECT_EQ(daemon.ctl("status").status, 0);
}

TEST(BinaryUpgrade, MakesSocketsAnewWhoseFilesWereRemoved) {
  const TempDir directory;
  const std::string path = directory.file("web.sock");
  Daemon daemon("listeners: [ { name: web, address: 'unix:" + path +
                "' } ]\nroutes: [ { respond: { body: here } } ]\n");
  std::filesystem::remove(path);
  std::filesystem::remove(daemon.admin_socket());
  daemon.signal(SIGUSR2);
  daemon.follow();
  EXPECT_EQ(daemon.wait_former(), 0);
  EXPECT_EQ(RawClient::unix_socket(path).get("/").body, "here");
  EXPECT_EQ(daemon.ctl("status").status, 0);
}

TEST(BinaryUpgrade, ListenersThatAreGoneAreClosedAndNewOnesOpened) {
  const std::string routes = "routes: [ { respond: { body: x } } ]\n";
  Daemon daemon("listeners: [ { name: a, address: '127.0.0.1:0' } ]\n" + routes);
  const std::uint16_t old = daemon.port("a");
  daemon.write_config("listeners: [ { name: b, address: '127.0.0.1:0' } ]\n" + routes);
  ASSERT_EQ(daemon.upgrade().status, 0);
  EXPECT_EQ(fetch(daemon.port("b")).body, "x");
  EXPECT_EQ(daemon.wait_former(), 0);
  EXPECT_TRUE(refuses(old));
}

TEST(BinaryUpgrade, ClientsResumeTheirTlsSessions) {
  Certificates authority;
  const Certificate own = authority.issue_for({"a.example"});
  Daemon daemon(
      "listeners: [ { name: tls, address: '127.0.0.1:0', tls: {} } ]\ncertificates: [ { cert: '" +
      own.cert_file + "', key: '" + own.key_file + "' } ]\nroutes: [ { respond: { body: x } } ]\n");
  ClientTls tls{.sni = "a.example"};
  const auto status = [](RawClient& client) {
    return client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").response().status;
  };
  // A client's library takes a session for spoilt when its connection goes without a farewell.
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) {
    if (i > 0) {
      ASSERT_EQ(daemon.upgrade().status, 0);
    }
    RawClient& client = clients.emplace_back(daemon.port(), tls);
    EXPECT_EQ(status(client), 200);
    EXPECT_EQ(client.stream().resumed(), i > 0);
    tls.session = client.stream().session();
  }
}

TEST(BinaryUpgrade, ABinaryThatFailsChangesNothing) {
  const OwnBinary own(responding("old") + "shutdown: { drain: 1s, upgrade: 700ms }\n");
  const Daemon& daemon = *own.daemon;
  const auto refused = [&](const std::string& reason) {
    const CommandResult result = daemon.ctl("upgrade");
    EXPECT_EQ(result.status, 1) << result.out;
    EXPECT_NE(result.out.find(reason), std::string::npos) << result.out;
    daemon.wait_log("upgrade refused: ");
    EXPECT_EQ(fetch(daemon.port()).body, "old");
  };
  own.replace("exit 7");
  refused("ended with status 7 before it was ready");
  own.replace("kill -9 $$");
  refused("was ended by signal 9");
  own.replace("exec sleep 60");
  refused("was not ready in time");
  std::filesystem::remove(own.path);
  refused("No such file");
  EXPECT_EQ(daemon.ctl("status").status, 0);
  EXPECT_EQ(daemon.ctl("reload").status, 0);
}

// What it leaves becomes a child of the daemon.
TEST(BinaryUpgrade, ABinaryThatLeavesChildrenLeavesNoneThatHaveEnded) {
  const OwnBinary own(responding("old") + "shutdown: { drain: 1s, upgrade: 1s }\n");
  const Daemon& daemon = *own.daemon;
  own.replace("sleep 1.1 & sleep 1.15 & wait");
  EXPECT_EQ(daemon.ctl("upgrade").status, 1);
  EXPECT_EQ(child_of(daemon.pid()), -1) << "it waits for more than the first one's end";
  own.replace("sleep 4; true");
  EXPECT_EQ(daemon.ctl("upgrade").status, 1);
  EXPECT_NE(child_of(daemon.pid()), -1);
  EXPECT_TRUE(wait_until([&] { return child_of(daemon.pid()) == -1; }));
}

TEST(BinaryUpgrade, AConfigurationThatIsRefusedChangesNothing) {
  Daemon daemon(responding("old"));
  daemon.write_config("nonsense: 1\n");
  CommandResult result = daemon.upgrade();
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.out.find("unknown key 'nonsense'"), std::string::npos) << result.out;
  daemon.write_config(
      "listeners: [ { name: web, address: '127.0.0.1:0' }, { name: more, address: "
      "'192.0.2.1:80' } ]\nroutes: [ { respond: { body: new } } ]\n");
  result = daemon.upgrade();
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.out.find("listener more"), std::string::npos) << result.out;
  EXPECT_EQ(fetch(daemon.port()).body, "old");
  daemon.write_config(responding("new"));
  EXPECT_EQ(daemon.upgrade().status, 0);
  EXPECT_EQ(fetch(daemon.port()).body, "new");
}

TEST(BinaryUpgrade, AReloadMeanwhileIsRefused) {
  const OwnBinary own(responding("old") + "shutdown: { drain: 1s, upgrade: 1s }\n");
  own.replace("exec sleep 60");
  own.daemon->signal(SIGUSR2);
  own.daemon->wait_log("upgrade: starting");
  EXPECT_NE(own.daemon->ctl("reload").out.find("an upgrade is under way"), std::string::npos);
  EXPECT_NE(own.daemon->ctl("upgrade").out.find("an upgrade is under way"), std::string::npos);
  own.daemon->wait_log("upgrade refused: the new binary was not ready in time");
  EXPECT_EQ(own.daemon->ctl("reload").status, 0);
}

TEST(BinaryUpgrade, AStopEndsIt) {
  OwnBinary own(responding("old"));
  own.replace("exec sleep 60");
  own.daemon->signal(SIGUSR2);
  own.daemon->wait_log("upgrade: starting");
  const Stopwatch watch;
  EXPECT_EQ(own.daemon->stop(), 0);
  EXPECT_LT(watch.elapsed(), Milliseconds(5000));
}

}  // namespace revproxyd::testing

// A worker whose loop does not turn: the others serve on, and the process can be ended and
// replaced.

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/process.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

std::string responding(std::string_view more) {
  return std::string(kPlainListener) + "routes: [ { respond: { body: x } } ]\nworkers: 2\n" +
         std::string(more);
}

// The longest of all workers, as `ctl stats` has it.
Milliseconds longest_lag(const Daemon& daemon) {
  constexpr std::string_view kKey = "\"longest_lag_us\":";
  const std::string stats = daemon.ctl("stats").out;
  std::chrono::microseconds longest{0};
  for (std::size_t at = stats.find(kKey); at != std::string::npos; at = stats.find(kKey, at + 1))
    longest =
        std::max(longest, std::chrono::microseconds(std::stol(stats.substr(at + kKey.size()))));
  return std::chrono::duration_cast<Milliseconds>(longest);
}

}  // namespace

TEST(StalledWorker, IsToldOfAndTheOthersServeOnAndNothingIsLost) {
  const Proxy proxy("workers: 2\n");
  std::vector<RawClient> clients;
  for (int i = 0; i < 16; ++i) {
    clients.push_back(proxy.connect());
    ASSERT_EQ(clients.back().get("/").status, 200);
  }
  HeldThread held(proxy.daemon.pid(), "worker-1");
  if (!held.held()) GTEST_SKIP() << "threads cannot be held here";
  for (RawClient& client : clients) client.send(kGet);
  proxy.daemon.wait_log("error: worker-1: stalled, its loop has not turned for 5");
  std::size_t waiting = 0;
  for (RawClient& client : clients) waiting += client.stream().readable(Milliseconds(0)) ? 0U : 1U;
  EXPECT_LT(waiting, clients.size());
  held.release();
  proxy.daemon.wait_log("warning: worker-1: turns again");
  for (RawClient& client : clients) EXPECT_EQ(client.response().status, 200);
  EXPECT_GE(longest_lag(proxy.daemon), Milliseconds(4500));
}

TEST(StalledWorker, IsSeenByWhoeverAsks) {
  Daemon daemon(responding(""));
  EXPECT_EQ(daemon.ctl("status").out.find("stalled"), std::string::npos);
  HeldThread held(daemon.pid(), "worker-1");
  if (!held.held()) GTEST_SKIP() << "threads cannot be held here";
  EXPECT_TRUE(wait_until([&] { return longest_lag(daemon) >= Milliseconds(1500); }));
  daemon.wait_log("error: worker-1: stalled");
  EXPECT_NE(daemon.ctl("status").out.find("  worker-1: stalled, "), std::string::npos);
  EXPECT_NE(daemon.ctl("stats").out.find("\"stalled\":1}]}"), std::string::npos);
  held.release();
  daemon.wait_log("warning: worker-1: turns again");
  EXPECT_EQ(daemon.ctl("status").out.find("stalled"), std::string::npos);
}

TEST(StalledWorker, LetsCtlSayThatTheDaemonIsBusyWithOthers) {
  const Daemon daemon(responding(""));
  HeldThread held(daemon.pid(), "worker-1");
  if (!held.held()) GTEST_SKIP() << "threads cannot be held here";
  std::vector<RawClient> waiting;
  for (int i = 0; i < 16; ++i) {
    waiting.push_back(RawClient::unix_socket(daemon.admin_socket()));
    waiting.back().send("reload\n");
  }
  const CommandResult result = daemon.ctl("stats");
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.out.find("busy"), std::string::npos) << result.out;
  held.release();
  for (RawClient& one : waiting) EXPECT_NE(one.until_end(), "");
  EXPECT_EQ(daemon.ctl("stats").status, 0);
}

// Whoever asked is told of it, and the rest is in force.
TEST(StalledWorker, DoesNotKeepAReloadFromItsEnd) {
  Daemon daemon(responding(""));
  const std::uint16_t port = daemon.port();
  HeldThread held(daemon.pid(), "worker-1");
  if (!held.held()) GTEST_SKIP() << "threads cannot be held here";
  daemon.write_config(std::string(kPlainListener) +
                      "routes: [ { respond: { body: new } } ]\nworkers: 2\n");
  CommandResult reloaded;
  EXPECT_NO_THROW(reloaded = daemon.ctl("reload"));
  EXPECT_EQ(reloaded.status, 1);
  EXPECT_NE(reloaded.out.find("reload 2: a worker stands still"), std::string::npos)
      << reloaded.out;
  held.release();
  daemon.wait_log("info: reload 2: ok, 1 routes");
  for (int i = 0; i < 8; ++i) EXPECT_EQ(fetch(port).body, "new");
}

// Until it has closed its socket of the listener that was taken away, the address is in use.
TEST(StalledWorker, AReloadThatBringsAListenerBackWaitsForIt) {
  Daemon daemon(responding(""));
  const std::string more = "127.0.0.2:" + std::to_string(daemon.port());
  const std::string with = "listeners: [ { name: web, address: '127.0.0.1:0' }, { address: '" +
                           more + "' } ]\nroutes: [ { respond: { body: x } } ]\nworkers: 2\n";
  ASSERT_TRUE(daemon.reload(with));
  HeldThread held(daemon.pid(), "worker-1");
  if (!held.held()) GTEST_SKIP() << "threads cannot be held here";
  daemon.write_config(responding(""));
  RawClient without = RawClient::unix_socket(daemon.admin_socket());
  without.send("reload\n");
  ASSERT_TRUE(comes_to(daemon, "config_generation", 3));
  daemon.write_config(with);
  RawClient again = RawClient::unix_socket(daemon.admin_socket());
  again.send("reload\n");
  // It is answered in turn, so the daemon has heard of the reload.
  EXPECT_EQ(daemon.ctl("status").status, 0);
  held.release();
  EXPECT_TRUE(without.last_words().starts_with("ok\n"));
  const std::string verdict = again.last_words();
  EXPECT_TRUE(verdict.starts_with("ok\n")) << verdict;
}

// Three seconds after the drain time nobody waits for it any more.
TEST(StalledWorker, DoesNotKeepTheProcessFromEnding) {
  Daemon daemon(responding("shutdown: { drain: 1s }\n"));
  HeldThread held(daemon.pid(), "worker-1");
  if (!held.held()) GTEST_SKIP() << "threads cannot be held here";
  daemon.signal(SIGTERM);
  EXPECT_TRUE(held.ends(Milliseconds(6000)));
  held.release();
  EXPECT_EQ(daemon.wait_exit(), 0);
  daemon.wait_log("error: worker-1: does not end, and is left behind");
  daemon.wait_log("info: stopped");
  EXPECT_EQ(daemon.log().find("worker-0: does not end"), std::string::npos);
}

TEST(StalledWorker, DoesNotKeepAnUpgradeFromItsEnd) {
  Daemon daemon(responding("shutdown: { drain: 500ms, streams: 1s }\n"));
  const std::uint16_t port = daemon.port();
  const std::string former = std::to_string(daemon.pid());
  HeldThread held(daemon.pid(), "worker-1");
  if (!held.held()) GTEST_SKIP() << "threads cannot be held here";
  auto asked = std::async(std::launch::async, [&] { return daemon.ctl("upgrade"); });
  daemon.follow();
  CommandResult upgraded;
  EXPECT_NO_THROW(upgraded = asked.get());
  EXPECT_EQ(upgraded.status, 0);
  EXPECT_NE(upgraded.out.find("process " + std::to_string(daemon.pid()) + " serves; process " +
                              former + " has a worker that stands still"),
            std::string::npos)
      << upgraded.out;
  EXPECT_TRUE(held.ends(Milliseconds(6000)));
  held.release();
  EXPECT_EQ(daemon.wait_former(), 0);
  daemon.wait_log("error: worker-1: does not end, and is left behind");
  EXPECT_EQ(fetch(port).body, "x");
}

}  // namespace revproxyd::testing

// Listeners that close while the daemon is out of descriptors: the kernel resets whoever waits in
// their queue then.

#include <signal.h>

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/listening_socket.h"
#include "tests/support/process.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

const std::string kLastGet = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

// What a stop waits for until the drain time is over.
const std::string kHalf = "GET / HTTP/1.1\r\n";
const std::string kTwoWorkers = "workers: 2\nshutdown: { drain: 300ms }\n";

// A daemon whose descriptors have been taken by the clients of one listener, while others wait
// at another one.
struct Waited {
  explicit Waited(const std::string& more = {}, const std::string& request = kLastGet,
                  const Activation& activation = {}, const std::string& of_crowd = {})
      : settings(more.find("workers:") == std::string::npos ? "workers: 1\n" + more : more),
        daemon(with_listeners(", { name: other, address: '127.0.0.1:0', protocols: [http/1.1] }"),
               activation),
        most(daemon.descriptors() + 30),
        limit(daemon.pid(), most) {
    const std::size_t of_clients = most - most / 8;
    for (std::size_t i = daemon.descriptors(); i < of_clients; ++i)
      crowd.emplace_back(daemon.port("web")).send(of_crowd);
    if (!wait_until([&] { return daemon.descriptors() == of_clients; }))
      throw TimedOut("descriptors are left");
    for (int i = 0; i < 20; ++i) {
      waiting.emplace_back(daemon.port("other"));
      waiting.back().send(request);
    }
  }
  std::string with_listeners(const std::string& other) const {
    return "listeners: [ { name: web, address: '127.0.0.1:0' }" + other +
           " ]\nroutes: [ { respond: { body: x } } ]\n" + settings;
  }

  std::string settings;
  Daemon daemon;
  std::size_t most;
  DescriptorLimit limit;
  std::vector<RawClient> crowd;
  std::vector<RawClient> waiting;
};

// See Descriptors of bad_days_test.cpp.
class ClosingListener : public ::testing::Test {
 protected:
  void SetUp() override {
    if (sanitized()) GTEST_SKIP() << "the sanitizer needs descriptors of its own";
  }
};

}  // namespace

// Closing a listener resets whoever waits in its queue.
TEST_F(ClosingListener, WhoWaitsIsServedBeforeAListenerThatIsTakenOutCloses) {
  Waited waited;
  waited.daemon.write_config(waited.with_listeners(""));
  const CommandResult reload = waited.daemon.ctl("reload");
  EXPECT_EQ(reload.status, 0) << reload.out;
  waited.crowd.clear();
  for (RawClient& client : waited.waiting) EXPECT_EQ(client.response().status, 200);
}

TEST_F(ClosingListener, AReloadTakesBackWhatStillWaits) {
  Waited waited;
  const std::string port = std::to_string(waited.daemon.port("other"));
  waited.daemon.write_config(waited.with_listeners(""));
  ASSERT_EQ(waited.daemon.ctl("reload").status, 0);

  waited.daemon.write_config(
      waited.with_listeners(", { name: again, address: '127.0.0.1:" + port + "' }"));
  const CommandResult reload = waited.daemon.ctl("reload");
  EXPECT_EQ(reload.status, 0) << reload.out;

  waited.crowd.clear();
  for (RawClient& client : waited.waiting) EXPECT_EQ(client.response().status, 200);
  waited.daemon.wait_access(
      [](const AccessEntry& entry) { return entry.text("listener") == "again"; });
  RawClient late(waited.daemon.port("again"));
  late.send(kLastGet);
  EXPECT_EQ(late.response().status, 200);
}

TEST_F(ClosingListener, WhoWaitsIsServedBeforeAStop) {
  Waited waited("shutdown: { drain: 20s }\n");
  waited.daemon.signal(SIGTERM);
  for (RawClient& client : waited.waiting) EXPECT_EQ(client.response().status, 200);
  EXPECT_EQ(waited.daemon.wait_exit(), 0);
  EXPECT_EQ(waited.daemon.log().find("in its queue"), std::string::npos) << waited.daemon.log();
}

// It is none of those that the new process takes over.
TEST_F(ClosingListener, OneThatWasTakenOutHoldsUpNoUpgrade) {
  Waited silent("shutdown: { drain: 20s }\n", "");
  silent.daemon.write_config(silent.with_listeners(""));
  EXPECT_EQ(silent.daemon.ctl("reload").status, 0);
  const CommandResult upgrade = silent.daemon.upgrade();
  EXPECT_EQ(upgrade.status, 0);
  EXPECT_EQ(upgrade.out.find("stands still"), std::string::npos) << upgrade.out;
}

// Nobody else takes what waits there.
TEST_F(ClosingListener, WhoWaitsAtOneThatAnUpgradeLeavesBehindIsServed) {
  Waited waited("shutdown: { drain: 20s }\n");
  waited.daemon.write_config(waited.with_listeners(""));
  EXPECT_EQ(waited.daemon.upgrade().status, 0);
  waited.crowd.clear();
  for (RawClient& client : waited.waiting) EXPECT_EQ(client.response().status, 200);
}

// Each worker has a queue of its own.
TEST_F(ClosingListener, TheLogTellsOnceOfThoseForWhomThereWasNoneUntilTheEnd) {
  Waited waited(kTwoWorkers, kHalf, {}, kHalf);
  waited.daemon.signal(SIGTERM);
  EXPECT_EQ(waited.daemon.wait_exit(), 0);
  waited.daemon.wait_log("warning: listener other: closed with clients in its queue");
  const std::string log = waited.daemon.log();
  EXPECT_EQ(log.find("in its queue"), log.rfind("in its queue")) << log;
}

// The next process serves them.
TEST_F(ClosingListener, TheLogTellsOfNoneWhoWaitWhereAServiceManagerListensOn) {
  const ListeningSocket socket;
  Waited waited(kTwoWorkers, kHalf, {{socket.fd()}, "other"}, kHalf);
  waited.daemon.signal(SIGTERM);
  EXPECT_EQ(waited.daemon.wait_exit(), 0);
  waited.daemon.wait_log("stopped");
  EXPECT_EQ(waited.daemon.log().find("in its queue"), std::string::npos) << waited.daemon.log();
}

}  // namespace revproxyd::testing

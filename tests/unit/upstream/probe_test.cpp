// What a check makes of a server that it cannot ask. That it asks well is for the integration
// tests.

#include "upstream/probe.h"

#include <sys/socket.h>

#include <memory>
#include <optional>

#include <gtest/gtest.h>

#include "revproxyd/base/ready_queue.h"
#include "revproxyd/base/task_group.h"
#include "tests/support/loop_runner.h"
#include "tests/unit/net/sockets.h"

namespace revproxyd::upstream {
namespace {

using namespace std::chrono_literals;

// A server under TLS that takes connections and says nothing.
class Probe : public ::testing::Test {
 protected:
  Probe() : context_(tls::ClientContext::create({}).context), endpoint_("app", server()) {
    settings_.health_check = HealthSettings{};
    settings_.health_check->timeout = 1s;
    endpoint_.set_addresses(
        std::make_shared<const AddressList>(AddressList{net::local_address(listening_.get())}));
    TimerWheel::current() = TimerWheel();
  }
  ~Probe() override { TimerWheel::current() = TimerWheel(); }

  static ServerSettings server() {
    ServerSettings out;
    out.url.text = "https://127.0.0.1";
    out.url.host = "127.0.0.1";
    out.url.scheme = net::Scheme::https;
    return out;
  }
  static void pass(Duration time) {
    TimerWheel::current().advance(TimerWheel::current().now() + time + 2 * TimerWheel::kTick);
  }
  static Task<void> ask(Probe& test) {
    auto result = co_await probe(test.endpoint_, test.settings_, test.context_.get());
    test.result_ = std::move(result);
  }
  // Others at their handshakes, each of which takes a good while once the server has the
  // connection.
  static Task<void> crowd(Probe& test) {
    while (!test.result_) {
      co_await Costly(Costly::Rank::first);
      if (!test.taken_) test.taken_.reset(::accept(test.listening_.get(), nullptr, nullptr));
      if (test.taken_) pass(100ms);
    }
  }

  test::LoopRunner runner_;
  std::shared_ptr<const tls::ClientContext> context_;
  net::Descriptor listening_ = net::test::loopback_listener();
  net::Descriptor taken_;
  UpstreamSettings settings_;
  Endpoint endpoint_;
  std::optional<ProbeResult> result_;
};

TEST_F(Probe, TellsWhatTheKernelSaysOfAServerThatCannotBeReached) {
  settings_.health_check->type = HealthType::tcp;
  endpoint_.set_addresses(std::make_shared<const AddressList>(
      AddressList{*net::Address::unix_path("/nowhere/at/all.sock")}));
  runner_.run(ask(*this));
  ASSERT_TRUE(result_);
  EXPECT_FALSE(result_->well);
  EXPECT_TRUE(result_->reason.ends_with(": No such file or directory")) << result_->reason;
}

TEST_F(Probe, BlamesAServerThatIsSilentInItsHandshake) {
  TaskGroup asking;
  asking.spawn(ask(*this));
  EXPECT_FALSE(runner_.run_until([&] { return result_.has_value(); }, 20ms));
  pass(1s);
  ASSERT_TRUE(runner_.run_until([&] { return asking.size() == 0; }));
  EXPECT_FALSE(result_->well);
  EXPECT_TRUE(result_->asked);
}

TEST_F(Probe, BlamesNoServerForAHandshakeThatWaitsBehindOthers) {
  TaskGroup group;
  for (int i = 0; i < 40; ++i) group.spawn(crowd(*this));
  group.spawn(ask(*this));
  ASSERT_TRUE(runner_.run_until([&] { return group.size() == 0; }));
  EXPECT_FALSE(result_->well);
  EXPECT_FALSE(result_->asked);
}

}  // namespace
}  // namespace revproxyd::upstream

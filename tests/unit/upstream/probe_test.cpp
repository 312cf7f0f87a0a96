// What a check makes of a server that it cannot ask. That it asks well is for the integration
// tests.

#include "upstream/probe.h"

#include <sys/socket.h>

#include <array>
#include <memory>
#include <optional>
#include <span>

#include <gtest/gtest.h>

#include "revproxyd/base/ready_queue.h"
#include "revproxyd/base/task_group.h"
#include "revproxyd/tls/handshake.h"
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
  static tls::ListenerTls internal() {
    tls::ListenerTls settings;
    settings.internal = true;
    return settings;
  }
  static tls::UpstreamTls unverified() {
    tls::UpstreamTls settings;
    settings.insecure_skip_verify = true;
    return settings;
  }
  static void pass(Duration time) {
    TimerWheel::current().advance(TimerWheel::current().now() + time + 2 * TimerWheel::kTick);
  }
  void take() {
    taken_.reset(::accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
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
      if (!test.taken_) test.take();
      if (test.taken_) pass(100ms);
    }
  }

  // The same until the server has heard of the check: its handshake waits for most of the time that
  // a check may take.
  static Task<void> crowd_at_first(Probe& test) {
    while (!test.result_ && !test.hears()) {
      co_await Costly(Costly::Rank::first);
      if (!test.taken_) test.take();
      if (test.taken_ && !test.hears()) pass(0ms);
    }
  }
  bool hears() const {
    char byte = 0;
    return taken_ && ::recv(taken_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
  }
  // Makes its handshake and takes half of the check's time for its answer.
  static Task<void> answer_slowly(Probe& test) {
    auto secured = co_await tls::accept(net::test::transport_over(test.taken_),
                                        *test.serving_.context, Duration(10s));
    if (!secured) co_return;
    std::array<char, 4096> request{};
    auto asked = co_await net::read_some(**secured, MutableBytes(request));
    if (!asked) co_return;
    pass(500ms);
    iovec answer = net::piece_of("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    auto sent = co_await net::write_all(**secured, std::span(&answer, 1), Duration(10s));
    ignore(sent, "the check tells");
    while (!test.result_) co_await NextTurn();
  }

  test::LoopRunner runner_;
  tls::Built<tls::ServerContext> serving_ = tls::ServerContext::create({.settings = internal()});
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

TEST_F(Probe, GivesTheServerTheTimeThatItsHandshakeHasWaitedBehindOthers) {
  context_ = tls::ClientContext::create({.settings = unverified()}).context;
  TaskGroup group;
  for (int i = 0; i < 40; ++i) group.spawn(crowd_at_first(*this));
  const TimePoint begun = loop_now();
  group.spawn(ask(*this));
  ASSERT_TRUE(runner_.run_until([&] { return hears(); }));
  EXPECT_GT(since(begun), 600ms);
  group.spawn(answer_slowly(*this));
  ASSERT_TRUE(runner_.run_until([&] { return group.size() == 0; }));
  EXPECT_TRUE(result_->well) << result_->reason;
}

}  // namespace
}  // namespace revproxyd::upstream

// How long a cluster waits, for its turn and for a server that is silent, and what it makes of the
// silence.

#include "revproxyd/upstream/cluster.h"

#include <memory>
#include <optional>

#include <gtest/gtest.h>

#include "revproxyd/base/task_group.h"
#include "revproxyd/net/loop.h"
#include "tests/support/loop_runner.h"
#include "tests/unit/net/sockets.h"

namespace revproxyd::upstream {
namespace {

using namespace std::chrono_literals;

class SilentServer : public ::testing::Test {
 protected:
  SilentServer() {
    settings_.timeouts.connect = 1s;
    settings_.servers.resize(1);
    settings_.servers[0].url.scheme = net::Scheme::h2c;
    make();
  }
  ~SilentServer() override { TimerWheel::current() = TimerWheel(); }

  /// Anew, by the settings as they are.
  void make() {
    shared_ = std::make_shared<Shared>(settings_, nullptr);
    const auto addresses = std::make_shared<const AddressList>(AddressList{server_.address()});
    for (const auto& one : shared_->endpoints()) one->set_addresses(addresses);
    cluster_ = std::make_shared<Cluster>(shared_, nullptr, 1);
    // The wheel may be ahead of the clock; the test moves it.
    TimerWheel::current() = TimerWheel();
  }

  Endpoint& endpoint() { return *shared_->endpoints()[0]; }
  static void pass(Duration time) {
    TimerWheel::current().advance(TimerWheel::current().now() + time + 2 * TimerWheel::kTick);
  }
  static Task<void> acquire(Cluster& cluster, std::optional<Code>& outcome,
                            Clock::duration& queued) {
    const Demand demand;
    auto acquired = co_await cluster.acquire(demand, queued);
    outcome = acquired.lease ? Code::none : acquired.lease.error().code();
  }
  /// Beside another, so that it may be left alone.
  void be_first_of_two() {
    settings_.balance.method = BalanceMethod::first;
    settings_.servers.resize(2);
    for (ServerSettings& server : settings_.servers) server.url.scheme = net::Scheme::http;
    settings_.servers[1].url.text = "http://other";
    make();
  }
  void let_a_take_out_pass() {
    endpoint().take_out(loop_now());
    pass(kTakeOut);
  }
  void end(TaskGroup& group, Code reason) {
    group.cancel(reason);
    EXPECT_TRUE(runner_.run_until([&] { return group.size() == 0; }));
  }
  std::vector<std::uint32_t> connections() const {
    return {shared_->endpoints()[0]->open_connections(),
            shared_->endpoints()[1]->open_connections()};
  }
  static Task<void> ask(Cluster& cluster, const Endpoint& endpoint, std::vector<bool>& said) {
    auto answer = co_await cluster.gone(endpoint);
    said.push_back(answer);
  }
  /// What gone() says of it once its silence has lasted for timeouts.connect.
  bool gone() {
    std::vector<bool> said;
    TaskGroup asking;
    asking.spawn(ask(*cluster_, endpoint(), said));
    EXPECT_FALSE(runner_.run_until([&] { return !said.empty(); }, 1ms));
    pass(settings_.timeouts.connect);
    EXPECT_TRUE(runner_.run_until([&] { return asking.size() == 0; }));
    return said == std::vector<bool>{true};
  }
  /// What it says without a look.
  std::vector<bool> answers_at_once() {
    const std::uint32_t before = endpoint().open_connections();
    std::vector<bool> said;
    TaskGroup asking;
    asking.spawn(ask(*cluster_, endpoint(), said));
    EXPECT_EQ(endpoint().open_connections(), before);
    runner_.run_until([&] { return asking.size() == 0; }, 1ms);
    end(asking, Code::cancelled);
    return said;
  }

  test::LoopRunner runner_;
  net::test::Deaf server_;
  UpstreamSettings settings_;
  std::shared_ptr<Shared> shared_;
  std::shared_ptr<Cluster> cluster_;
};

TEST_F(SilentServer, WhoJoinedAConnectionInVainHasTheWholeTimeForItsOwn) {
  TaskGroup maker;
  TaskGroup joiner;
  std::optional<Code> made;
  std::optional<Code> joined;
  Clock::duration queued{0};
  maker.spawn(acquire(*cluster_, made, queued));
  joiner.spawn(acquire(*cluster_, joined, queued));
  ASSERT_EQ(endpoint().open_connections(), 1U) << "the second waits for that of the first";
  pass(900ms);
  maker.cancel(Code::client_gone);
  ASSERT_TRUE(
      runner_.run_until([&] { return maker.size() == 0 && endpoint().open_connections() == 1; }));
  EXPECT_FALSE(joined) << "it makes its own";
  pass(900ms);
  EXPECT_FALSE(runner_.run_until([&] { return joined.has_value(); }, 1ms));
  end(joiner, Code::cancelled);
}

TEST_F(SilentServer, TheTimeInTheQueueIsToldAsTheLoopKnowsIt) {
  settings_.limits.max_requests = 1;
  settings_.limits.queue_timeout = 1min;
  make();
  ASSERT_TRUE(shared_->try_begin_request());
  TaskGroup waiting;
  std::optional<Code> outcome;
  Clock::duration queued{0};
  waiting.spawn(acquire(*cluster_, outcome, queued));
  // Ahead of the clock, so that the loop adds nothing.
  TimerWheel::current().set_now(loop_now() + 10s + 300us);
  shared_->end_request();
  ASSERT_TRUE(runner_.run_until([&] { return endpoint().open_connections() == 1; }));
  EXPECT_EQ(queued, 10s + 300us);
  end(waiting, Code::cancelled);
}

// Though another worker's request has taken the room that it leaves among those that wait.
TEST_F(SilentServer, WhoHasWaitedForATurnMayWaitForAConnection) {
  settings_.limits = {.max_requests = 1, .max_pending = 1, .queue_timeout = 1min};
  settings_.servers[0].max_connections = 1;
  make();
  ASSERT_TRUE(shared_->try_begin_request() && endpoint().try_acquire_connection());
  endpoint().begin_request();
  TaskGroup waiting;
  std::optional<Code> first;
  std::optional<Code> second;
  Clock::duration queued{0};
  waiting.spawn(acquire(*cluster_, first, queued));
  waiting.spawn(acquire(*cluster_, second, queued));
  EXPECT_EQ(second, Code::queue_full);
  shared_->end_request();
  const WaitQueue::Ticket other{&net::Loop::current(), cluster_, WaitQueue::new_id()};
  ASSERT_TRUE(shared_->turns().enqueue(other, false, 1));
  EXPECT_TRUE(runner_.run_until([&] { return first || shared_->places().anyone(); }));
  EXPECT_FALSE(first);
  end(waiting, Code::cancelled);
  shared_->turns().leave(other.id);
  endpoint().end_request();
  endpoint().release_connection();
}

TEST_F(SilentServer, GetsNoMoreRequestsThanAnotherByAMethodThatGoesByLoad) {
  settings_.servers.resize(2);
  for (ServerSettings& server : settings_.servers) server.url.scheme = net::Scheme::http;
  settings_.servers[1].url.text = "http://other";
  for (const BalanceMethod method : {BalanceMethod::least_request, BalanceMethod::random}) {
    SCOPED_TRACE(name(method));
    settings_.balance.method = method;
    make();
    TaskGroup waiting;
    std::optional<Code> outcome;
    Clock::duration queued{0};
    for (int i = 0; i < 20; ++i) waiting.spawn(acquire(*cluster_, outcome, queued));
    for (const auto& server : shared_->endpoints()) {
      EXPECT_EQ(server->open_connections(), 10U);
      EXPECT_EQ(server->active_requests(), 0U) << "none is served";
    }
    end(waiting, Code::cancelled);
    for (const auto& server : shared_->endpoints()) EXPECT_EQ(server->load(), 0U);
  }
}

TEST_F(SilentServer, IsTakenOutHoweverManyWaitForAConnection) {
  settings_.servers[0].url.scheme = net::Scheme::http;
  make();
  TaskGroup waiting;
  std::optional<Code> outcome;
  Clock::duration queued{0};
  for (int i = 0; i < 3; ++i) waiting.spawn(acquire(*cluster_, outcome, queued));
  pass(settings_.timeouts.connect);
  EXPECT_TRUE(runner_.run_until([&] { return waiting.size() == 0; }));
  EXPECT_EQ(outcome, Code::connect_timeout);
  EXPECT_FALSE(endpoint().usable(loop_now()));
}

TEST_F(SilentServer, IsTriedByOneRequestAloneWhenATakeOutIsOver) {
  be_first_of_two();
  let_a_take_out_pass();
  TaskGroup waiting;
  std::optional<Code> outcome;
  Clock::duration queued{0};
  for (int i = 0; i < 5; ++i) waiting.spawn(acquire(*cluster_, outcome, queued));
  EXPECT_EQ(connections(), (std::vector<std::uint32_t>{1, 4}));
  pass(settings_.timeouts.connect - 100ms);
  waiting.spawn(acquire(*cluster_, outcome, queued));
  EXPECT_EQ(connections(), (std::vector<std::uint32_t>{1, 5}));
  end(waiting, Code::client_gone);
}

TEST_F(SilentServer, IsTriedByTheNextWhenTheOneHasLeft) {
  be_first_of_two();
  let_a_take_out_pass();
  std::optional<Code> outcome;
  Clock::duration queued{0};
  for (int i = 0; i < 3; ++i) {
    TaskGroup trying;
    trying.spawn(acquire(*cluster_, outcome, queued));
    EXPECT_EQ(connections(), (std::vector<std::uint32_t>{1, 0}));
    end(trying, Code::client_gone);
  }
}

TEST_F(SilentServer, IsLeftAloneForAnotherSecondWhenTheOneFails) {
  be_first_of_two();
  let_a_take_out_pass();
  TaskGroup trying;
  TaskGroup others;
  std::optional<Code> outcome;
  std::optional<Code> of_others;
  Clock::duration queued{0};
  trying.spawn(acquire(*cluster_, outcome, queued));
  pass(settings_.timeouts.connect);
  ASSERT_TRUE(runner_.run_until([&] { return trying.size() == 0; }));
  EXPECT_EQ(outcome, Code::connect_timeout);
  others.spawn(acquire(*cluster_, of_others, queued));
  EXPECT_EQ(connections(), (std::vector<std::uint32_t>{0, 1}));
  pass(kTakeOut - 100ms);
  EXPECT_FALSE(endpoint().usable(loop_now()));
  pass(100ms);
  for (int i = 0; i < 2; ++i) others.spawn(acquire(*cluster_, of_others, queued));
  EXPECT_EQ(connections()[0], 1U);
  end(others, Code::client_gone);
}

TEST_F(SilentServer, TakesAllAgainOnceItHasTakenOne) {
  be_first_of_two();
  const net::Descriptor listening = net::test::loopback_listener();
  endpoint().set_addresses(
      std::make_shared<const AddressList>(AddressList{net::local_address(listening.get())}));
  let_a_take_out_pass();
  std::optional<Code> outcome;
  Clock::duration queued{0};
  runner_.run(acquire(*cluster_, outcome, queued));
  ASSERT_EQ(outcome, Code::none);
  EXPECT_TRUE(endpoint().usable(loop_now()));
  TaskGroup more;
  for (int i = 0; i < 5; ++i) more.spawn(acquire(*cluster_, outcome, queued));
  EXPECT_EQ(connections()[1], 0U);
  EXPECT_TRUE(runner_.run_until([&] { return more.size() == 0; }));
}

TEST_F(SilentServer, IsTriedByAllWhenThereIsNoOther) {
  settings_.servers[0].url.scheme = net::Scheme::http;
  make();
  let_a_take_out_pass();
  TaskGroup waiting;
  std::optional<Code> outcome;
  Clock::duration queued{0};
  for (int i = 0; i < 5; ++i) waiting.spawn(acquire(*cluster_, outcome, queued));
  EXPECT_EQ(endpoint().open_connections(), 5U);
  end(waiting, Code::client_gone);
}

TEST_F(SilentServer, WhoWaitsForItGoesElsewhereWhileOneTriesIt) {
  settings_.limits.queue_timeout = 1min;
  be_first_of_two();
  settings_.servers[0].max_connections = 1;
  settings_.servers[1].backup = true;
  make();
  ASSERT_TRUE(endpoint().try_acquire_connection());
  let_a_take_out_pass();
  TaskGroup waiting;
  std::optional<Code> outcome;
  Clock::duration queued{0};
  for (int i = 0; i < 2; ++i) waiting.spawn(acquire(*cluster_, outcome, queued));
  ASSERT_EQ(connections(), (std::vector<std::uint32_t>{1, 0})) << "both wait for the primary";
  endpoint().release_connection();
  shared_->places().wake_one();
  EXPECT_TRUE(runner_.run_until([&] { return connections() == std::vector<std::uint32_t>{1, 1}; }));
  end(waiting, Code::client_gone);
}

TEST_F(SilentServer, IsGoneWhenNobodyElseIsServed) {
  be_first_of_two();
  EXPECT_TRUE(gone());
  EXPECT_FALSE(endpoint().usable(loop_now()));
}

TEST_F(SilentServer, MayBeBusyWhileOthersAreServed) {
  be_first_of_two();
  endpoint().begin_request();
  EXPECT_FALSE(gone());
  EXPECT_TRUE(endpoint().usable(loop_now()));
  endpoint().end_request();
}

TEST_F(SilentServer, IsNotLookedAtWhereThereIsNoOtherToGoTo) {
  EXPECT_EQ(answers_at_once(), (std::vector<bool>{false}));
  be_first_of_two();
  shared_->endpoints()[1]->mark_down();
  EXPECT_EQ(answers_at_once(), (std::vector<bool>{false}));
}

TEST_F(SilentServer, IsNotLookedAtBeyondMaxConnections) {
  be_first_of_two();
  settings_.servers[0].max_connections = 1;
  make();
  ASSERT_TRUE(endpoint().try_acquire_connection());
  EXPECT_EQ(answers_at_once(), (std::vector<bool>{false}));
  endpoint().release_connection();
}

TEST_F(SilentServer, IsLookedAtByOneForAll) {
  be_first_of_two();
  TaskGroup asking;
  std::vector<bool> said;
  for (int i = 0; i < 5; ++i) asking.spawn(ask(*cluster_, endpoint(), said));
  EXPECT_EQ(connections(), (std::vector<std::uint32_t>{1, 0}));
  pass(settings_.timeouts.connect);
  ASSERT_TRUE(runner_.run_until([&] { return asking.size() == 0; }));
  EXPECT_EQ(said, std::vector<bool>(5, true));
  EXPECT_EQ(endpoint().connect_failures(), 1U);
  EXPECT_EQ(connections(), (std::vector<std::uint32_t>{0, 0}));
}

TEST_F(SilentServer, IsLookedAtByTheNextWhenTheOneHasLeft) {
  be_first_of_two();
  TaskGroup leaves;
  TaskGroup stay;
  std::vector<bool> of_who_leaves;
  std::vector<bool> said;
  leaves.spawn(ask(*cluster_, endpoint(), of_who_leaves));
  for (int i = 0; i < 3; ++i) stay.spawn(ask(*cluster_, endpoint(), said));
  end(leaves, Code::client_gone);
  ASSERT_TRUE(runner_.run_until([&] { return connections() == std::vector<std::uint32_t>{1, 0}; }));
  EXPECT_TRUE(endpoint().usable(loop_now()));
  EXPECT_EQ(said.size(), 0U);
  pass(settings_.timeouts.connect);
  ASSERT_TRUE(runner_.run_until([&] { return stay.size() == 0; }));
  EXPECT_EQ(said, std::vector<bool>(3, true));
}

}  // namespace
}  // namespace revproxyd::upstream

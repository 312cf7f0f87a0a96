#include "revproxyd/net/loop.h"

#include <sys/resource.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "revproxyd/base/deadline.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/base/metrics.h"
#include "revproxyd/base/ready_queue.h"
#include "revproxyd/base/task_group.h"
#include "tests/support/loop_runner.h"
#include "tests/unit/net/sockets.h"

namespace revproxyd::net {
namespace {

using namespace std::chrono_literals;
using revproxyd::test::LoopRunner;

TEST(Loop, RunsPostsOfAnotherThreadInTheirOrderAndThenStops) {
  Loop loop;
  std::vector<int> order;
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) loop.post([&order, i] { order.push_back(i); });
    loop.stop();
  });
  loop.run();
  other.join();
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

// A loop that is awake takes the stop as soon as it is queued: its thread ends it while stop() is
// still on its way out. A sanitizer sees what happens when it does not wait.
TEST(Loop, EndsAfterTheCallThatStopsIt) {
  for (int round = 0; round < 500; ++round) {
    std::atomic<Loop*> made = nullptr;
    std::thread owner([&made] {
      auto loop = std::make_unique<Loop>();
      made.store(loop.get());
      made.notify_one();
      loop->run();
    });
    made.wait(nullptr);
    Loop& loop = *made.load();
    for (int i = 0; i < 3; ++i) loop.post([] {});
    loop.stop();
    owner.join();
  }
}

TEST(Loop, PostsRunOnTheLoopsThread) {
  Loop loop;
  std::thread::id seen;
  Loop* current = nullptr;
  std::thread other([&] {
    loop.post([&] {
      seen = std::this_thread::get_id();
      current = &Loop::current();
    });
    loop.stop();
  });
  loop.run();
  other.join();
  EXPECT_EQ(seen, std::this_thread::get_id());
  EXPECT_EQ(current, &loop);
}

Task<void> sleep_then_stop(Loop& loop, Duration time) {
  auto code = co_await Sleep(time);
  ignore(code, "the time is what is tested");
  loop.stop();
}

TEST(Loop, WakesForATimerAndNotBefore) {
  Loop loop;
  TaskGroup group;
  const TimePoint begin = Clock::now();
  group.spawn(sleep_then_stop(loop, 60ms));
  loop.run();
  const auto took = Clock::now() - begin;
  EXPECT_GE(took, 60ms);
  EXPECT_LT(took, 1s);
}

TEST(Loop, AnEarlierTimerIsNotHeldUpByALaterOne) {
  LoopRunner runner;
  TaskGroup late;
  late.spawn(sleep_then_stop(runner.loop(), 30s));
  runner.run_until([] { return false; }, 20ms);  // the loop now waits for the late one
  const TimePoint begin = Clock::now();
  TaskGroup early;
  early.spawn(sleep_then_stop(runner.loop(), 30ms));
  runner.loop().run();
  EXPECT_LT(Clock::now() - begin, 5s);
  late.cancel(Code::cancelled);
  EXPECT_TRUE(runner.run_until([&] { return late.size() == 0; }));
}

Task<void> read_until_end(Transport& transport, std::size_t& total) {
  char buffer[256];
  MutableBytes into(buffer);
  for (;;) {
    auto got = co_await read_some(transport, into);
    if (!got || *got == 0) co_return;
    total += *got;
  }
}

TEST(Loop, IsWokenByTrafficWhileItWaits) {
  LoopRunner runner;
  auto pair = test::socket_pair();
  const auto transport = test::transport_over(pair.near);
  std::size_t total = 0;
  TaskGroup group;
  group.spawn(read_until_end(*transport, total));
  std::thread other([&] {
    std::this_thread::sleep_for(20ms);  // so that the loop is asleep
    test::send_text(pair.far.get(), "hello");
    pair.far.reset();
  });
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
  other.join();
  EXPECT_EQ(total, 5u);
}

double cpu_seconds() {
  rusage use{};
  ::getrusage(RUSAGE_THREAD, &use);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

TEST(Loop, DoesNotSpinOverWhatNobodyReads) {
  LoopRunner runner;
  auto unread = test::socket_pair();
  auto ended = test::tcp_pair();
  const auto one = test::transport_over(unread.near);
  const auto two = test::transport_over(ended.near);
  test::send_text(unread.far.get(), "unread");
  ended.far.reset();
  runner.run_until([] { return false; }, 20ms);
  const double before = cpu_seconds();
  runner.run_until([] { return false; }, 300ms);
  EXPECT_LT(cpu_seconds() - before, 0.1);
}

Task<void> spin(const bool& stop) {
  while (!stop) {
    auto code = co_await Fair{};
    if (code != Code::none) co_return;
  }
}

TEST(Loop, PostsAndTimersRunBesideACoroutineThatNeverWaits) {
  LoopRunner runner;
  bool stop = false;
  bool posted = false;
  TaskGroup group;
  group.spawn(spin(stop));
  TaskGroup timed;
  timed.spawn(sleep_then_stop(runner.loop(), 20ms));
  runner.loop().post([&] { posted = true; });
  EXPECT_TRUE(runner.run_until([&] { return posted && timed.size() == 0; }));
  stop = true;
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
}

Task<void> take_turns(Loop& loop, TimePoint until) {
  while (Clock::now() < until) {
    auto code = co_await NextTurn{};
    if (code != Code::none) break;
  }
  loop.stop();
}

TEST(Loop, BusyTimeIsCountedHoweverShortItsBatchesAre) {
  const TimePoint begun = Clock::now();
  Loop loop;
  metrics::LoopCounts counts;
  loop.measure(counts);
  TaskGroup group;
  group.spawn(take_turns(loop, begun + 50ms));
  loop.run();
  const auto passed =
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun).count();
  EXPECT_GE(counts.busy_us.value(), static_cast<std::uint64_t>(passed * 95 / 100));
  EXPECT_LE(counts.busy_us.value(), static_cast<std::uint64_t>(passed + 1));
}

TEST(Loop, ATurnThatHoldsOthersUpIsCounted) {
  Loop loop;
  metrics::LoopCounts counts;
  loop.measure(counts);
  TaskGroup group;
  group.spawn(sleep_then_stop(loop, 500ms));
  loop.post([] { std::this_thread::sleep_for(limits::kLongTurn + 20ms); });
  loop.run();
  EXPECT_GE(counts.long_turns.value(), 1U);
  EXPECT_GE(counts.long_turn_us.value(), 270'000U);
  EXPECT_GE(counts.longest_turn_us.value(), counts.long_turn_us.value());
}

}  // namespace
}  // namespace revproxyd::net

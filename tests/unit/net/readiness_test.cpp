#include "revproxyd/net/readiness.h"

#include <gtest/gtest.h>

#include "revproxyd/base/task_group.h"
#include "tests/support/loop_runner.h"

namespace revproxyd::net {
namespace {

using namespace std::chrono_literals;
using test::LoopRunner;

Task<void> wait_for(Readiness& readiness, Want want, Code& out) {
  auto code = co_await readiness.wait(want);
  out = code;
}

Task<void> read_with_room(Readiness& readiness, Code& out) {
  auto code = co_await readiness.wait_to_read(Want::write);
  out = code;
}

struct Waiting {
  explicit Waiting(Want want, bool writable = true) {
    readiness.writable = writable;
    group.spawn(wait_for(readiness, want, outcome));
  }
  bool ends(Duration limit = 5s) {
    return runner.run_until([this] { return group.size() == 0; }, limit);
  }

  LoopRunner runner;
  Readiness readiness;
  Code outcome = Code::internal;
  TaskGroup group;
};

TEST(Readiness, AShortReadBesideTheEndOfTheStreamKeepsItReadable) {
  Readiness readiness;
  readiness.notify(true, false, true);
  readiness.after_read(100, 5);
  EXPECT_TRUE(readiness.readable);
}

TEST(Readiness, AShortReadMeansThatNothingMoreIsThere) {
  Readiness readiness;
  readiness.notify(true, false, false);
  readiness.after_read(100, 100);
  EXPECT_TRUE(readiness.readable);
  readiness.after_read(100, 99);
  EXPECT_FALSE(readiness.readable);
}

TEST(Readiness, InputWakesTheReaderOnly) {
  Waiting reader(Want::read);
  EXPECT_FALSE(reader.ends(0ms));
  reader.readiness.notify(false, true, false);
  EXPECT_FALSE(reader.ends(0ms));
  reader.readiness.notify(true, false, false);
  EXPECT_TRUE(reader.ends());
  EXPECT_EQ(reader.outcome, Code::none);
}

TEST(Readiness, TheEndOfTheStreamWakesTheReader) {
  Waiting reader(Want::read);
  reader.readiness.notify(false, false, true);
  EXPECT_TRUE(reader.ends());
  EXPECT_EQ(reader.outcome, Code::none);
}

TEST(Readiness, AWaitEndsWithTheCodeOfItsDeadline) {
  Waiting reader(Want::read);
  const TimePoint begin = Clock::now();
  reader.readiness.read_deadline(30ms, Code::header_timeout);
  reader.readiness.write_deadline(1ms, Code::write_timeout);
  EXPECT_TRUE(reader.ends());
  EXPECT_EQ(reader.outcome, Code::header_timeout);
  EXPECT_GE(Clock::now() - begin, 30ms);
}

TEST(Readiness, AWaitAfterTheDeadlineEndsAtOnceEvenWithInput) {
  LoopRunner runner;
  Readiness readiness;
  readiness.read_deadline(1ms, Code::header_timeout);
  ASSERT_FALSE(runner.run_until([] { return false; }, 40ms));
  readiness.notify(true, false, false);
  Code outcome = Code::none;
  TaskGroup group;
  group.spawn(wait_for(readiness, Want::read, outcome));
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
  EXPECT_EQ(outcome, Code::header_timeout);
}

TEST(Readiness, ADeadlineThatIsTakenBackDoesNotFire) {
  Waiting reader(Want::read);
  reader.readiness.read_deadline(10ms, Code::header_timeout);
  reader.readiness.read_deadline(0ms, Code::none);
  EXPECT_FALSE(reader.ends(50ms));
  reader.readiness.notify(true, false, false);
  EXPECT_TRUE(reader.ends());
  EXPECT_EQ(reader.outcome, Code::none);
}

TEST(Readiness, ADeadlineThatMovesOutEndsTheWaitAtItsNewTime) {
  Waiting reader(Want::read);
  const TimePoint begin = Clock::now();
  reader.readiness.read_deadline(20ms, Code::header_timeout);
  reader.readiness.read_deadline(0ms, Code::none);
  reader.readiness.read_deadline(80ms, Code::keepalive_timeout);
  EXPECT_TRUE(reader.ends());
  EXPECT_GE(Clock::now() - begin, 80ms);
  EXPECT_EQ(reader.outcome, Code::keepalive_timeout);
}

TEST(Readiness, ADeadlineThatMovesInEndsTheWaitAtItsNewTime) {
  Waiting reader(Want::read);
  reader.readiness.read_deadline(1min, Code::keepalive_timeout);
  reader.readiness.read_deadline(20ms, Code::header_timeout);
  EXPECT_TRUE(reader.ends());
  EXPECT_EQ(reader.outcome, Code::header_timeout);
}

TEST(Readiness, AWaitUnderAnotherScopeEndsWithThatScope) {
  LoopRunner runner;
  Readiness readiness;
  CancelScope scope;
  Code outcome = Code::none;
  TaskGroup group;
  group.spawn([](Readiness& on, CancelScope& under, Code& out) -> Task<void> {
    auto code = co_await on.wait(Want::read, under);
    out = code;
  }(readiness, scope, outcome));
  group.cancel(Code::client_gone);
  EXPECT_FALSE(runner.run_until([&] { return group.size() == 0; }, 10ms));
  scope.cancel(Code::shutdown);
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
  EXPECT_EQ(outcome, Code::shutdown);
}

TEST(Readiness, AWaitEndsWithTheReasonOfItsScope) {
  Waiting writer(Want::read);
  writer.group.cancel(Code::client_gone);
  EXPECT_TRUE(writer.ends());
  EXPECT_EQ(writer.outcome, Code::client_gone);
}

TEST(Readiness, AReadThatWaitsForRoomEndsWithTheReadDeadline) {
  LoopRunner runner;
  Readiness readiness;
  readiness.writable = false;
  readiness.read_deadline(20ms, Code::header_timeout);
  Code outcome = Code::none;
  TaskGroup group;
  group.spawn(read_with_room(readiness, outcome));
  readiness.notify(true, false, false);
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
  EXPECT_EQ(outcome, Code::header_timeout);
}

TEST(Readiness, RoomWakesAReadThatWantsItAndAWrite) {
  Waiting writer(Want::write, false);
  Code outcome = Code::internal;
  writer.group.spawn(read_with_room(writer.readiness, outcome));
  EXPECT_FALSE(writer.ends(0ms));
  writer.readiness.notify(false, true, false);
  EXPECT_TRUE(writer.ends());
  EXPECT_EQ(writer.outcome, Code::none);
  EXPECT_EQ(outcome, Code::none);
}

class Counter final : public Watcher {
 public:
  void on_input() noexcept override { ++told; }
  int told = 0;
};

TEST(Readiness, TheWatcherIsToldOfInputAndEndOnlyWhileNobodyReads) {
  Waiting reader(Want::read);
  Counter watcher;
  reader.readiness.watch(&watcher);
  reader.readiness.notify(true, false, false);
  EXPECT_TRUE(reader.ends());
  EXPECT_EQ(watcher.told, 0);
  reader.readiness.notify(true, false, false);
  reader.readiness.notify(false, true, false);
  reader.readiness.notify(false, false, true);
  EXPECT_EQ(watcher.told, 2);
  reader.readiness.watch(nullptr);
  reader.readiness.notify(true, false, false);
  EXPECT_EQ(watcher.told, 2);
}

Task<void> count_turns(Readiness& readiness, const bool& stop, long& turns) {
  while (!stop) {
    auto code = co_await readiness.wait(Want::read);
    if (code != Code::none) co_return;
    ++turns;
  }
}

TEST(Readiness, OneThatIsAlwaysReadyLetsAnotherHaveItsTurn) {
  LoopRunner runner;
  Readiness first;
  Readiness second;
  first.readable = second.readable = true;
  bool stop = false;
  long one = 0;
  long two = 0;
  TaskGroup group;
  group.spawn(count_turns(first, stop, one));
  group.spawn(count_turns(second, stop, two));
  EXPECT_TRUE(runner.run_until([&] { return one > 10000 && two > 10000; }));
  EXPECT_LE(std::abs(one - two), 2 * static_cast<long>(limits::kTurnCompletions));
  stop = true;
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
}

}  // namespace
}  // namespace revproxyd::net

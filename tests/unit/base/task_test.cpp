#include "revproxyd/base/task.h"

#include <memory>

#include <gtest/gtest.h>

#include "revproxyd/base/event.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/base/ready_queue.h"
#include "revproxyd/base/result.h"
#include "revproxyd/base/task_group.h"

namespace revproxyd {
namespace {

void drain() {
  while (ReadyQueue::current().run(1000)) {
  }
}

Task<int> answer() { co_return 42; }

Task<int> add_one(int value) { co_return value + 1; }

Task<void> count_ready_children(long steps, long& out) {
  for (long i = 0; i < steps; ++i) {
    auto one = co_await add_one(0);
    out += one;
  }
}

TEST(Task, RunsOnlyWhenAwaited) {
  bool ran = false;
  auto body = [](bool& flag) -> Task<void> {
    flag = true;
    co_return;
  };
  {
    auto task = body(ran);
    EXPECT_FALSE(ran);
  }
  EXPECT_FALSE(ran);
}

TEST(Task, AMillionReadyChildrenNeedNoStack) {
  TaskGroup group;
  long sum = 0;
  group.spawn(count_ready_children(1'000'000, sum));
  drain();
  EXPECT_EQ(sum, 1'000'000);
  EXPECT_EQ(group.size(), 0u);
}

Task<void> wait_then_store(Event& event, int& out) {
  co_await event.wait();
  auto value = co_await answer();
  out = value;
}

TEST(Task, ResumesItsParentAfterASuspension) {
  TaskGroup group;
  Event event;
  int value = 0;
  group.spawn(wait_then_store(event, value));
  drain();
  EXPECT_EQ(value, 0);
  event.set();
  EXPECT_EQ(value, 0) << "nothing resumes inline";
  drain();
  EXPECT_EQ(value, 42);
}

Task<void> store_reason(Event& event, Code& out) {
  auto reason = co_await event.wait();
  out = reason;
}

TEST(CancelScope, WakesWhatIsSuspendedBelowItWithTheReason) {
  CancelScope connection;
  TaskGroup group(&connection);
  Event event;
  Code reason = Code::none;
  group.spawn(store_reason(event, reason));
  connection.cancel(Code::client_gone);
  drain();
  EXPECT_EQ(reason, Code::client_gone);
}

TEST(CancelScope, IsStickyForWhatSuspendsLater) {
  CancelScope scope;
  scope.cancel(Code::header_timeout);
  TaskGroup group(&scope);
  Event event;
  Code reason = Code::none;
  group.spawn(store_reason(event, reason));
  EXPECT_EQ(reason, Code::header_timeout);
}

TEST(CancelScope, KeepsItsFirstReason) {
  CancelScope scope;
  scope.cancel(Code::client_gone);
  scope.cancel(Code::shutdown);
  EXPECT_EQ(scope.reason(), Code::client_gone);
}

TEST(CancelScope, DoesNotReachSiblings) {
  CancelScope parent;
  CancelScope one(&parent);
  CancelScope two(&parent);
  one.cancel(Code::reset);
  EXPECT_FALSE(two.cancelled());
  EXPECT_FALSE(parent.cancelled());
}

TEST(Waiter, AWakeAndACancelResumeItOnce) {
  CancelScope scope;
  TaskGroup group(&scope);
  Event event;
  Code reason = Code::internal;
  group.spawn(store_reason(event, reason));
  event.set();
  scope.cancel(Code::reset);
  drain();
  EXPECT_EQ(reason, Code::none) << "the first wake wins";
}

Task<void> run_under(CancelScope& scope, Event& event, Code& inner, Code& outer) {
  auto child = store_reason(event, inner);
  auto scoped = std::move(child).under(scope);
  co_await std::move(scoped);
  auto mine = co_await Fair{};
  outer = mine;
}

TEST(Task, UnderLimitsAScopeToTheChild) {
  CancelScope attempt;
  TaskGroup group;
  Event event;
  Code inner = Code::none;
  Code outer = Code::internal;
  group.spawn(run_under(attempt, event, inner, outer));
  attempt.cancel(Code::connect_timeout);
  drain();
  EXPECT_EQ(inner, Code::connect_timeout);
  EXPECT_EQ(outer, Code::none);
}

Task<void> join_group(TaskGroup& group, bool& joined) {
  co_await group.join();
  joined = true;
}

TEST(TaskGroup, JoinWaitsForEveryChild) {
  TaskGroup children;
  TaskGroup owner;
  Event event;
  int a = 0;
  int b = 0;
  bool joined = false;
  children.spawn(wait_then_store(event, a));
  children.spawn(wait_then_store(event, b));
  owner.spawn(join_group(children, joined));
  drain();
  EXPECT_FALSE(joined);
  event.set();
  drain();
  EXPECT_TRUE(joined);
  EXPECT_EQ(a + b, 84);
}

Task<void> spin(int turns, std::string& trace, char mark) {
  for (int i = 0; i < turns; ++i) {
    co_await Fair{};
    if (ReadyQueue::current().spent()) trace += mark;
  }
}

TEST(Fair, GivesWayWhenTheTurnIsUsedUp) {
  TaskGroup group;
  std::string trace;
  ReadyQueue::current().refill();
  group.spawn(spin(300, trace, 'a'));
  group.spawn(spin(300, trace, 'b'));
  drain();
  EXPECT_NE(trace.find("ab"), std::string::npos);
  EXPECT_NE(trace.find("ba"), std::string::npos) << "neither ran to its end alone: " << trace;
}

Task<void> two_steps(std::string& trace) {
  trace += '1';
  co_await InStep{};
  trace += '2';
}

Task<void> three_of_two_steps(TaskGroup& group, std::string& trace) {
  co_await Behind{};
  for (int i = 0; i < 3; ++i) group.spawn(two_steps(trace));
}

TEST(InStep, NobodyGoesAheadOfThoseWhoAreReady) {
  TaskGroup group;
  std::string trace;
  group.spawn(three_of_two_steps(group, trace));
  // Ready while the three are spawned, and so one for them to wait for.
  group.spawn(three_of_two_steps(group, trace));
  drain();
  EXPECT_EQ(trace, "111111222222");
}

TEST(InStep, WhoeverIsAloneGoesOnAtOnce) {
  TaskGroup group;
  std::string trace;
  ReadyQueue::current().refill();
  group.spawn(two_steps(trace));
  EXPECT_EQ(trace, "12");
}

Task<void> step_for_ever(const bool& enough, long& steps) {
  while (!enough) {
    co_await InStep{};
    ++steps;
  }
}

TEST(InStep, WhoeverIsAloneEndsItsTurnToo) {
  TaskGroup group;
  bool enough = false;
  long steps = 0;
  ReadyQueue::current().refill();
  group.spawn(step_for_ever(enough, steps));
  EXPECT_EQ(steps, static_cast<long>(limits::kTurnCompletions));
  enough = true;
  drain();
}

Task<void> add_settled(long steps, long& out) {
  for (long i = 0; i < steps; ++i) {
    auto one = co_await Task<int>::settled(1);
    out += one;
  }
}

TEST(Task, ASettledTaskGivesItsValueWithoutSuspending) {
  TaskGroup group;
  long sum = 0;
  group.spawn(add_settled(1000, sum));
  EXPECT_EQ(sum, 1000);
}

TEST(Task, ASettledTaskRunsUnderAnyScopeAndMoves) {
  CancelScope scope;
  scope.cancel(Code::shutdown);
  TaskGroup group;
  int out = 0;
  group.spawn([](CancelScope& under, int& to) -> Task<void> {
    auto owned = Task<std::unique_ptr<int>>::settled(std::make_unique<int>(7));
    auto moved = std::move(owned).under(under);
    auto value = co_await std::move(moved);
    to = *value;
  }(scope, out));
  EXPECT_EQ(out, 7);
}

TEST(TaskGroup, ASettledTaskHasEndedWhenItIsSpawned) {
  TaskGroup group;
  group.spawn(Task<void>::settled());
  EXPECT_EQ(group.size(), 0u);
}

}  // namespace
}  // namespace revproxyd

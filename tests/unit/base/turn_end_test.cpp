#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "revproxyd/base/event.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/base/ready_queue.h"
#include "tests/support/hand_runner.h"

namespace revproxyd {
namespace {

/// Notes its calls, and does what the test says in each.
class Work final : public TurnEnd {
 public:
  Work(std::vector<int>& calls, int number, Kind kind = Kind::prompt)
      : TurnEnd(kind), calls_(calls), number_(number) {}
  using TurnEnd::at_turn_end;
  using TurnEnd::forget;
  std::function<void()> then;

 private:
  void on_turn_end() noexcept override {
    calls_.push_back(number_);
    if (then) then();
  }
  std::vector<int>& calls_;
  int number_;
};

Task<void> ask_often(Work& work, std::vector<int>& calls) {
  for (int i = 0; i < 3; ++i) {
    work.at_turn_end();
    calls.push_back(0);
    co_await Sleep(TimerWheel::kTick);
  }
}

Task<void> ask_and_note(Work& work, std::vector<int>& calls, int note) {
  work.at_turn_end();
  calls.push_back(note);
  co_return;
}

Task<void> never_rest(const bool& enough) {
  while (!enough) co_await Fair();
}

/// Notes 2 in the next turn, or why it was not let wait for it.
Task<void> note_next_turn(std::vector<int>& calls) {
  auto code = co_await NextTurn();
  calls.push_back(code == Code::none ? 2 : -static_cast<int>(code));
}

/// Notes `number` when it may begin, or why it may not.
Task<void> note_costly(std::vector<int>& calls, int number,
                       Costly::Rank rank = Costly::Rank::usual) {
  auto code = co_await Costly(rank);
  calls.push_back(code == Code::none ? number : -static_cast<int>(code));
}

class TurnEndTest : public ::testing::Test {
 protected:
  /// Others have done what costly work the turn has.
  static void use_turn_up() {
    while (ReadyQueue::current().spend_costly()) {
    }
  }

  std::vector<int> calls_;
  test::HandRunner runner_;
};

TEST_F(TurnEndTest, RunsOnceHoweverOftenItIsAskedFor) {
  Work work(calls_, 1);
  work.at_turn_end();
  work.at_turn_end();
  runner_.settle();
  runner_.settle();
  EXPECT_EQ(calls_, std::vector<int>{1});
}

TEST_F(TurnEndTest, RunsNotWithoutBeingAskedFor) {
  Work work(calls_, 1);
  runner_.settle();
  EXPECT_TRUE(calls_.empty());
}

TEST_F(TurnEndTest, RunsInTheOrderOfAsking) {
  Work first(calls_, 1);
  Work second(calls_, 2);
  Work third(calls_, 3);
  second.at_turn_end();
  first.at_turn_end();
  third.at_turn_end();
  second.at_turn_end();
  runner_.settle();
  EXPECT_EQ(calls_, (std::vector<int>{2, 1, 3}));
}

TEST_F(TurnEndTest, RunsBehindTheCoroutinesOfTheTurn) {
  Work work(calls_, 9);
  Event go;
  const auto waiting = [](Event& event, Work& asked, std::vector<int>& calls,
                          int note) -> Task<void> {
    co_await event.wait();
    auto noting = ask_and_note(asked, calls, note);
    co_await std::move(noting);
  };
  for (int note = 1; note <= 3; ++note) runner_.spawn(waiting(go, work, calls_, note));
  go.set();
  runner_.settle();
  EXPECT_EQ(calls_, (std::vector<int>{1, 2, 3, 9}));
}

TEST_F(TurnEndTest, RunsAgainInALaterTurn) {
  Work work(calls_, 1);
  runner_.spawn(ask_often(work, calls_));
  runner_.pass(4 * TimerWheel::kTick);
  EXPECT_EQ(calls_, (std::vector<int>{0, 1, 0, 1, 0, 1}));
}

TEST_F(TurnEndTest, RunsThoughCoroutinesNeverRest) {
  Work work(calls_, 1);
  bool enough = false;
  runner_.launch(never_rest(enough));
  work.at_turn_end();
  for (int i = 0; i < 100 && calls_.empty(); ++i) runner_.step(1);
  EXPECT_EQ(calls_, std::vector<int>{1});
  enough = true;
  runner_.settle();
}

TEST_F(TurnEndTest, IsForgottenWhenItIsTakenBack) {
  Work first(calls_, 1);
  Work second(calls_, 2);
  Work third(calls_, 3);
  for (Work* work : {&first, &second, &third}) work->at_turn_end();
  second.forget();
  runner_.settle();
  EXPECT_EQ(calls_, (std::vector<int>{1, 3}));
}

TEST_F(TurnEndTest, TakingBackWhatWasNotAskedForChangesNothing) {
  Work first(calls_, 1);
  Work second(calls_, 2);
  first.at_turn_end();
  second.forget();
  runner_.settle();
  EXPECT_EQ(calls_, std::vector<int>{1});
}

TEST_F(TurnEndTest, IsForgottenWhenItIsDestroyed) {
  auto first = std::make_unique<Work>(calls_, 1);
  Work second(calls_, 2);
  first->at_turn_end();
  second.at_turn_end();
  first.reset();
  runner_.settle();
  EXPECT_EQ(calls_, std::vector<int>{2});
}

TEST_F(TurnEndTest, MayDestroyItself) {
  auto first = std::make_unique<Work>(calls_, 1);
  Work second(calls_, 2);
  first->then = [&first] { first.reset(); };
  first->at_turn_end();
  second.at_turn_end();
  runner_.settle();
  EXPECT_EQ(calls_, (std::vector<int>{1, 2}));
}

TEST_F(TurnEndTest, MayDestroyOneThatWouldCome) {
  Work first(calls_, 1);
  auto second = std::make_unique<Work>(calls_, 2);
  Work third(calls_, 3);
  first.then = [&second] { second.reset(); };
  first.at_turn_end();
  second->at_turn_end();
  third.at_turn_end();
  runner_.settle();
  EXPECT_EQ(calls_, (std::vector<int>{1, 3}));
}

TEST_F(TurnEndTest, WhatIsAskedForInItIsForTheNextTurn) {
  Work work(calls_, 1);
  int left = 2;
  work.then = [&] {
    if (left-- > 0) work.at_turn_end();
  };
  work.at_turn_end();
  EXPECT_TRUE(runner_.step(1));
  EXPECT_EQ(calls_.size(), 1U);
  EXPECT_TRUE(runner_.step(1));
  EXPECT_EQ(calls_.size(), 2U);
  EXPECT_FALSE(runner_.step(1));
  EXPECT_EQ(calls_.size(), 3U);
}

TEST_F(TurnEndTest, MayWakeCoroutines) {
  Work work(calls_, 1);
  Event event;
  const auto waiting = [](Event& awaited, std::vector<int>& calls) -> Task<void> {
    co_await awaited.wait();
    calls.push_back(2);
  };
  runner_.spawn(waiting(event, calls_));
  work.then = [&event] { event.set(); };
  work.at_turn_end();
  runner_.settle();
  EXPECT_EQ(calls_, (std::vector<int>{1, 2}));
}

TEST_F(TurnEndTest, TheQueueIsNotEmptyWhileOneIsAskedFor) {
  Work work(calls_, 1);
  EXPECT_TRUE(ReadyQueue::current().empty());
  work.at_turn_end();
  EXPECT_FALSE(ReadyQueue::current().empty());
  runner_.settle();
  EXPECT_TRUE(ReadyQueue::current().empty());
}

TEST_F(TurnEndTest, LateWorkIsDoneAFewATurnInTheOrderOfAsking) {
  std::vector<std::unique_ptr<Work>> works;
  std::vector<int> all;
  for (int i = 0; i < static_cast<int>(limits::kTurnLate) + 2; ++i) {
    works.push_back(std::make_unique<Work>(calls_, i, TurnEnd::Kind::late));
    works.back()->at_turn_end();
    all.push_back(i);
  }
  runner_.step(64);
  EXPECT_EQ(calls_, std::vector<int>(all.begin(), all.end() - 2));
  runner_.step(64);
  EXPECT_EQ(calls_, all);
}

TEST_F(TurnEndTest, LateWorkThatIsNotDoneWaitsBehindThatOfOthers) {
  Work again(calls_, 0, TurnEnd::Kind::late);
  again.then = [&] { again.at_turn_end(); };
  std::vector<std::unique_ptr<Work>> others;
  again.at_turn_end();
  for (int i = 0; i < static_cast<int>(limits::kTurnLate); ++i) {
    others.push_back(std::make_unique<Work>(calls_, 1, TurnEnd::Kind::late));
    others.back()->at_turn_end();
  }
  runner_.step(64);
  runner_.step(64);
  EXPECT_EQ(std::count(calls_.begin(), calls_.end(), 1), limits::kTurnLate);
  EXPECT_EQ(std::count(calls_.begin(), calls_.end(), 0), 2);
}

TEST_F(TurnEndTest, LateWorkHoldsNoPromptWorkUp) {
  std::vector<std::unique_ptr<Work>> works;
  for (int i = 0; i < 10 * static_cast<int>(limits::kTurnLate); ++i) {
    works.push_back(std::make_unique<Work>(calls_, 0, TurnEnd::Kind::late));
    works.back()->at_turn_end();
  }
  Work prompt(calls_, 1);
  prompt.at_turn_end();
  runner_.step(64);
  EXPECT_EQ(std::count(calls_.begin(), calls_.end(), 1), 1);
}

TEST_F(TurnEndTest, ACoroutineGoesOnInTheNextTurn) {
  Work work(calls_, 1);
  work.at_turn_end();
  runner_.launch(note_next_turn(calls_));
  runner_.step(64);
  EXPECT_EQ(calls_, (std::vector<int>{1}));
  runner_.settle();
  EXPECT_EQ(calls_, (std::vector<int>{1, 2}));
}

TEST_F(TurnEndTest, ACoroutineThatWaitsForTheNextTurnCanBeCancelled) {
  runner_.launch(note_next_turn(calls_));
  runner_.cancel(Code::shutdown);
  EXPECT_EQ(calls_, (std::vector<int>{-static_cast<int>(Code::shutdown)}));
}

TEST_F(TurnEndTest, CostlyWorkBeginsAFewATurnInTheOrderOfAsking) {
  std::vector<int> all;
  for (int i = 0; i < 2 * static_cast<int>(limits::kTurnCostly) + 1; ++i) {
    runner_.launch(note_costly(calls_, i));
    all.push_back(i);
  }
  EXPECT_EQ(calls_, std::vector<int>(all.begin(), all.begin() + limits::kTurnCostly));
  runner_.step(64);  // the end of this turn, at which the next few are woken
  runner_.step(64);
  EXPECT_EQ(calls_, std::vector<int>(all.begin(), all.end() - 1));
  runner_.settle();
  EXPECT_EQ(calls_, all);
}

TEST_F(TurnEndTest, CostlyWorkOfTheFirstRankGoesBeforeOthersAndLeavesThemOneATurn) {
  use_turn_up();
  for (int i = 0; i < 3; ++i) runner_.launch(note_costly(calls_, i));
  for (int i = 10; i < 15; ++i) runner_.launch(note_costly(calls_, i, Costly::Rank::first));
  const auto next_turn = [this] {
    calls_.clear();
    runner_.step(64);
    return calls_;
  };
  EXPECT_EQ(next_turn(), std::vector<int>());  // at its end the next few are woken
  EXPECT_EQ(next_turn(), (std::vector<int>{10, 11, 12, 0}));
  EXPECT_EQ(next_turn(), (std::vector<int>{13, 14, 1, 2}));
  EXPECT_EQ(next_turn(), std::vector<int>());
}

TEST_F(TurnEndTest, CostlyWorkOfTheFirstRankHasAllOfATurnThatNobodyElseWants) {
  use_turn_up();
  for (int i = 0; i < 6; ++i) runner_.launch(note_costly(calls_, i, Costly::Rank::first));
  runner_.step(64);
  runner_.step(64);
  EXPECT_EQ(calls_, (std::vector<int>{0, 1, 2, 3}));
  runner_.settle();
  EXPECT_EQ(calls_, (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

TEST_F(TurnEndTest, CostlyWorkThatWaitsCanBeCancelled) {
  use_turn_up();
  runner_.launch(note_costly(calls_, 1));
  runner_.cancel(Code::shutdown);
  EXPECT_EQ(calls_, (std::vector<int>{-static_cast<int>(Code::shutdown)}));
  EXPECT_TRUE(ReadyQueue::current().empty());
}

}  // namespace
}  // namespace revproxyd

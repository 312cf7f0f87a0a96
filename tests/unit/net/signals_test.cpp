#include "revproxyd/net/signals.h"

#include <signal.h>

#include <array>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

namespace revproxyd::net {
namespace {

constexpr std::array kFirst{SIGUSR1};
constexpr std::array kBoth{SIGUSR1, SIGUSR2};

TEST(Signals, AreToldOnTheLoop) {
  Loop loop;
  std::vector<int> told;
  const Signals signals(loop, kBoth, [&](int number) { told.push_back(number); });
  ASSERT_EQ(::raise(SIGUSR2), 0);
  EXPECT_TRUE(told.empty());
  while (told.empty()) loop.run_for(Duration(10));
  EXPECT_EQ(told, std::vector<int>{SIGUSR2});
}

// Without the hold the first one would end this process.
TEST(Signals, WhatComesBeforeTheirHandlerIsHeld) {
  Loop loop;
  std::vector<int> told;
  std::unique_ptr<Signals> signals;
  {
    const SignalHold hold(kFirst);
    ASSERT_EQ(::raise(SIGUSR1), 0);
    signals = std::make_unique<Signals>(loop, kFirst, [&](int number) { told.push_back(number); });
  }
  while (told.empty()) loop.run_for(Duration(10));
  EXPECT_EQ(told, std::vector<int>{SIGUSR1});
}

TEST(Signals, AreIgnoredAfterwards) {
  {
    Loop loop;
    const Signals signals(loop, kFirst, [](int) {});
    ASSERT_EQ(::raise(SIGUSR1), 0);
  }
  EXPECT_EQ(::raise(SIGUSR1), 0);
  EXPECT_EQ(::signal(SIGUSR1, SIG_DFL), SIG_IGN);
}

// The second one is on its way to the handler when the object goes.
TEST(Signals, OneThatIsUnderWayIsNotToldAfterTheEnd) {
  Loop loop;
  std::vector<int> told;
  auto signals =
      std::make_unique<Signals>(loop, kBoth, [&](int number) { told.push_back(number); });
  for (const int number : kBoth) ::raise(number);
  for (int i = 0; i < 100 && told.empty(); ++i) loop.run_for(Duration(10));
  ASSERT_EQ(told.size(), 1U);
  signals.reset();
  for (int i = 0; i < 3; ++i) loop.run_for(Duration(10));
  EXPECT_EQ(told.size(), 1U);
}

}  // namespace
}  // namespace revproxyd::net

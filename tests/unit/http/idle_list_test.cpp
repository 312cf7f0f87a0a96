#include "revproxyd/http/idle_list.h"

#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"

namespace revproxyd::http {
namespace {

class Idler final : public IdleList::Entry {
 public:
  using IdleList::Entry::enter;
  using IdleList::Entry::leave;
  bool asked = false;

 private:
  void on_long_idle() noexcept override { asked = true; }
};

class IdleListTest : public ::testing::Test {
 protected:
  IdleListTest() { pass(Duration::zero()); }
  void pass(Duration time) {
    now_ += time;
    TimerWheel::current().advance(now_);
  }
  IdleList list_;

 private:
  TimePoint now_ = TimerWheel::current().now();
};

TEST_F(IdleListTest, AsksThoseThatHaveBeenIdleForLong) {
  Idler early;
  Idler late;
  early.enter(&list_);
  pass(limits::kRestAfter / 2);
  EXPECT_FALSE(early.asked);
  late.enter(&list_);
  pass(limits::kRestAfter);
  EXPECT_TRUE(early.asked);
  pass(limits::kRestAfter);
  EXPECT_TRUE(late.asked);
  EXPECT_EQ(list_.size(), 0U);
}

TEST_F(IdleListTest, AsksNobodyWhoHasLeft) {
  Idler first;
  Idler middle;
  Idler last;
  for (Idler* one : {&first, &middle, &last}) one->enter(&list_);
  middle.leave();
  last.leave();
  EXPECT_EQ(list_.size(), 1U);
  pass(2 * limits::kRestAfter);
  EXPECT_TRUE(first.asked);
  EXPECT_FALSE(middle.asked || last.asked);
}

TEST_F(IdleListTest, WhoComesBackIsLastAgain) {
  Idler busy;
  Idler idle;
  busy.enter(&list_);
  idle.enter(&list_);
  pass(limits::kRestAfter / 2);
  busy.leave();
  busy.enter(&list_);
  pass(limits::kRestAfter / 2 + TimerWheel::kTick);
  EXPECT_TRUE(idle.asked);
  EXPECT_FALSE(busy.asked);
}

TEST_F(IdleListTest, AsksTheFirstAtOnceWhenTooManyAreIdle) {
  std::vector<std::unique_ptr<Idler>> idlers;
  for (std::size_t i = 0; i < limits::kMostAwake; ++i) {
    idlers.push_back(std::make_unique<Idler>());
    idlers.back()->enter(&list_);
  }
  EXPECT_FALSE(idlers.front()->asked);
  Idler more;
  more.enter(&list_);
  EXPECT_TRUE(idlers.front()->asked);
  EXPECT_FALSE(idlers[1]->asked || more.asked);
  EXPECT_EQ(list_.size(), limits::kMostAwake);
}

TEST_F(IdleListTest, WithoutAListNobodyIsAsked) {
  Idler idler;
  idler.enter(nullptr);
  pass(2 * limits::kRestAfter);
  EXPECT_FALSE(idler.asked);
}

}  // namespace
}  // namespace revproxyd::http

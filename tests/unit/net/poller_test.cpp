#include "net/poller.h"

#include <optional>

#include <gtest/gtest.h>

#include "tests/unit/net/sockets.h"

namespace revproxyd::net {
namespace {

using test::send_text;
using test::socket_pair;

// Takes what there is and tells of it; the number of events.
std::size_t tell(Poller& poller) {
  const std::size_t events = poller.poll();
  poller.dispatch();
  return events;
}

TEST(Poller, AFreshSocketIsWritableAndNotReadable) {
  Poller poller;
  Readiness readiness;
  readiness.writable = false;
  const auto pair = socket_pair();
  ASSERT_TRUE(poller.add(pair.near.get(), readiness));
  EXPECT_EQ(tell(poller), 1u);
  EXPECT_TRUE(readiness.writable);
  EXPECT_FALSE(readiness.readable);
  EXPECT_FALSE(readiness.hangup);
  poller.remove(pair.near.get(), readiness);
}

TEST(Poller, InputFromBeforeTheRegistrationIsAnnounced) {
  Poller poller;
  Readiness readiness;
  const auto pair = socket_pair();
  send_text(pair.far.get(), "early");
  ASSERT_TRUE(poller.add(pair.near.get(), readiness));
  tell(poller);
  EXPECT_TRUE(readiness.readable);
  poller.remove(pair.near.get(), readiness);
}

TEST(Poller, WithoutNewsThereIsNoEventHoweverMuchIsUnread) {
  Poller poller;
  Readiness readiness;
  const auto pair = socket_pair();
  ASSERT_TRUE(poller.add(pair.near.get(), readiness));
  send_text(pair.far.get(), "unread");
  EXPECT_EQ(tell(poller), 1u);
  EXPECT_EQ(tell(poller), 0u);
  poller.remove(pair.near.get(), readiness);
}

TEST(Poller, HalfCloseIsSeenWithoutReading) {
  Poller poller;
  Readiness readiness;
  const auto pair = test::tcp_pair();
  ASSERT_TRUE(poller.add(pair.near.get(), readiness));
  tell(poller);
  ::shutdown(pair.far.get(), SHUT_WR);
  tell(poller);
  EXPECT_TRUE(readiness.hangup);
  poller.remove(pair.near.get(), readiness);
}

TEST(Poller, ARemovedSocketIsNotToldOfAnymore) {
  Poller poller;
  Readiness readiness;
  const auto pair = socket_pair();
  ASSERT_TRUE(poller.add(pair.near.get(), readiness));
  tell(poller);
  poller.remove(pair.near.get(), readiness);
  send_text(pair.far.get(), "late");
  EXPECT_EQ(tell(poller), 0u);
  EXPECT_FALSE(readiness.readable);
}

TEST(Poller, AClosedDescriptorIsRefused) {
  Poller poller;
  Readiness readiness;
  const auto added = poller.add(-1, readiness);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code(), Code::system);
}

/// Takes another socket away when it is told of input, as a coroutine that ends an exchange would.
class Remover final : public Watcher {
 public:
  Remover(Poller& poller, Descriptor& socket, std::optional<Readiness>& readiness) noexcept
      : poller_(poller), socket_(socket), readiness_(readiness) {}
  void on_input() noexcept override {
    if (!socket_) return;
    poller_.remove(socket_.get(), *readiness_);
    socket_.reset();
    readiness_.reset();
  }

 private:
  Poller& poller_;
  Descriptor& socket_;
  std::optional<Readiness>& readiness_;
};

TEST(Poller, EventsOfTheRunningBatchForAFreedSocketAreDropped) {
  // Each takes the other away: whichever is told first, the second must not be touched.
  Poller poller;
  auto one = socket_pair();
  auto two = socket_pair();
  std::optional<Readiness> first(std::in_place);
  std::optional<Readiness> second(std::in_place);
  Remover ends_second(poller, two.near, second);
  Remover ends_first(poller, one.near, first);
  first->watch(&ends_second);
  second->watch(&ends_first);
  ASSERT_TRUE(poller.add(one.near.get(), *first));
  ASSERT_TRUE(poller.add(two.near.get(), *second));
  send_text(one.far.get(), "x");
  send_text(two.far.get(), "x");
  EXPECT_EQ(tell(poller), 2u);
  EXPECT_NE(first.has_value(), second.has_value());
  if (first) poller.remove(one.near.get(), *first);
  if (second) poller.remove(two.near.get(), *second);
}

TEST(Poller, ASocketThatGetsTheNumberOfAClosedOneIsNotTakenForIt) {
  Poller poller;
  Readiness readiness;
  auto pair = socket_pair();
  const int number = pair.near.get();
  ASSERT_TRUE(poller.add(number, readiness));
  send_text(pair.far.get(), "old");
  poller.remove(number, readiness);
  pair.near.reset();
  auto next = socket_pair();
  Descriptor reused(std::move(next.near));
  ASSERT_EQ(reused.get(), number);
  Readiness fresh;
  ASSERT_TRUE(poller.add(number, fresh));
  tell(poller);
  EXPECT_FALSE(fresh.readable);
  EXPECT_FALSE(readiness.readable);
  poller.remove(number, fresh);
}

}  // namespace
}  // namespace revproxyd::net

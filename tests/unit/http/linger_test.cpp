#include "http/linger.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "revproxyd/base/task_group.h"
#include "tests/support/loop_runner.h"
#include "tests/unit/net/sockets.h"

namespace revproxyd::http {
namespace {

using namespace std::chrono_literals;

static_assert(closing_stall(0ms, 0ms) == limits::kClosingStall);
static_assert(closing_stall(1h, 0ms) == limits::kClosingStall);
static_assert(closing_stall(0ms, 5s) == 5s);
static_assert(closing_stall(1h, 5s) == 5s);

/// A client that has taken all.
class LingerBehindAll : public testing::Test {
 protected:
  LingerBehindAll() : pair_(net::test::tcp_pair()), far_(pair_.far.get()) {
    transport_ = net::test::transport_over(pair_.near);
  }

  /// Bytes that the client could send and that were read.
  std::size_t send_all_that_goes() {
    const std::string block(16 * 1024, 'u');
    ssize_t went = 0;
    do {
      sent_ += static_cast<std::size_t>(went);
      went = ::send(far_, block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (went > 0);
    int on_the_way = 0;
    ::ioctl(far_, SIOCOUTQ, &on_the_way);
    const auto unread = net::most_unread(*transport_);
    return sent_ - static_cast<std::size_t>(on_the_way) - unread.value_or(0);
  }

  revproxyd::test::LoopRunner runner_;
  net::test::SocketPair pair_;
  int far_;
  std::unique_ptr<net::Transport> transport_;
  Leftover leftover_;
  std::size_t sent_ = 0;
};

/// One that takes nothing of an answer that fills every buffer on the way.
class Linger : public LingerBehindAll {
 protected:
  Linger() {
    const std::string block(64 * 1024, 'd');
    const iovec piece = net::piece_of(block);
    for (;;) {
      const net::IoResult result = transport_->try_write({&piece, 1});
      if (result.status != net::IoStatus::done) break;
      leftover_.sent += result.bytes;
    }
  }

  /// The client takes so much, as far as it is there.
  void take(std::size_t most) {
    std::string into(most, ' ');
    ignore(::recv(far_, into.data(), into.size(), MSG_DONTWAIT), "what is left is looked at");
  }
};

/// One whose buffers are full, and a little that waits for room in them.
class LingerBehindLittle : public LingerBehindAll {
 protected:
  LingerBehindLittle() {
    const std::string block(limits::kSoonTaken / 2, 'd');
    const iovec piece = net::piece_of(block);
    while (net::unsent(*transport_) == 0U) {
      const net::IoResult result = transport_->try_write({&piece, 1});
      EXPECT_EQ(result.bytes, block.size());
      leftover_.sent += result.bytes;
      EXPECT_TRUE(runner_.run_until([&] {
        return net::unsent(*transport_) == net::unacknowledged(*transport_);
      })) << "what has room must arrive";
    }
  }

  Task<void> part_and_close() {
    co_await part_from_client(*transport_, leftover_, false);
    transport_.reset();
  }
  /// What the client gets up to the end.
  std::size_t take_all() {
    std::string into(64 * 1024, ' ');
    std::size_t all = 0;
    EXPECT_TRUE(runner_.run_until([&] {
      const ssize_t got = ::recv(far_, into.data(), into.size(), MSG_DONTWAIT);
      if (got > 0) all += static_cast<std::size_t>(got);
      return got == 0 || (got < 0 && errno != EAGAIN);
    }));
    return all;
  }
};

// A stray byte would be answered with a reset.
TEST_F(LingerBehindLittle, StaysUntilTheClientHasMadeRoom) {
  EXPECT_LE(net::unacknowledged(*transport_).value_or(0), limits::kSoonTaken);
  TaskGroup group;
  group.spawn(part_and_close());
  EXPECT_EQ(::send(far_, "\r\n", 2, MSG_NOSIGNAL), 2);
  EXPECT_EQ(take_all(), leftover_.sent);
  EXPECT_TRUE(runner_.run_until([&] { return group.size() == 0; }));
}

TEST_F(Linger, EndsForAClientBelowTheMinimumRate) {
  leftover_.rules.min_rate = 1000 * leftover_.sent;
  leftover_.uptake = Uptake(limits::kRateGrace + 1ms);
  runner_.run(part_from_client(*transport_, leftover_, true));
}

// What it takes first is of the answers before, and comes in time all the same.
TEST_F(Linger, CountsWhatIsTakenOfEarlierAnswers) {
  leftover_.sent = 10;
  leftover_.rules.min_rate = 1000;
  leftover_.uptake = Uptake(limits::kRateGrace + 1ms);
  TaskGroup group;
  group.spawn(part_from_client(*transport_, leftover_, true));
  const auto before = net::unacknowledged(*transport_);
  ASSERT_TRUE(before);
  const auto acknowledged = [&] {
    take(64 * 1024);
    return *before - net::unacknowledged(*transport_).value_or(0);
  };
  EXPECT_TRUE(runner_.run_until([&] { return acknowledged() > 256 * 1024; }));
  const TimePoint then = Clock::now();
  runner_.run_until([&] { return Clock::now() - then > 2 * limits::kLingerLook; });
  EXPECT_EQ(group.size(), 1U);
  group.cancel(Code::shutdown);
  EXPECT_TRUE(runner_.run_until([&] { return group.size() == 0; }));
}

TEST_F(Linger, EndsForAClientThatAcknowledgesNothing) {
  leftover_.rules.stall = 300ms;
  runner_.run(part_from_client(*transport_, leftover_, true));
}

TEST_F(Linger, LeavesNothingInTheKernelForAClientThatTakesNothing) {
  leftover_.rules.stall = 300ms;
  runner_.run(part_from_client(*transport_, leftover_, true));
  transport_.reset();
  pollfd entry{far_, 0, 0};
  EXPECT_EQ(::poll(&entry, 1, 10'000), 1);
  EXPECT_NE(entry.revents & POLLERR, 0) << "an end would wait behind what is not taken";
}

TEST_F(Linger, ReadsForALimitedTimeWhileTheAnswerIsOnItsWay) {
  TaskGroup group;
  group.spawn(part_from_client(*transport_, leftover_, true));
  EXPECT_TRUE(runner_.run_until([&] { return send_all_that_goes() > 4 * limits::kLingerBytes; }));
  std::size_t read = 0;
  TimePoint changed = Clock::now();
  const auto unread_for = [&](Duration time) {
    if (std::exchange(read, send_all_that_goes()) != read) changed = Clock::now();
    return Clock::now() - changed >= time;
  };
  EXPECT_TRUE(runner_.run_until([&] { return unread_for(1500ms); }, limits::kLingerTime + 10s));
  EXPECT_EQ(group.size(), 1U);
  group.cancel(Code::shutdown);
  EXPECT_TRUE(runner_.run_until([&] { return group.size() == 0; }));
}

// With input unread, a close would reset the answer away.
TEST_F(Linger, ReadsTheRestOfAClientThatEndsItsSide) {
  TaskGroup group;
  group.spawn(part_from_client(*transport_, leftover_, true));
  const std::string block(limits::kLingerBytes / 16, 'u');
  const auto send_more = [&] {
    return ::send(far_, block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
  };
  for (int i = 0; i <= 16; ++i) {
    EXPECT_TRUE(send_more());
    EXPECT_TRUE(runner_.run_until([&] { return net::most_unread(*transport_) == 0U; }));
  }
  const TimePoint then = Clock::now();
  runner_.run_until([&] { return Clock::now() - then > limits::kLingerTime; },
                    limits::kLingerTime + 5s);
  EXPECT_TRUE(send_more());
  EXPECT_EQ(::shutdown(far_, SHUT_WR), 0);
  EXPECT_TRUE(runner_.run_until([&] { return group.size() == 0; }));
  EXPECT_EQ(net::most_unread(*transport_), 0U);
}

TEST_F(LingerBehindAll, ReadsForALimitedTimeHoweverMuchComes) {
  TaskGroup group;
  group.spawn(part_from_client(*transport_, leftover_, true));
  const TimePoint begun = Clock::now();
  std::size_t read = 0;
  const auto ended = [&] {
    if (group.size() != 0) read = send_all_that_goes();
    return group.size() == 0;
  };
  EXPECT_TRUE(runner_.run_until(ended, limits::kLingerTime + 10s));
  EXPECT_GE(Clock::now() - begun, limits::kLingerTime - 100ms);
  EXPECT_GT(read, 4 * limits::kLingerBytes);
}

}  // namespace
}  // namespace revproxyd::http

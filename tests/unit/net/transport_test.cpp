#include "revproxyd/net/transport.h"

#include <poll.h>

#include <cerrno>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "revproxyd/base/task_group.h"
#include "tests/support/loop_runner.h"
#include "tests/unit/net/sockets.h"

namespace revproxyd::net {
namespace {

using namespace std::chrono_literals;
using revproxyd::test::LoopRunner;
using test::send_text;
using test::socket_pair;
using test::tcp_pair;
using test::transport_over;

Task<std::string> read_all(Transport& transport, std::size_t step) {
  std::string out;
  std::vector<char> buffer(step);
  MutableBytes into(buffer);
  for (;;) {
    auto got = co_await read_some(transport, into);
    if (!got) co_return out + "!" + std::string(name(got.error().code()));
    if (*got == 0) co_return out;
    out.append(buffer.data(), *got);
  }
}

Task<void> keep_all(Transport& transport, std::size_t step, std::string& out) {
  auto all = co_await read_all(transport, step);
  out = std::move(all);
}

Task<Code> write_text(Transport& transport, Bytes text, Duration stall) {
  iovec piece = piece_of(text);
  auto written = co_await write_all(transport, std::span<iovec>(&piece, 1), stall);
  co_return written ? Code::none : written.error().code();
}

Task<void> write_and_shut(Transport& transport, Bytes text, Code& out) {
  auto code = co_await write_text(transport, text, 10s);
  out = code;
  auto shut = co_await shutdown(transport);
  ignore(shut, "the reader sees it");
}

std::string pattern(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * 31 + i / 251);
  return out;
}

TEST(Transport, InputAndEndInOneEdgeAreBothRead) {
  for (auto make : {socket_pair, tcp_pair}) {
    LoopRunner runner;
    auto pair = make();
    send_text(pair.far.get(), "last words");
    pair.far.reset();
    const auto transport = transport_over(pair.near);
    EXPECT_EQ(runner.run(read_all(*transport, 64)), "last words");
  }
}

TEST(Transport, AHalfClosedPeerCanStillBeWrittenTo) {
  LoopRunner runner;
  auto pair = tcp_pair();
  const auto transport = transport_over(pair.near);
  send_text(pair.far.get(), "request");
  ::shutdown(pair.far.get(), SHUT_WR);
  EXPECT_EQ(runner.run(read_all(*transport, 3)), "request");
  EXPECT_EQ(runner.run(write_text(*transport, "answer", 1s)), Code::none);
  pollfd answer{pair.far.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&answer, 1, 5000), 1);
  char buffer[16];
  EXPECT_EQ(::recv(pair.far.get(), buffer, sizeof buffer, 0), 6);
}

TEST(Transport, OurHalfCloseEndsThePeersReading) {
  LoopRunner runner;
  auto pair = tcp_pair();
  const auto near = transport_over(pair.near);
  const auto far = transport_over(pair.far);
  Code code = Code::internal;
  TaskGroup group;
  group.spawn(write_and_shut(*near, "all", code));
  EXPECT_EQ(runner.run(read_all(*far, 64)), "all");
  EXPECT_EQ(code, Code::none);
  EXPECT_EQ(runner.run(write_text(*far, "back", 1s)), Code::none);
}

TEST(Transport, AnAbortiveCloseIsAResetForThePeer) {
  LoopRunner runner;
  auto pair = tcp_pair();
  auto near = transport_over(pair.near);
  const auto far = transport_over(pair.far);
  near->abort_on_close();
  near.reset();
  EXPECT_EQ(runner.run(read_all(*far, 64)), "!reset");
  EXPECT_EQ(runner.run(write_text(*far, "x", 1s)), Code::reset);
}

TEST(Transport, AResetInTheMiddleOfAWaitEndsIt) {
  LoopRunner runner;
  auto pair = tcp_pair();
  auto near = transport_over(pair.near);
  const auto far = transport_over(pair.far);
  std::string out;
  TaskGroup group;
  group.spawn(keep_all(*far, 64, out));
  EXPECT_FALSE(runner.run_until([&] { return group.size() == 0; }, 10ms));
  near->abort_on_close();
  near.reset();
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
  EXPECT_EQ(out, "!reset");
}

/// Both ends write `size` bytes and read what the other writes.
void exchange(test::SocketPair pair, std::size_t size) {
  LoopRunner runner;
  const auto near = transport_over(pair.near);
  const auto far = transport_over(pair.far);
  const std::string data = pattern(size);
  std::string near_got;
  std::string far_got;
  Code near_sent = Code::internal;
  Code far_sent = Code::internal;
  TaskGroup group;
  group.spawn(write_and_shut(*near, data, near_sent));
  group.spawn(write_and_shut(*far, data, far_sent));
  group.spawn(keep_all(*near, 64 * 1024, near_got));
  group.spawn(keep_all(*far, 1000, far_got));
  ASSERT_TRUE(runner.run_until([&] { return group.size() == 0; }, 30s));
  EXPECT_EQ(near_sent, Code::none);
  EXPECT_EQ(far_sent, Code::none);
  EXPECT_TRUE(near_got == data);
  EXPECT_TRUE(far_got == data);
}

TEST(Transport, TenMegabytesPassBothWaysAtOnce) { exchange(tcp_pair(), 10 * 1024 * 1024); }

TEST(Transport, WritesThatAreCutShortGoOnWhereTheyEnded) {
  auto pair = socket_pair();
  const int small = 4096;
  for (const int fd : {pair.near.get(), pair.far.get()})
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  exchange(std::move(pair), 1024 * 1024);
}

Task<Code> write_pieces(Transport& transport, const std::vector<std::string>& texts) {
  std::vector<iovec> pieces;
  for (const std::string& text : texts) pieces.push_back(piece_of(text));
  auto written = co_await write_all(transport, std::span<iovec>(pieces), 5s);
  co_return written ? Code::none : written.error().code();
}

Task<void> write_pieces_and_shut(Transport& transport, const std::vector<std::string>& texts) {
  auto code = co_await write_pieces(transport, texts);
  EXPECT_EQ(code, Code::none);
  auto shut = co_await shutdown(transport);
  ignore(shut, "the reader sees it");
}

TEST(Transport, ManyPiecesWithEmptyOnesAmongThemArriveInOrder) {
  LoopRunner runner;
  auto pair = socket_pair();
  const auto near = transport_over(pair.near);
  const auto far = transport_over(pair.far);
  std::vector<std::string> texts;
  for (int i = 0; i < 3000; ++i) texts.push_back(i % 3 == 0 ? "" : std::to_string(i) + ",");
  texts.push_back("");
  TaskGroup group;
  group.spawn(write_pieces_and_shut(*near, texts));
  EXPECT_EQ(runner.run(read_all(*far, 777)),
            std::accumulate(texts.begin(), texts.end(), std::string()));
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
}

TEST(Transport, AReaderThatDoesNotReadRunsIntoTheWriteDeadline) {
  LoopRunner runner;
  auto pair = socket_pair();
  const auto near = transport_over(pair.near);
  const std::string data = pattern(4 * 1024 * 1024);
  const TimePoint begin = Clock::now();
  EXPECT_EQ(runner.run(write_text(*near, data, 50ms)), Code::write_timeout);
  EXPECT_GE(Clock::now() - begin, 50ms);
}

Task<void> read_slowly(Transport& transport, std::size_t size, std::size_t& total) {
  std::vector<char> buffer(16 * 1024);
  MutableBytes into(buffer);
  while (total < size) {
    auto slept = co_await Sleep(10ms);
    if (slept != Code::none) co_return;
    // Enough at a time that the kernel tells the writer of the room.
    for (int i = 0; i < 16 && total < size; ++i) {
      auto got = co_await read_some(transport, into);
      if (!got || *got == 0) co_return;
      total += *got;
    }
  }
}

TEST(Transport, EachStepForwardRestartsTheWriteDeadline) {
  LoopRunner runner;
  auto pair = socket_pair();
  const auto near = transport_over(pair.near);
  const auto far = transport_over(pair.far);
  const std::string data = pattern(4 * 1024 * 1024);
  std::size_t total = 0;
  TaskGroup group;
  group.spawn(read_slowly(*far, data.size(), total));
  const TimePoint begin = Clock::now();
  EXPECT_EQ(runner.run(write_text(*near, data, 100ms)), Code::none);
  EXPECT_GT(Clock::now() - begin, 120ms);
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
  EXPECT_EQ(total, data.size());
}

Task<Code> wait_writable(Transport& transport) {
  auto code = co_await transport.readiness().wait(Want::write);
  co_return code;
}

TEST(Transport, TheWriteDeadlineEndsWithItsWrite) {
  LoopRunner runner;
  auto pair = socket_pair();
  const auto near = transport_over(pair.near);
  const auto far = transport_over(pair.far);
  const std::string data = pattern(1024 * 1024);
  std::size_t total = 0;
  TaskGroup group;
  group.spawn(read_slowly(*far, data.size(), total));
  EXPECT_EQ(runner.run(write_text(*near, data, 80ms)), Code::none);
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
  runner.run_until([] { return false; }, 120ms);
  EXPECT_EQ(runner.run(wait_writable(*near)), Code::none);
}

TEST(Transport, ASilentPeerRunsIntoTheReadDeadline) {
  LoopRunner runner;
  auto pair = socket_pair();
  const auto near = transport_over(pair.near);
  near->readiness().read_deadline(30ms, Code::body_timeout);
  EXPECT_EQ(runner.run(read_all(*near, 64)), "!body_timeout");
}

TEST(Transport, CancellingTheScopeEndsReaderAndWriterOfOneSocket) {
  LoopRunner runner;
  auto pair = socket_pair();
  const auto near = transport_over(pair.near);
  const std::string data = pattern(4 * 1024 * 1024);
  std::string read;
  Code written = Code::none;
  TaskGroup group;
  group.spawn(keep_all(*near, 64, read));
  group.spawn(write_and_shut(*near, data, written));
  EXPECT_FALSE(runner.run_until([&] { return group.size() == 0; }, 20ms));
  group.cancel(Code::client_gone);
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
  EXPECT_EQ(read, "!client_gone");
  EXPECT_EQ(written, Code::client_gone);
}

Task<void> count_bytes(Transport& transport, long& total) {
  std::vector<char> buffer(64 * 1024);
  MutableBytes into(buffer);
  for (;;) {
    auto got = co_await read_some(transport, into);
    if (!got || *got == 0) co_return;
    total += static_cast<long>(*got);
  }
}

Task<void> write_for_ever(Transport& transport, const std::string& data) {
  for (;;) {
    auto code = co_await write_text(transport, data, 5s);
    if (code != Code::none) co_return;
  }
}

Task<void> ping_pong(Transport& near, Transport& far, int rounds, int& done) {
  char buffer[8];
  MutableBytes into(buffer);
  for (; done < rounds; ++done) {
    auto code = co_await write_text(near, "ping", 1s);
    if (code != Code::none) co_return;
    auto got = co_await read_some(far, into);
    if (!got) co_return;
  }
}

TEST(Transport, ABusyStreamDoesNotStarveItsNeighbour) {
  // Within one thread the busy pair could go on for ever: what one writes the other may read at
  // once.
  LoopRunner runner;
  auto busy = socket_pair();
  auto quiet = socket_pair();
  const auto busy_near = transport_over(busy.near);
  const auto busy_far = transport_over(busy.far);
  const auto quiet_near = transport_over(quiet.near);
  const auto quiet_far = transport_over(quiet.far);
  const std::string data = pattern(256 * 1024);
  long total = 0;
  int done = 0;
  TaskGroup group;
  group.spawn(count_bytes(*busy_far, total));
  group.spawn(write_for_ever(*busy_near, data));
  group.spawn(ping_pong(*quiet_near, *quiet_far, 100, done));
  EXPECT_TRUE(runner.run_until([&] { return done == 100; }));
  // A round trip waits for a few turns of its neighbours, each bounded by the budget.
  EXPECT_LT(total, 100 * 16 * static_cast<long>(limits::kTurnBytes));
  group.cancel(Code::shutdown);
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
}

Task<void> read_and_count(Transport& transport, int& reads) {
  char one[1];
  MutableBytes into(one);
  for (;;) {
    auto got = co_await read_some(transport, into);
    if (!got || *got == 0) co_return;
    ++reads;
  }
}

TEST(Transport, AReaderWithEndlessInputGivesWayAfterItsBudget) {
  LoopRunner runner;
  auto pair = socket_pair();
  const auto near = transport_over(pair.near);
  send_text(pair.far.get(), std::string(10000, 'x'));
  int reads = 0;
  TaskGroup group;
  group.spawn(read_and_count(*near, reads));
  near->readiness().notify(true, false, false);
  ASSERT_EQ(reads, 0);
  // One coroutine's turn, taken by hand.
  while (reads == 0) ReadyQueue::current().run(1);
  EXPECT_GT(reads, 1);
  EXPECT_LE(reads, static_cast<int>(limits::kTurnCompletions) + 1);
  pair.far.reset();
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
  EXPECT_EQ(reads, 10000);
}

}  // namespace
}  // namespace revproxyd::net

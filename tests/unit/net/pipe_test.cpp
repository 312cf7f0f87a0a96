#include "revproxyd/net/pipe.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <vector>

#include <gtest/gtest.h>

#include "revproxyd/net/transport.h"
#include "tests/support/loop_runner.h"
#include "tests/unit/net/sockets.h"

namespace revproxyd::net {
namespace {

using test::send_text;
using test::socket_pair;

TEST(Pipe, CarriesBytesFromSocketToSocket) {
  revproxyd::test::LoopRunner runner;
  auto from = socket_pair();
  auto to = socket_pair();
  auto source = *make_socket_transport(from.near.release());
  auto sink = *make_socket_transport(to.near.release());
  send_text(from.far.get(), "some bytes");
  ASSERT_TRUE(runner.run_until([&] { return source->readiness().readable; }));
  auto pipe = Pipe::take();
  ASSERT_TRUE(pipe);
  const IoResult read = source->try_read_into(*pipe, 4);
  EXPECT_EQ(read.status, IoStatus::done);
  EXPECT_EQ(read.bytes, 4U);
  EXPECT_EQ(pipe->size(), 4U);
  const IoResult written = sink->try_write_from(*pipe);
  EXPECT_EQ(written.status, IoStatus::done);
  EXPECT_EQ(pipe->size(), 0U);
  char heard[16] = {};
  EXPECT_EQ(::recv(to.far.get(), heard, sizeof heard, 0), 4);
  EXPECT_EQ(std::string_view(heard, 4), "some");
  EXPECT_EQ(source->try_read_into(*pipe, 100).bytes, 6U);
}

TEST(Pipe, AnEmptySocketIsWaitedForAndAnEndIsToldOf) {
  revproxyd::test::LoopRunner runner;
  auto from = socket_pair();
  auto source = *make_socket_transport(from.near.release());
  source->readiness().readable = true;
  auto pipe = Pipe::take();
  ASSERT_TRUE(pipe);
  EXPECT_EQ(source->try_read_into(*pipe, 100).status, IoStatus::want_read);
  EXPECT_FALSE(source->readiness().readable);
  from.far.reset();
  ASSERT_TRUE(runner.run_until([&] { return source->readiness().hangup; }));
  EXPECT_EQ(source->try_read_into(*pipe, 100).status, IoStatus::end);
}

TEST(Pipe, AFullSocketIsWaitedForAndNothingIsLost) {
  revproxyd::test::LoopRunner runner;
  auto from = socket_pair();
  auto to = socket_pair();
  auto source = *make_socket_transport(from.near.release());
  auto sink = *make_socket_transport(to.near.release());
  const std::string text(2'000'000, 'x');
  std::size_t sent = 0;
  std::size_t heard = 0;
  std::vector<char> room(50'000);
  auto pipe = Pipe::take();
  ASSERT_TRUE(pipe);
  bool waited = false;
  for (int rounds = 0; heard < text.size() && rounds < 100'000; ++rounds) {
    const std::size_t rest = text.size() - sent;
    const ssize_t now = ::send(from.far.get(), text.data(), rest, MSG_DONTWAIT);
    if (now > 0) sent += static_cast<std::size_t>(now);
    runner.loop().run_for(Duration(0));
    if (pipe->size() == 0) source->try_read_into(*pipe, text.size());
    if (pipe->size() != 0) waited |= sink->try_write_from(*pipe).status == IoStatus::want_write;
    if (rounds % 8 != 7) continue;
    const ssize_t got = ::recv(to.far.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (got > 0) heard += static_cast<std::size_t>(got);
  }
  EXPECT_TRUE(waited);
  EXPECT_EQ(heard, text.size());
}

TEST(Pipe, AThreadHasSoManyAndUsesThemAgain) {
  std::vector<Pipe> taken;
  for (std::size_t i = 0; i < Pipe::kMost; ++i) {
    auto pipe = Pipe::take();
    if (!pipe) break;
    taken.push_back(std::move(*pipe));
  }
  EXPECT_EQ(taken.size(), Pipe::kMost);
  EXPECT_FALSE(Pipe::take());
  const int known = taken.back().exit();
  taken.pop_back();
  const auto again = Pipe::take();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->exit(), known);
}

TEST(Pipe, TheFirstOfAThreadAreLargeAndNoneIsSmall) {
  std::vector<Pipe> pipes;
  for (std::size_t i = 0; i < Pipe::kLarge + 8; ++i) {
    auto pipe = Pipe::take();
    ASSERT_TRUE(pipe);
    pipes.push_back(std::move(*pipe));
  }
  const auto size = [](const Pipe& pipe) {
    return static_cast<std::size_t>(::fcntl(pipe.entrance(), F_GETPIPE_SZ));
  };
  EXPECT_EQ(size(pipes.back()), Pipe::kSmall);
  for (const Pipe& pipe : pipes) EXPECT_GE(size(pipe), Pipe::kSmall);
}

}  // namespace
}  // namespace revproxyd::net

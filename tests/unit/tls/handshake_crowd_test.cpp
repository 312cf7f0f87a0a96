#include <sys/ioctl.h>

#include <algorithm>
#include <memory>
#include <utility>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "revproxyd/base/ready_queue.h"
#include "revproxyd/tls/handshake.h"
#include "tls/client_context.h"
#include "tls/server_context.h"
#include "tls_fixture.h"

namespace revproxyd::tls {
namespace {

using namespace test;
using namespace std::chrono_literals;

constexpr std::size_t kCrowd = 40;

std::size_t begun = 0;
std::size_t begun_before_last = 0;

class HandshakeCrowd : public TlsTest {
 protected:
  HandshakeCrowd() { begun = begun_before_last = 0; }
  // Tests let time pass that has not.
  ~HandshakeCrowd() override { TimerWheel::current() = TimerWheel(); }

  /// Others have done what the turn has of such steps.
  static void use_turn_up() {
    while (ReadyQueue::current().spend_costly()) {
    }
  }
};

/// Told of every message; counts the ClientHellos that are sent or taken.
constexpr auto kNoteBegin = [](int, int, int type, const void* message, std::size_t size,
                               auto*... /*unused*/) {
  if (type == SSL3_RT_HANDSHAKE && size != 0 &&
      *static_cast<const char*>(message) == SSL3_MT_CLIENT_HELLO)
    ++begun;
};

/// Notes how many there were.
constexpr auto kNoteLast = [](int, int, int, const void*, std::size_t, auto*... /*unused*/) {
  begun_before_last = begun;
};

void send_hello(int fd, const ClientContext& context) {
  const SslPtr ssl(SSL_new(context.state().context.get()));
  SSL_set_fd(ssl.get(), fd);
  SSL_connect(ssl.get());  // has nobody to hear from yet
}

bool anything_came(int fd) {
  int bytes = 0;
  return ::ioctl(fd, FIONREAD, &bytes) == 0 && bytes != 0;
}

Task<void> go(std::unique_ptr<net::Transport> plain, const ClientContext& context, Code& code,
              Duration limit = 10s) {
  auto done = co_await connect(std::move(plain), context, "a.test", limit);
  code = done ? Code::none : done.error().code();
}

Task<void> serve(std::unique_ptr<net::Transport> plain, const ServerContext& context,
                 std::size_t& served) {
  auto done = co_await accept(std::move(plain), context, 10s);
  if (done) ++served;
}

/// The most handshakes that began between one end of a turn and the next.
Task<void> watch_turns(const std::size_t& served, std::size_t& most) {
  while (served < kCrowd) {
    const std::size_t before = begun;
    auto code = co_await NextTurn();
    if (code != Code::none) co_return;
    most = std::max(most, begun - before);
  }
}

TEST_F(HandshakeCrowd, EverybodyElseIsServedBetweenAFewOfIt) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const auto upstream = trusting(ca_);
  SSL_CTX_set_msg_callback(upstream->state().context.get(), kNoteBegin);
  std::size_t served = 0;
  std::size_t most = 0;
  std::vector<Code> codes(kCrowd, Code::internal);
  TaskGroup group;
  for (Code& code : codes) {
    const Sockets sockets = connected();
    group.spawn(serve(transport_of(sockets.second), *listener, served));
    group.spawn(go(transport_of(sockets.first), *upstream, code));
  }
  EXPECT_LE(begun, limits::kTurnCostly);
  group.spawn(watch_turns(served, most));
  run_until([&] { return group.size() == 0; });
  EXPECT_EQ(served, kCrowd);
  EXPECT_EQ(std::count(codes.begin(), codes.end(), Code::none), kCrowd);
  EXPECT_EQ(begun, kCrowd);
  EXPECT_LE(most, limits::kTurnCostly);
}

TEST_F(HandshakeCrowd, AServersStepsGoBeforeThoseOfClients) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const auto upstream = trusting(ca_);
  SSL_CTX_set_msg_callback(listener->state().context.get(), kNoteBegin);
  std::vector<std::unique_ptr<net::Transport>> crowd;
  TaskGroup group;
  std::size_t served = 0;
  for (std::size_t i = 0; i < kCrowd; ++i) {
    const Sockets sockets = connected();
    send_hello(sockets.first, *upstream);
    crowd.push_back(transport_of(sockets.first));
    group.spawn(serve(transport_of(sockets.second), *listener, served));
  }
  // All are in the queue when the first steps have been taken.
  run_until([] { return begun != 0; });
  const std::size_t begun_before = begun;
  ASSERT_LE(begun_before, limits::kTurnCostly);
  SSL_CTX_set_msg_callback(upstream->state().context.get(), kNoteLast);
  const Sockets sockets = connected();
  Code code = Code::none;
  group.spawn(go(transport_of(sockets.first), *upstream, code));
  run_until([&] { return anything_came(sockets.second); });
  EXPECT_LE(begun_before_last - begun_before, limits::kTurnCostly) << "of " << kCrowd;
  group.cancel(Code::cancelled);
  run_until([&] { return group.size() == 0; });
  ::close(sockets.second);
}

TEST_F(HandshakeCrowd, WhatItWaitsBehindOthersIsNotTheServersTime) {
  const auto upstream = trusting(ca_);
  use_turn_up();
  const Sockets sockets = connected();
  Code code = Code::none;
  TaskGroup group;
  TimerWheel& wheel = TimerWheel::current();
  wheel.advance(Clock::now());
  const TimePoint begin = wheel.now();
  group.spawn(go(transport_of(sockets.first), *upstream, code, 100s));
  wheel.advance(begin + 70s);
  run_until([&] { return anything_came(sockets.second); });
  wheel.advance(begin + 140s);
  loop_.run_for(0ms);
  EXPECT_EQ(group.size(), 1U) << "it has had 70 s";
  wheel.advance(begin + 175s);
  run_until([&] { return group.size() == 0; });
  EXPECT_EQ(code, Code::handshake_timeout);
  ::close(sockets.second);
}

TEST_F(HandshakeCrowd, OneWhoseTimeIsOverDoesNoWork) {
  const auto upstream = trusting(ca_);
  SSL_CTX_set_msg_callback(upstream->state().context.get(), kNoteBegin);
  // The time passes before the next turn.
  use_turn_up();
  const Sockets sockets = connected();
  Code code = Code::none;
  TaskGroup group;
  group.spawn(go(transport_of(sockets.first), *upstream, code, 20ms));
  TimerWheel::current().advance(Clock::now() + 1s);
  run_until([&] { return group.size() == 0; });
  EXPECT_EQ(code, Code::queue_timeout) << "the server has not been asked";
  EXPECT_EQ(begun, 0U);
  ::close(sockets.second);
}

}  // namespace
}  // namespace revproxyd::tls

#include <algorithm>
#include <memory>
#include <utility>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "revproxyd/base/ready_queue.h"
#include "revproxyd/tls/handshake.h"
#include "tls/client_context.h"
#include "tls_fixture.h"

namespace revproxyd::tls {
namespace {

using namespace test;
using HandshakeCrowd = TlsTest;
using namespace std::chrono_literals;

constexpr std::size_t kCrowd = 40;

std::size_t begun = 0;

/// Told of every message; counts the ClientHellos that are sent.
constexpr auto kNoteBegin = [](int sent, int, int type, const void* message, std::size_t size,
                               auto*... /*unused*/) {
  if (sent == 1 && type == SSL3_RT_HANDSHAKE && size != 0 &&
      *static_cast<const char*>(message) == SSL3_MT_CLIENT_HELLO)
    ++begun;
};

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
  begun = 0;
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

TEST_F(HandshakeCrowd, OneWhoseTimeIsOverDoesNoWork) {
  const auto upstream = trusting(ca_);
  SSL_CTX_set_msg_callback(upstream->state().context.get(), kNoteBegin);
  begun = 0;
  // Others have the turn, and the time passes before the next.
  while (ReadyQueue::current().spend_costly()) {
  }
  const Sockets sockets = connected();
  Code code = Code::none;
  TaskGroup group;
  group.spawn(go(transport_of(sockets.first), *upstream, code, 20ms));
  TimerWheel::current().advance(Clock::now() + 1s);
  run_until([&] { return group.size() == 0; });
  EXPECT_EQ(code, Code::handshake_timeout);
  EXPECT_EQ(begun, 0U);
  ::close(sockets.second);
}

}  // namespace
}  // namespace revproxyd::tls

// Idle connections of a pool, against a server on loopback.

#include "revproxyd/upstream/pool.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tests/support/loop_runner.h"
#include "tests/unit/proxy/loop_origin.h"

namespace revproxyd::upstream {
namespace {

using std::chrono::seconds;
using Streams = std::vector<std::unique_ptr<http::ClientStream>>;

class UpstreamPool : public ::testing::Test, private PoolListener {
 protected:
  UpstreamPool() : origin_(runner_), endpoint_(std::make_shared<Endpoint>("test", server())) {
    origin_.answer_with("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    endpoint_->set_addresses(std::make_shared<const AddressList>(AddressList{origin_.address()}));
    // The wheel may be ahead of the clock; the test moves it.
    TimerWheel::current() = TimerWheel();
  }
  ~UpstreamPool() override {
    pool_.reset();
    TimerWheel::current() = TimerWheel();
  }

  void open(std::uint32_t max_idle, Duration idle = seconds(60)) {
    settings_.keepalive.max_idle = max_idle;
    settings_.keepalive.idle = idle;
    pool_ = std::make_unique<Pool>(endpoint_, settings_, nullptr, listener());
  }
  PoolListener& listener() noexcept { return *this; }

  Streams connect(std::size_t count) {
    Streams streams;
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_TRUE(endpoint_->try_acquire_connection());
      auto made = runner_.run(pool_->connect(Origin()));
      if (!made) {
        ADD_FAILURE() << name(made.error().code());
        return streams;
      }
      streams.push_back(std::move(*made));
    }
    return streams;
  }
  /// A whole exchange on each; then the connections are idle.
  void use(Streams streams) {
    for (auto& stream : streams) {
      auto exchanged = runner_.run(exchange(*stream));
      EXPECT_TRUE(exchanged);
      stream.reset();
    }
  }
  void use_again(std::unique_ptr<http::ClientStream> stream) {
    Streams one;
    one.push_back(std::move(stream));
    use(std::move(one));
  }
  static Task<Result<void>> exchange(http::ClientStream& stream) {
    Arena arena;
    http::RequestHead head(arena);
    head.method_text = "GET";
    stream.stage_head(head, "/", "a");
    auto sent = co_await stream.send_body(http::Piece(Bytes(), true));
    if (!sent) co_return sent.error();
    auto got = co_await stream.read_head(arena);
    if (!got) co_return got.error();
    auto piece = co_await stream.body().read();
    if (!piece) co_return piece.error();
    co_return {};
  }

  void pass(Duration time) {
    TimerWheel::current().advance(TimerWheel::current().now() + time + 2 * TimerWheel::kTick);
  }
  /// The server has heard that so many connections are closed.
  bool server_sees(std::size_t gone) {
    return runner_.run_until([&] { return left() == gone; });
  }
  std::size_t left() const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < origin_.connections(); ++i) count += origin_.left(i) ? 1U : 0U;
    return count;
  }
  /// How many idle connections can be had at once.
  std::size_t kept() {
    Streams streams;
    while (auto stream = pool_->reuse(Reuse(), Origin())) streams.push_back(std::move(stream));
    return streams.size();
  }

  test::LoopRunner runner_;
  proxy::testing::LoopOrigin origin_;
  std::shared_ptr<Endpoint> endpoint_;
  UpstreamSettings settings_;
  std::unique_ptr<Pool> pool_;

 private:
  ServerSettings server() const { return origin_.server(); }
  bool on_idle() noexcept override { return false; }
  void on_place_free() noexcept override {}
  void on_room() noexcept override {}
  bool anyone_waits() const noexcept override { return false; }
  bool wanted_elsewhere() const noexcept override { return false; }
};

TEST_F(UpstreamPool, KeepsMoreThanMaxIdleForAMoment) {
  open(1);
  use(connect(3));
  EXPECT_EQ(kept(), 3U);
}

TEST_F(UpstreamPool, ClosesWhatIsTooManyAfterAMoment) {
  open(1);
  use(connect(3));
  pass(limits::kSurplusIdle);
  EXPECT_TRUE(server_sees(2));
  EXPECT_EQ(kept(), 1U);
}

TEST_F(UpstreamPool, ClosesTheOnesThatWereIdleForLongest) {
  open(1);
  use(connect(3));
  pass(limits::kSurplusIdle);
  EXPECT_TRUE(server_sees(2));
  EXPECT_TRUE(origin_.left(0) && origin_.left(1));
  EXPECT_FALSE(origin_.left(2));
}

TEST_F(UpstreamPool, KeepsMaxIdleUntilTheyAreIdleForTooLong) {
  open(2, seconds(20));
  use(connect(2));
  pass(seconds(19));
  EXPECT_EQ(endpoint_->open_connections(), 2U);
  pass(seconds(1));
  EXPECT_TRUE(server_sees(2));
  EXPECT_EQ(kept(), 0U);
}

TEST_F(UpstreamPool, KeepsWhatIsUsedWithinTheMoment) {
  open(1);
  use(connect(2));
  Streams busy;
  busy.push_back(pool_->reuse(Reuse(), Origin()));
  ASSERT_NE(busy.front(), nullptr);
  pass(limits::kSurplusIdle);
  EXPECT_EQ(endpoint_->open_connections(), 2U) << "one is idle and one in use";
  use(std::move(busy));
  EXPECT_EQ(kept(), 2U);
}

TEST_F(UpstreamPool, AShortIdleTimeHoldsForWhatIsTooManyToo) {
  open(1, std::chrono::milliseconds(200));
  use(connect(2));
  pass(std::chrono::milliseconds(200));
  EXPECT_TRUE(server_sees(2));
}

TEST_F(UpstreamPool, KeepsNothingWithoutIdleConnections) {
  open(0);
  use(connect(2));
  EXPECT_EQ(kept(), 0U);
  EXPECT_TRUE(server_sees(2));
}

TEST_F(UpstreamPool, GivesTheConnectionThatWasUsedLast) {
  open(4);
  use(connect(2));
  use_again(pool_->reuse(Reuse(), Origin()));
  EXPECT_EQ(origin_.received(0).find("GET"), origin_.received(0).rfind("GET"));
  EXPECT_NE(origin_.received(1).find("GET"), origin_.received(1).rfind("GET"));
}

TEST_F(UpstreamPool, GivesFreshOnesOnlyWhileTheyAreFresh) {
  open(4);
  use(connect(1));
  use_again(pool_->reuse({.recent = true}, Origin()));
  pass(limits::kFreshIdle);
  EXPECT_EQ(pool_->reuse({.recent = true}, Origin()), nullptr);
  EXPECT_EQ(kept(), 1U);
}

TEST_F(UpstreamPool, GivesNewOnesToWhoHasLostAnother) {
  open(4);
  const TimePoint before = loop_now();
  use(connect(1));
  EXPECT_EQ(pool_->reuse({.made_since = loop_now() + Duration(1)}, Origin()), nullptr);
  auto stream = pool_->reuse({.made_since = before}, Origin());
  ASSERT_NE(stream, nullptr);
  use_again(std::move(stream));
}

TEST_F(UpstreamPool, GivesNoConnectionToAnAddressThatTheNameHasLeft) {
  open(2);
  use(connect(2));
  const auto elsewhere = *net::Address::ip("127.0.0.99", 1);
  endpoint_->set_addresses(std::make_shared<const AddressList>(AddressList{elsewhere}));
  EXPECT_EQ(kept(), 0U);
  EXPECT_TRUE(server_sees(2));
}

TEST_F(UpstreamPool, KeepsConnectionsToAddressesThatTheNameStillHas) {
  open(2);
  use(connect(2));
  const auto elsewhere = *net::Address::ip("127.0.0.99", 1);
  endpoint_->set_addresses(
      std::make_shared<const AddressList>(AddressList{elsewhere, origin_.address()}));
  EXPECT_EQ(kept(), 2U);
}

TEST_F(UpstreamPool, ShedsTheOneThatWasIdleForLongest) {
  open(4);
  use(connect(2));
  EXPECT_TRUE(pool_->shed_idle());
  EXPECT_TRUE(server_sees(1));
  EXPECT_TRUE(origin_.left(0));
  EXPECT_TRUE(pool_->shed_idle());
  EXPECT_FALSE(pool_->shed_idle());
}

}  // namespace
}  // namespace revproxyd::upstream

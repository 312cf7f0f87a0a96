#include "revproxyd/pipeline/exchange.h"

#include <string>

#include <gtest/gtest.h>

#include "revproxyd/base/event.h"
#include "tests/support/fake_connection.h"
#include "tests/support/hand_runner.h"
#include "tests/unit/pipeline/pipeline_fixture.h"

namespace revproxyd::pipeline {
namespace {

using testing::Subrequest;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kWithId = "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: given-1\r\n\r\n";

constexpr Standing kTrusted{.trusted = true};

// Something that takes until an event to end.
class SlowEnd final : public Running {
 public:
  SlowEnd(Event& event, std::string& notes) : event_(event), notes_(notes) {}
  ~SlowEnd() override { notes_ += "gone;"; }
  bool ended() const noexcept override { return false; }
  Task<void> finish() override {
    notes_ += "asked;";
    auto code = co_await event_.wait();
    static_cast<void>(code);
    notes_ += "ended;";
  }

 private:
  Event& event_;
  std::string& notes_;
};

TEST(Exchange, MakesAnIdOf32HexadecimalDigitsOnce) {
  Subrequest request(kGet);
  const std::string id(request.exchange().id());
  EXPECT_EQ(id.size(), 32U);
  EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(request.exchange().id(), id);
}

TEST(Exchange, TwoExchangesHaveDifferentIds) {
  Subrequest one(kGet);
  Subrequest other(kGet);
  EXPECT_NE(one.exchange().id(), other.exchange().id());
}

TEST(Exchange, KeepsTheIdThatATrustedPeerGives) {
  Subrequest request(kWithId, kTrusted);
  EXPECT_EQ(request.exchange().id(), "given-1");
}

TEST(Exchange, ReplacesTheIdThatAnybodyElseGives) {
  Subrequest request(kWithId);
  EXPECT_NE(request.exchange().id(), "given-1");
}

TEST(Exchange, ReplacesAnIdThatIsTooLongOrHoldsBlanksEvenFromATrustedPeer) {
  Subrequest longest(
      "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: " + std::string(128, 'x') + "\r\n\r\n", kTrusted);
  EXPECT_EQ(longest.exchange().id().size(), 128U);
  Subrequest longer(
      "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: " + std::string(129, 'x') + "\r\n\r\n", kTrusted);
  EXPECT_EQ(longer.exchange().id().size(), 32U);
  Subrequest blank("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: a b\r\n\r\n", kTrusted);
  EXPECT_EQ(blank.exchange().id().size(), 32U);
}

TEST(Exchange, TakesRequestAndRefusalFromItsStream) {
  test::HandRunner runner;
  const auto told = std::make_shared<test::Told>();
  test::FakeStream stream(told, "GET / HTTP/1.1\r\n\r\n", runner.scope());
  const Client client;
  const proxy::Snapshot snapshot;
  Exchange exchange(stream, client, snapshot);
  EXPECT_EQ(exchange.refusal().code(), Code::malformed_request);
  EXPECT_EQ(exchange.stream(), &stream);
}

TEST(Exchange, PassesInterimHeadsToItsStreamAndDropsThemWithoutOne) {
  test::HandRunner runner;
  const auto told = std::make_shared<test::Told>();
  test::FakeStream stream(told, kGet, runner.scope());
  const Client client;
  const proxy::Snapshot snapshot;
  Exchange exchange(stream, client, snapshot);
  http::ResponseHead head(exchange.arena());
  head.status = 103;
  EXPECT_TRUE(runner.run(exchange.interim(head)));
  EXPECT_EQ(told->interim, std::vector<std::uint16_t>{103});
  Subrequest alone(kGet);
  EXPECT_TRUE(runner.run(alone.exchange().interim(head)));
}

TEST(Exchange, FinishWaitsForWhatStillRunsAndThenDestroysIt) {
  test::HandRunner runner;
  Subrequest request(kGet);
  Event event;
  std::string notes;
  request.exchange().keep(std::make_unique<SlowEnd>(event, notes));
  runner.spawn(request.exchange().finish());
  EXPECT_EQ(notes, "asked;");
  EXPECT_EQ(runner.running(), 1U);
  event.set();
  runner.settle();
  EXPECT_EQ(runner.running(), 0U);
  EXPECT_EQ(notes, "asked;ended;gone;");
  EXPECT_EQ(request.exchange().running(), nullptr);
}

TEST(Exchange, FinishWithNothingRunningEndsAtOnce) {
  test::HandRunner runner;
  Subrequest request(kGet);
  runner.spawn(request.exchange().finish());
  EXPECT_EQ(runner.running(), 0U);
}

}  // namespace
}  // namespace revproxyd::pipeline

// The life of a request over connections in memory: an HTTP/1 client, and a connection that yields
// streams at once.

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "revproxyd/proxy/serve.h"
#include "tests/support/fake_connection.h"
#include "tests/support/hand_runner.h"
#include "tests/unit/proxy/spine_fixture.h"

namespace revproxyd::proxy {
namespace {

using std::chrono::seconds;
using testing::answers_in;
using testing::plan_of;
using testing::respond_route;
using testing::Spine;

constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

PlanSettings small_plan(std::string body = "answer a") {
  PlanSettings settings = plan_of(
      {respond_route("a", {"/a"}, std::move(body)), respond_route("b", {"/b"}, "answer b")});
  settings.headers.response.set = {{"X-Frame-Options", "DENY"}};
  for (RouteSettings& route : settings.routes) route.headers = settings.headers;
  return settings;
}

class SpineOverHttp1 : public ::testing::Test {
 protected:
  void TearDown() override { runner_.stop(); }
  /// The client sends `bytes` and ends its side once all is answered.
  std::vector<testing::Answer> ask(std::string_view bytes) {
    peer_.send(bytes);
    runner_.spawn(spine_.serve(peer_));
    return answers_in(peer_.received());
  }

  test::HandRunner runner_;
  test::MemoryPeer peer_;
  Spine spine_{small_plan()};
};

TEST_F(SpineOverHttp1, ARequestIsRoutedAnsweredCountedAndLogged) {
  const auto answers = ask(kGet);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].status, 200);
  EXPECT_EQ(answers[0].body, "answer a");
  EXPECT_EQ(spine_.counts().requests.value(), 1U);
  EXPECT_EQ(spine_.counts().responses[2].value(), 1U);
  EXPECT_EQ(spine_.counts().requests_active.value(), 0U);
  EXPECT_EQ(spine_.counts().bytes_out.value(), peer_.received().size());
  const std::string log = spine_.log();
  EXPECT_NE(log.find("\"route\":\"a\""), std::string::npos) << log;
  EXPECT_NE(log.find("\"status\":200"), std::string::npos) << log;
  EXPECT_NE(log.find("\"client\":\"192.0.2.1\""), std::string::npos) << log;
}

TEST_F(SpineOverHttp1, AnAnswerThatIsAtHandIsOneWrite) {
  ask(kGet);
  EXPECT_EQ(peer_.writes(), 1U);
}

TEST_F(SpineOverHttp1, ARefusedHeadGetsAnAnswerALogLineAndACounter) {
  const auto answers = ask("GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n");
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].status, 400);
  EXPECT_NE(answers[0].head.find("Connection: close\r\n"), std::string::npos);
  EXPECT_NE(answers[0].head.find("Proxy-Status: revproxyd; error=http_request_error"),
            std::string::npos);
  EXPECT_EQ(spine_.counts().requests.value(), 1U);
  EXPECT_EQ(spine_.counts().responses[4].value(), 1U);
  EXPECT_EQ(spine_.answers_with(Code::malformed_request), 1U);
  const std::string log = spine_.log();
  EXPECT_NE(log.find("\"why\":\"malformed_request\""), std::string::npos) << log;
  EXPECT_NE(log.find("\"method\":\"GET\""), std::string::npos) << log;
  EXPECT_NE(log.find("\"path\":\"/a\""), std::string::npos) << log;
  EXPECT_TRUE(peer_.saw_end());
}

struct Refusal {
  const char* head;
  std::uint16_t status;
  Code why;
};

TEST(SpineRefusals, EachKindOfRefusalHasItsStatusAndItsReason) {
  const std::string long_line = "GET /" + std::string(9000, 'x') + " HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string long_field =
      "GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(40'000, 'x') + "\r\n\r\n";
  std::string many_fields = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 101; ++i) many_fields += "X: 1\r\n";
  many_fields += "\r\n";
  const Refusal cases[] = {
      {"GET / HTTP/1.1\r\n\r\n", 400, Code::malformed_request},
      {"GET / HTTP/1.1\r\nHost: x\r\nX : 1\r\n\r\n", 400, Code::malformed_request},
      {"GET /.. HTTP/1.1\r\nHost: x\r\n\r\n", 400, Code::malformed_request},
      {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, Code::unsupported_version},
      {"GET / HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n", 417, Code::expectation_failed},
      {"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", 405, Code::method_refused},
      {"TRACE /a HTTP/1.1\r\nHost: x\r\n\r\n", 405, Code::method_refused},
      {"GET /none HTTP/1.1\r\nHost: x\r\n\r\n", 404, Code::no_route},
      {"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 104857601\r\n\r\n", 413,
       Code::body_too_large},
      {long_line.c_str(), 414, Code::request_line_too_long},
      {long_field.c_str(), 431, Code::header_too_large},
      {many_fields.c_str(), 431, Code::too_many_fields},
  };
  for (const Refusal& one : cases) {
    test::HandRunner runner;
    test::MemoryPeer peer;
    Spine spine(small_plan());
    peer.send(one.head);
    runner.spawn(spine.serve(peer));
    const auto answers = answers_in(peer.received());
    ASSERT_EQ(answers.size(), 1U) << one.head;
    EXPECT_EQ(answers[0].status, one.status) << one.head;
    EXPECT_EQ(spine.answers_with(one.why), 1U) << one.head;
    EXPECT_NE(spine.log().find("\"why\":\"" + std::string(name(one.why)) + "\""), std::string::npos)
        << spine.log();
    // The proxy's own answers pass the global filters.
    EXPECT_NE(answers[0].head.find("X-Frame-Options: DENY\r\n"), std::string::npos) << one.head;
    runner.stop();
  }
}

TEST_F(SpineOverHttp1, PipelinedRequestsAreAnsweredInTheirOrder) {
  const auto answers =
      ask("GET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b "
          "HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[0].body, "answer b");
  EXPECT_EQ(answers[1].body, "answer a");
  EXPECT_EQ(answers[2].body, "answer b");
  EXPECT_EQ(spine_.counts().requests.value(), 3U);
}

TEST_F(SpineOverHttp1, AClientThatPipelinesWithoutEndGivesOthersTheirTurn) {
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += kGet;
  peer_.discard_received();
  peer_.send(many);
  runner_.launch(spine_.serve(peer_));
  std::uint64_t before = 0;
  do {
    const std::uint64_t served = spine_.counts().requests.value();
    ASSERT_LE(served - before, 2 * limits::kTurnCompletions) << "requests of one turn";
    before = served;
  } while (runner_.step(1) || spine_.counts().requests.value() != before);
  EXPECT_EQ(spine_.counts().requests.value(), 10'000U) << "requests_per_connection";
}

TEST_F(SpineOverHttp1, ABodyThatTheRouteDoesNotWantIsReadAndDropped) {
  const auto answers =
      ask("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: "
          "x\r\n\r\n");
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[1].body, "answer b");
}

TEST_F(SpineOverHttp1, HeadGetsTheHeadAlone) {
  const auto answers = ask("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(peer_.received().find("Content-Length: 8\r\n"), std::string::npos);
  EXPECT_TRUE(peer_.received().ends_with("\r\n\r\n"));
}

TEST_F(SpineOverHttp1, AClientThatLeavesBeforeItsAnswerIsLoggedAs499ClientGone) {
  peer_.send(kGet);
  peer_.end();
  runner_.spawn(spine_.serve(peer_));
  EXPECT_EQ(runner_.running(), 0U);
  EXPECT_EQ(peer_.received(), "");
  const std::string log = spine_.log();
  EXPECT_NE(log.find("\"status\":499"), std::string::npos) << log;
  EXPECT_NE(log.find("\"why\":\"client_gone\""), std::string::npos) << log;
  EXPECT_EQ(spine_.counts().responses[0].value(), 1U);
}

TEST_F(SpineOverHttp1, AClientThatLeavesWithinItsAnswerIsLoggedWithItsStatusAndClientGone) {
  peer_.take_only(20);
  peer_.send(kGet);
  runner_.spawn(spine_.serve(peer_));
  peer_.end();
  runner_.settle();
  EXPECT_EQ(runner_.running(), 0U);
  const std::string log = spine_.log();
  EXPECT_NE(log.find("\"status\":200"), std::string::npos) << log;
  EXPECT_NE(log.find("\"why\":\"client_gone\""), std::string::npos) << log;
}

TEST_F(SpineOverHttp1, MemoryThatIsShortRefusesNewWork) {
  const std::atomic<bool> shedding = true;
  spine_.runtime().shedding = &shedding;
  const auto answers = ask(kGet);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].status, 503);
  EXPECT_EQ(spine_.answers_with(Code::memory_limit), 1U);
}

TEST_F(SpineOverHttp1, ADrainingWorkerEndsIdleConnectionsAndNamesTheEndToBusyOnes) {
  ask(kGet);
  EXPECT_EQ(runner_.running(), 1U);
  spine_.runtime().draining = true;
  spine_.runtime().connections->drain_all();
  runner_.settle();
  EXPECT_EQ(runner_.running(), 0U);
  EXPECT_EQ(spine_.runtime().connections->size(), 0U);
}

TEST_F(SpineOverHttp1, AListenerThatRedirectsAsksNoRoute) {
  PlanSettings settings = small_plan();
  settings.listeners.emplace_back().redirect_https = true;
  spine_.install(std::move(settings));
  const auto answers = ask("GET /none?q HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].status, 308);
  EXPECT_NE(answers[0].head.find("Location: https://x/none?q\r\n"), std::string::npos)
      << answers[0].head;
}

// Clients look for none but that at the usual port by themselves; without it the first has to do.
TEST_F(SpineOverHttp1, ARedirectPrefersTheListenerAtTheUsualPort) {
  const auto location_with = [this](const std::vector<std::uint16_t>& ports) {
    PlanSettings settings = small_plan();
    settings.listeners.emplace_back().redirect_https = true;
    for (const std::uint16_t port : ports) {
      ListenerSettings& secure = settings.listeners.emplace_back();
      secure.tls.emplace();
      secure.address.text = ":" + std::to_string(port);
      secure.address.port = port;
    }
    spine_.install(std::move(settings));
    const auto answers = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string head = answers.empty() ? "" : answers.back().head;
    const std::size_t at = head.find("Location: ");
    return at == std::string::npos ? head : head.substr(at + 10, head.find('\r', at) - at - 10);
  };
  EXPECT_EQ(location_with({8443, 443}), "https://x/");
  EXPECT_EQ(location_with({8443, 9443}), "https://x:8443/");
}

class SpineOverStreams : public ::testing::Test {
 protected:
  void SetUp() override { runner_.spawn(spine_.serve(connection_)); }
  void TearDown() override { runner_.stop(); }
  std::shared_ptr<test::Told> open(std::string_view request, bool stalled = false) {
    auto told = connection_.open(request, stalled);
    runner_.settle();
    return told;
  }

  test::HandRunner runner_;
  Spine spine_{small_plan()};
  test::FakeConnection connection_{runner_.scope()};
};

TEST_F(SpineOverStreams, ServesTheStreamsOfAConnectionAtOnce) {
  const auto slow = open(kGet, true);
  const auto other = open("GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(other->complete);
  EXPECT_EQ(other->body, "answer b");
  EXPECT_FALSE(slow->complete);
  EXPECT_EQ(spine_.counts().requests_active.value(), 1U);
  slow->release();
  runner_.settle();
  EXPECT_TRUE(slow->complete);
  EXPECT_EQ(spine_.counts().requests_active.value(), 0U);
}

TEST_F(SpineOverStreams, ARefusedStreamIsAnsweredBesideTheOthers) {
  const auto slow = open(kGet, true);
  const auto bad = open("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(bad->status, 400);
  EXPECT_TRUE(bad->complete);
  EXPECT_FALSE(slow->gone);
}

TEST_F(SpineOverStreams, StreamsNeverOutliveTheirConnection) {
  const auto slow = open(kGet, true);
  connection_.end();
  runner_.settle();
  EXPECT_FALSE(connection_.finished()) << "a stream is still served";
  slow->release();
  runner_.settle();
  EXPECT_TRUE(slow->gone);
  EXPECT_TRUE(connection_.finished());
}

TEST_F(SpineOverStreams, AStreamThatIsCancelledEndsAloneAndIsLogged) {
  const auto one = open(kGet, true);
  const auto other = open(kGet, true);
  one->scope->cancel(Code::client_gone);
  runner_.settle();
  EXPECT_TRUE(one->gone);
  EXPECT_EQ(one->reset, Code::client_gone);
  EXPECT_FALSE(other->gone);
  EXPECT_NE(spine_.log().find("\"why\":\"client_gone\""), std::string::npos) << spine_.log();
  other->release();
  runner_.settle();
  EXPECT_TRUE(other->complete);
}

TEST_F(SpineOverStreams, AConnectionThatIsCutEndsAllItsStreams) {
  const auto one = open(kGet, true);
  const auto other = open(kGet, true);
  connection_.fail();
  runner_.settle();
  EXPECT_TRUE(one->gone && other->gone);
  EXPECT_EQ(spine_.answers_with(Code::client_gone), 2U);
  EXPECT_EQ(runner_.running(), 0U);
}

TEST_F(SpineOverStreams, AnExchangeKeepsTheSnapshotItBeganWith) {
  const auto before = open(kGet, true);
  const std::weak_ptr<const Snapshot> old = spine_.runtime().snapshot;
  spine_.install(small_plan("new answer"));
  const auto after = open(kGet);
  EXPECT_EQ(after->body, "new answer");
  EXPECT_FALSE(old.expired()) << "one exchange still uses it";
  before->release();
  runner_.settle();
  EXPECT_EQ(before->body, "answer a");
  EXPECT_TRUE(old.expired());
}

TEST_F(SpineOverStreams, ExchangesOfARouteThatIsGoneHaveSomeTimeLeft) {
  const auto gone = open("GET /b HTTP/1.1\r\nHost: x\r\n\r\n", true);
  const auto kept = open(kGet, true);
  spine_.install(plan_of({respond_route("a", {"/a"}, "x")}));
  end_removed_routes(spine_.runtime(), seconds(300));
  runner_.pass(seconds(200));
  spine_.install(plan_of({respond_route("a", {"/a"}, "y")}));
  end_removed_routes(spine_.runtime(), seconds(300));
  runner_.pass(seconds(90));
  EXPECT_FALSE(gone->gone);
  runner_.pass(seconds(10));
  EXPECT_TRUE(gone->gone) << "a further reload gives no further time";
  EXPECT_FALSE(kept->gone);
  EXPECT_EQ(spine_.answers_with(Code::drain_timeout), 1U);
}

TEST_F(SpineOverStreams, ARouteThatComesBackKeepsItsExchanges) {
  const auto told = open("GET /b HTTP/1.1\r\nHost: x\r\n\r\n", true);
  spine_.install(plan_of({respond_route("a", {"/a"}, "x")}));
  end_removed_routes(spine_.runtime(), seconds(300));
  spine_.install(small_plan());
  end_removed_routes(spine_.runtime(), seconds(300));
  runner_.pass(seconds(400));
  EXPECT_FALSE(told->gone);
}

TEST_F(SpineOverStreams, DrainingReachesEveryConnection) {
  test::FakeConnection other(runner_.scope());
  runner_.spawn(spine_.serve(other));
  EXPECT_EQ(spine_.runtime().connections->size(), 2U);
  spine_.runtime().connections->drain_all();
  runner_.settle();
  EXPECT_TRUE(connection_.drained() && connection_.finished());
  EXPECT_TRUE(other.drained() && other.finished());
  EXPECT_EQ(spine_.runtime().connections->size(), 0U);
}

TEST_F(SpineOverStreams, AConnectionOfADrainingWorkerIsDrainedFromTheStart) {
  spine_.runtime().draining = true;
  test::FakeConnection late(runner_.scope());
  runner_.spawn(spine_.serve(late));
  EXPECT_TRUE(late.drained() && late.finished());
}

}  // namespace
}  // namespace revproxyd::proxy

// Forward over loopback servers, with a client in memory: choice, retries, cancellation, and what a
// reload leaves alone.

#include "proxy/forward.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tests/unit/proxy/forward_fixture.h"

namespace revproxyd::proxy {
namespace {

using testing::answers_in;
using testing::forward_route;
using testing::kGet;
using testing::LoopOrigin;
using testing::ok;
using testing::plan_of;
using testing::status;
using testing::with_body;

class ForwardTest : public testing::ForwardTest {};

TEST_F(ForwardTest, SendsTheRequestAndBringsTheResponse) {
  LoopOrigin origin(runner_);
  origin.answer_with(ok("hello"));
  open({&origin});
  const auto answer = answer_to(
      "GET /x?y HTTP/1.1\r\nHost: a\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\n\r\n");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "hello");
  const std::string& sent = origin.received(0);
  EXPECT_TRUE(sent.starts_with("GET /x?y HTTP/1.1\r\nHost: a\r\n")) << sent;
  EXPECT_EQ(sent.find("X-Hop"), std::string::npos);
  EXPECT_NE(sent.find("X-End: 2\r\n"), std::string::npos);
  EXPECT_NE(sent.find("X-Forwarded-For: 192.0.2.1\r\n"), std::string::npos);
  const std::string log = spine_->log();
  EXPECT_NE(log.find("\"upstream\":\"u\",\"server\":\"" + origin.server().url.text + "\""),
            std::string::npos)
      << log;
}

TEST_F(ForwardTest, KeepsTheConnectionForTheNextRequest) {
  LoopOrigin origin(runner_);
  origin.answer_with(ok("hello"));
  open({&origin});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(answer_to(kGet).status, 200);
  EXPECT_EQ(origin.connections(), 1U);
  EXPECT_EQ(origin.requests(), 3U);
}

TEST_F(ForwardTest, AClientThatLeavesClosesTheConnectionToTheServer) {
  LoopOrigin origin(runner_);
  open({&origin});
  request(kGet);
  await([&] { return origin.requests() == 1; });
  client_.end();
  await([&] { return origin.left(0); });
  EXPECT_EQ(spine_->answers_with(Code::client_gone), 1U);
  EXPECT_NE(spine_->log().find("\"status\":499"), std::string::npos) << spine_->log();
}

TEST_F(ForwardTest, AClientThatLeavesIsNoFailureOfTheServer) {
  LoopOrigin origin(runner_);
  open({&origin});
  request(kGet);
  await([&] { return origin.requests() == 1; });
  client_.end();
  await([&] { return origin.left(0); });
  EXPECT_EQ(shared_->endpoints()[0]->failures(), 0U);
}

TEST_F(ForwardTest, ARefusedConnectIsTriedOnAnotherServerForEveryMethod) {
  auto dead = std::make_unique<LoopOrigin>(runner_);
  LoopOrigin alive(runner_);
  alive.answer_with(ok("hello"));
  open({dead.get(), &alive});
  dead->stop_listening();
  const auto answer = answer_to(with_body("POST", 4, "body"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(alive.received(0).ends_with("\r\n\r\nbody")) << alive.received(0);
  EXPECT_NE(spine_->log().find("\"retries\":1"), std::string::npos) << spine_->log();
}

TEST_F(ForwardTest, AGetWhoseServerDiedBeforeTheFirstByteIsTriedOnAnother) {
  LoopOrigin dying(runner_);
  dying.close_on_request();
  LoopOrigin alive(runner_);
  alive.answer_with(ok("hello"));
  open({&dying, &alive});
  EXPECT_EQ(answer_to(kGet).status, 200);
  EXPECT_EQ(dying.requests(), 1U);
}

TEST_F(ForwardTest, APostThatMayHaveBeenTakenIsNotRepeated) {
  LoopOrigin dying(runner_);
  dying.close_on_request();
  LoopOrigin other(runner_);
  other.answer_with(ok("hello"));
  open({&dying, &other});
  const auto answer = answer_to(with_body("POST", 4, "body"));
  EXPECT_EQ(answer.status, 502);
  EXPECT_EQ(other.connections(), 0U);
}

TEST_F(ForwardTest, AGetWhoseResponseHadBegunIsNotRepeated) {
  LoopOrigin dying(runner_);
  dying.answer_with("HTTP/1.1 200 OK\r\n");
  dying.close_on_request();
  LoopOrigin other(runner_);
  other.answer_with(ok("hello"));
  open({&dying, &other});
  EXPECT_EQ(answer_to(kGet).status, 502);
  EXPECT_EQ(other.connections(), 0U);
}

TEST_F(ForwardTest, AMalformedResponseIsNotRepeated) {
  LoopOrigin broken(runner_);
  broken.answer_with("nonsense\r\n\r\n");
  LoopOrigin other(runner_);
  open({&broken, &other});
  EXPECT_EQ(answer_to(kGet).status, 502);
  EXPECT_EQ(other.connections(), 0U);
}

TEST_F(ForwardTest, AListedStatusIsRepeatedAsOftenAsTheBudgetAllowsAndThenPassedOn) {
  LoopOrigin busy(runner_);
  busy.answer_with(status(503));
  LoopOrigin alive(runner_);
  alive.answer_with(ok("hello"));
  settings_.retry.statuses = {503};
  settings_.retry.budget_percent = 0;
  open({&busy, &alive});
  int repeated = 0;
  for (int i = 0; i < 8; ++i) {
    const auto answer = answer_to(kGet);
    EXPECT_TRUE(answer.status == 200 || answer.status == 503) << answer.status;
    repeated += answer.status == 200 ? 1 : 0;
  }
  EXPECT_GE(repeated, 3) << "three a second are always allowed";
  EXPECT_EQ(alive.requests(), static_cast<std::size_t>(repeated));
}

TEST_F(ForwardTest, AStatusThatIsNotListedIsPassedOn) {
  LoopOrigin busy(runner_);
  busy.answer_with(status(503));
  LoopOrigin other(runner_);
  open({&busy, &other});
  EXPECT_EQ(answer_to(kGet).status, 503);
  EXPECT_EQ(other.connections(), 0U);
}

TEST_F(ForwardTest, TheBodyIsSentAgainFromItsBeginningByTheNextAttemptAlone) {
  LoopOrigin dying(runner_);
  LoopOrigin alive(runner_);
  open({&dying, &alive});
  // The pump of the first attempt is in the middle of the body when its server goes.
  request(with_body("GET", 8, "abcd"));
  await([&] { return dying.requests() == 1 && dying.received(0).ends_with("abcd"); });
  dying.close(0);
  await([&] { return alive.requests() == 1 && alive.received(0).ends_with("abcd"); });
  client_.send("efgh");
  await([&] { return alive.received(0).ends_with("abcdefgh"); });
  alive.send(0, ok("hello"));
  const auto got = answers(1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].body, "hello");
  EXPECT_TRUE(dying.received(0).ends_with("\r\n\r\nabcd"));
  EXPECT_TRUE(alive.received(0).ends_with("\r\n\r\nabcdefgh"));
}

TEST_F(ForwardTest, ABodyThatIsTooLongToHoldIsNotSentAgain) {
  LoopOrigin dying(runner_);
  LoopOrigin other(runner_);
  open({&dying, &other});
  const std::size_t size = limits::kReplayBody + 1;
  request(with_body("GET", size + 1, std::string(size, 'x')));
  await([&] { return dying.connections() == 1 && dying.received(0).size() > size; });
  dying.close(0);
  const auto got = answers(1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].status, 502);
  EXPECT_EQ(other.connections(), 0U);
}

TEST_F(ForwardTest, AKeptConnectionThatTheServerClosedIsNotUsed) {
  LoopOrigin origin(runner_);
  origin.answer_with(ok("hello"));
  open({&origin});
  EXPECT_EQ(answer_to(kGet).status, 200);
  origin.close(0);
  runner_.run_until([&] { return origin.left(0); }, std::chrono::milliseconds(50));
  EXPECT_EQ(answer_to(with_body("POST", 1, "x")).status, 200);
  EXPECT_EQ(origin.connections(), 2U);
}

// Its server answers the first request of a connection and closes at the second.
class ForwardOverLostConnections : public ForwardTest {
 protected:
  void open_server() {
    origin_.answer_with(ok("hello"));
    origin_.close_on_second_request();
    open({&origin_});
    EXPECT_EQ(answer_to(kGet).status, 200);
  }
  LoopOrigin origin_{runner_};
};

// More than the three that the budget grants in any second.
TEST_F(ForwardOverLostConnections, AGetIsTriedOnANewOneOutsideOfTheBudget) {
  settings_.retry.budget_percent = 0;
  open_server();
  for (int i = 1; i < 8; ++i) EXPECT_EQ(answer_to(kGet).status, 200) << i;
  EXPECT_EQ(origin_.connections(), 8U);
}

TEST_F(ForwardOverLostConnections, AGetIsNotRepeatedWhereOneAttemptIsAll) {
  settings_.retry.attempts = 1;
  open_server();
  EXPECT_EQ(answer_to(kGet).status, 502);
}

TEST_F(ForwardOverLostConnections, AGetIsNotRepeatedWithoutTheCondition) {
  settings_.retry.reset = false;
  open_server();
  EXPECT_EQ(answer_to(kGet).status, 502);
}

TEST_F(ForwardTest, ANewConnectionThatIsLostCostsBudgetBehindAKeptOneToo) {
  LoopOrigin origin(runner_);
  origin.answer_with(ok("hello"));
  settings_.retry.budget_percent = 0;
  settings_.retry.attempts = 20;
  open({&origin});
  EXPECT_EQ(answer_to(kGet).status, 200);
  origin.answer_with("");
  origin.close_on_request();
  EXPECT_EQ(answer_to(kGet).status, 502);
  // Three retries a second, and a second may begin meanwhile.
  EXPECT_LE(origin.requests(), 1U + 2 + 2 * 3);
}

TEST_F(ForwardTest, AServerThatAnswersEarlyAndClosesIsHeard) {
  LoopOrigin origin(runner_);
  origin.answer_with(status(413));
  origin.close_on_request();
  open({&origin});
  EXPECT_EQ(answer_to(with_body("POST", 50'000'000, std::string(200'000, 'x'))).status, 413);
}

TEST_F(ForwardTest, AfterAnEarlyAnswerTheRestOfAShortUploadIsDroppedAndTheClientKept) {
  LoopOrigin origin(runner_);
  origin.answer_with(ok("early"));
  open({&origin});
  EXPECT_EQ(answer_to(with_body("POST", 1000, "begin")).body, "early");
  EXPECT_EQ(answer_to(std::string(995, 'x') + std::string(kGet)).body, "early");
  EXPECT_EQ(origin.connections(), 2U) << "the first one still waits for the rest";
  EXPECT_EQ(origin.received(0).find(std::string(10, 'x')), std::string::npos);
}

TEST_F(ForwardTest, ARequestThatExpectsIsTriedOnAnotherServerBeforeItsBodyIsAskedFor) {
  LoopOrigin dying(runner_);
  dying.close_on_request();
  LoopOrigin alive(runner_);
  alive.answer_with("HTTP/1.1 100 Continue\r\n\r\n");
  open({&dying, &alive});
  request("GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  await([&] { return client_.received() == "HTTP/1.1 100 Continue\r\n\r\n"; });
  client_.take_received();
  client_.send("body");
  await([&] { return alive.received(0).ends_with("\r\n\r\nbody"); });
  alive.send(0, ok("done"));
  const auto got = answers(1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].body, "done");
}

std::string call(std::string_view timeout, std::string_view type = "application/grpc") {
  return "GET /s/m HTTP/1.1\r\nHost: a\r\nContent-Type: " + std::string(type) +
         "\r\ngrpc-timeout: " + std::string(timeout) + "\r\n\r\n";
}

TEST_F(ForwardTest, ACallThatIsNotAnsweredInItsTimeEndsHereAndIsGivenUpThere) {
  LoopOrigin silent(runner_);
  LoopOrigin other(runner_);
  open({&silent, &other});
  const auto answer = answer_to(call("30m"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.head.find("grpc-status: 4\r\n"), std::string::npos) << answer.head;
  EXPECT_NE(silent.received(0).find("grpc-timeout: 30m\r\n"), std::string::npos);
  await([&] { return silent.left(0); });
  EXPECT_EQ(other.connections(), 0U) << "no try outlives the deadline";
  EXPECT_EQ(shared_->endpoints()[0]->failures(), 0U) << "the client's haste is no failure";
  EXPECT_EQ(spine_->answers_with(Code::deadline_exceeded), 1U);
  EXPECT_NE(spine_->log().find("\"status\":200"), std::string::npos) << spine_->log();
}

TEST_F(ForwardTest, ACallWaitsForAServerNoLongerThanItsTime) {
  LoopOrigin origin(runner_);
  settings_.servers = {origin.server()};
  settings_.servers[0].max_connections = 1;
  open({});
  request(kGet);
  await([&] { return origin.requests() == 1; });
  test::MemoryPeer caller;
  const std::size_t others = tasks_.size();
  tasks_.spawn(spine_->serve(caller));
  caller.send(call("30m"));
  await([&] { return caller.received().find("grpc-status: 4\r\n") != std::string::npos; });
  EXPECT_EQ(origin.requests(), 1U);
  origin.send(0, ok("first"));
  EXPECT_EQ(answers(1).at(0).body, "first");
  caller.end();
  await([&] { return tasks_.size() == others; });
}

TEST_F(ForwardTest, ATimeoutThatIsMalformedOrOfNoCallLimitsNothing) {
  LoopOrigin origin(runner_);
  open({&origin});
  std::size_t count = 0;
  for (const std::string& bytes : {call("1x"), call("1m", "application/grpc-web")}) {
    request(bytes);
    await([&] { return origin.requests() == count + 1; });
    ++count;
    runner_.run_until([&] { return !client_.received().empty(); }, std::chrono::milliseconds(50));
    origin.send(0, ok("hello"));
    EXPECT_EQ(answers(1).at(0).body, "hello");
  }
  EXPECT_NE(origin.received(0).find("grpc-timeout: 1x\r\n"), std::string::npos);
}

TEST_F(ForwardTest, ATunnelCarriesTheBytesThatCameWithTheHandshake) {
  LoopOrigin origin(runner_);
  origin.answer_with(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello");
  open({&origin});
  request("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly");
  await([&] {
    return client_.received().ends_with("\r\n\r\nhello") && origin.received(0).ends_with("early");
  });
  origin.close(0);
  await([&] { return client_.saw_end(); });
  EXPECT_NE(spine_->log().find("\"status\":101"), std::string::npos) << spine_->log();
}

TEST_F(ForwardTest, ATokenThatTheRouteDoesNotListIsNotForwarded) {
  LoopOrigin origin(runner_);
  origin.answer_with(ok("plain"));
  open({&origin});
  EXPECT_EQ(
      answer_to(
          "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
          "HTTP2-Settings: x\r\n\r\n")
          .status,
      200);
  EXPECT_EQ(origin.received(0).find("pgrade"), std::string::npos) << origin.received(0);
  EXPECT_EQ(origin.received(0).find("HTTP2"), std::string::npos);
}

TEST_F(ForwardTest, AnUpstreamThatStaysKeepsItsConnectionsOverAReload) {
  LoopOrigin origin(runner_);
  origin.answer_with(ok("hello"));
  open({&origin});
  EXPECT_EQ(answer_to(kGet).status, 200);
  const upstream::Cluster* cluster = &spine_->runtime().snapshot->cluster(0);
  spine_->install(plan_of({forward_route("other", {"/**"}, "u")}), {{shared_, nullptr}});
  EXPECT_EQ(&spine_->runtime().snapshot->cluster(0), cluster);
  EXPECT_EQ(answer_to(kGet).status, 200);
  EXPECT_EQ(origin.connections(), 1U);
}

TEST_F(ForwardTest, AnUpstreamThatChangesStartsAfreshAndItsOldExchangesGoOn) {
  LoopOrigin origin(runner_);
  open({&origin});
  request(kGet);
  await([&] { return origin.requests() == 1; });
  settings_.timeouts.connect = std::chrono::seconds(1);
  spine_->install(plan_of({forward_route("r", {"/**"}, "u")}),
                  {{shared_of(settings_, shared_.get()), nullptr}});
  origin.send(0, ok("old"));
  const auto got = answers(1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].body, "old");
  origin.answer_with(ok("new"));
  EXPECT_EQ(answer_to(kGet).body, "new");
  EXPECT_EQ(origin.connections(), 2U);
}

TEST_F(ForwardTest, SplitTrafficGoesToItsUpstreamsByWeight) {
  LoopOrigin one(runner_);
  one.answer_with(ok("one"));
  LoopOrigin two(runner_);
  two.answer_with(ok("two"));
  settings_.servers = {one.server()};
  auto other = settings_;
  other.name = "v";
  other.servers = {two.server()};
  RouteSettings route = forward_route("r", {"/**"}, "u");
  route.targets = {{"u", 3}, {"v", 1}};
  shared_ = shared_of(settings_, nullptr);
  spine_.emplace(plan_of({route}), std::vector<PlanUpstream>{{shared_, nullptr},
                                                             {shared_of(other, nullptr), nullptr}});
  constexpr int kRequests = 400;
  int first = 0;
  for (int i = 0; i < kRequests; ++i) first += answer_to(kGet).body == "one" ? 1 : 0;
  EXPECT_NEAR(first, kRequests * 3 / 4, 50);
}

}  // namespace
}  // namespace revproxyd::proxy

// Who is to blame when an exchange ends early: the server, the client or a busy worker.

#include <string>

#include <gtest/gtest.h>

#include "tests/unit/proxy/forward_fixture.h"

namespace revproxyd::proxy {
namespace {

using testing::kGet;
using testing::LoopOrigin;
using testing::ok;
using testing::with_body;

class ForwardBlame : public testing::ForwardTest {
 protected:
  std::uint64_t failed_connections(Code why) const {
    return spine_->counts().connections_failed[static_cast<std::size_t>(why)].value();
  }
};

// The client has reset, and its edge comes after the interim answer.
TEST_F(ForwardBlame, AClientThatIsGoneWhenAnInterimAnswerComesIsNoFailureOfTheServer) {
  LoopOrigin origin(runner_);
  open({&origin});
  request(kGet);
  await([&] { return origin.requests() == 1; });
  client_.refuse_writes();  // the kernel knows that it has left; the loop does not yet
  origin.send(0, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
  await([&] { return spine_->counts().requests_active.value() == 0; });
  EXPECT_EQ(spine_->answers_with(Code::client_gone), 1U) << spine_->log();
  EXPECT_EQ(shared_->endpoints()[0]->failures(), 0U);
}

TEST_F(ForwardBlame, AClientThatResetsItsTunnelIsGone) {
  LoopOrigin origin(runner_);
  open({&origin});
  request("GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
  await([&] { return origin.requests() == 1; });
  origin.send(0,
              "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: "
              "websocket\r\n\r\nhello");
  await([&] { return client_.received().ends_with("hello"); });
  client_.reset();
  await([&] { return spine_->counts().requests_active.value() == 0; });
  EXPECT_EQ(spine_->answers_with(Code::client_gone), 1U) << spine_->log();
  EXPECT_EQ(spine_->answers_with(Code::reset), 0U);
  await([&] { return tasks_.size() == 0; });
  EXPECT_EQ(failed_connections(Code::client_gone), 1U);
}

TEST_F(ForwardBlame, AServerThatBreaksOffInsideItsAnswerIsNoClientThatHasGone) {
  LoopOrigin origin(runner_);
  open({&origin});
  request(kGet);
  await([&] { return origin.requests() == 1; });
  origin.send(0, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nABC");
  origin.close(0);
  await([&] { return tasks_.size() == 0; });
  EXPECT_EQ(spine_->answers_with(Code::end_of_stream), 1U) << spine_->log();
  EXPECT_EQ(failed_connections(Code::client_gone), 0U);
  EXPECT_EQ(failed_connections(Code::end_of_stream), 0U);
}

TEST_F(ForwardBlame, AMalformedUploadBesideItsAnswerIsNoFaultOfTheServer) {
  ::testing::internal::CaptureStderr();
  {
    LoopOrigin origin(runner_);
    open({&origin});
    request("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    await([&] { return origin.requests() == 1; });
    origin.send(0, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nABC");
    await([&] { return client_.received().ends_with("ABC"); });
    request("zz\r\n");
    await([&] { return spine_->counts().requests_active.value() == 0; });
    EXPECT_EQ(spine_->answers_with(Code::malformed_request), 1U) << spine_->log();
  }
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(log.find("server http://127.0.0.1"), std::string::npos) << log;
}

// The answer has come in time; the loop was busy with something else until after it.
TEST_F(ForwardBlame, AnAnswerThatCameInTimeIsNotLateBecauseTheWorkerWasBusy) {
  settings_.timeouts.first_byte = Duration(100);
  LoopOrigin origin(runner_);
  open({&origin});
  request(with_body("POST", 0, ""));
  await([&] { return origin.requests() == 1; });
  origin.send(0, ok("hello"));
  const TimePoint until = Clock::now() + Duration(200);
  while (Clock::now() < until) {
  }
  const auto got = answers(1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].status, 200);
}

}  // namespace
}  // namespace revproxyd::proxy

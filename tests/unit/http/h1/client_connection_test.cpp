#include "http/h1/client_connection.h"

#include <string>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tests/support/hand_runner.h"
#include "tests/support/memory_transport.h"

namespace revproxyd::http::h1 {
namespace {

using std::chrono::seconds;

class H1ClientConnection : public ::testing::Test, private http::ClientConnection::Owner {
 protected:
  void TearDown() override { runner_.stop(); }
  H1ClientConnection() : request_(arena_) {
    request_.method_text = "GET";
    connection_ =
        std::make_unique<ClientConnection>(peer_.transport(), ClientConnectionSettings(), owner());
  }
  http::ClientConnection::Owner& owner() noexcept { return *this; }

  std::unique_ptr<http::ClientStream> ask(Method method = Method::get,
                                          std::string_view text = "GET") {
    request_.method = method;
    request_.method_text = text;
    auto stream = connection_->open_stream();
    stream->stage_head(request_, "/x", "example");
    EXPECT_TRUE(runner_.run(stream->send_body(Piece({}, true))));
    return stream;
  }
  Result<ResponseHead> head_of(http::ClientStream& stream) {
    return runner_.run(stream.read_head(arena_));
  }
  std::string read_all(Body& body) {
    std::string out;
    for (;;) {
      const auto piece = runner_.run(body.read());
      if (!piece) return out + "<" + std::string(name(piece.error().code())) + ">";
      out += piece->bytes;
      if (piece->last) return out;
    }
  }
  /// One exchange with the answer `response`; its status.
  std::uint16_t exchange(std::string_view response) {
    auto stream = ask();
    peer_.send(response);
    const auto head = head_of(*stream);
    if (!head) return 0;
    read_all(stream->body());
    return head->status;
  }
  Code failure_of(std::string_view response) {
    auto stream = ask();
    peer_.send(response);
    const auto head = head_of(*stream);
    return head ? Code::none : head.error().code();
  }

  test::MemoryPeer peer_;
  test::HandRunner runner_;
  Arena arena_;
  RequestHead request_;
  int closed_streams_ = 0;
  int idle_inputs_ = 0;
  std::unique_ptr<ClientConnection> connection_;

 private:
  void on_stream_closed(http::ClientConnection&) noexcept override { ++closed_streams_; }
  void on_idle_input(http::ClientConnection&) noexcept override { ++idle_inputs_; }
};

TEST_F(H1ClientConnection, WritesARequestWithoutBodyAtOnce) {
  request_.fields.add("X-A", "1");
  const auto stream = ask();
  EXPECT_EQ(peer_.received(), "GET /x HTTP/1.1\r\nHost: example\r\nX-A: 1\r\n\r\n");
  EXPECT_EQ(peer_.writes(), 1U);
}

TEST_F(H1ClientConnection, ReadsHeadAndBody) {
  const auto stream = ask();
  peer_.send("HTTP/1.1 200 OK\r\nX-B: 2\r\nContent-Length: 4\r\n\r\nbody");
  const auto head = head_of(*stream);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->fields.get("X-B"), "2");
  EXPECT_EQ(read_all(stream->body()), "body");
}

TEST_F(H1ClientConnection, ReadsAHeadThatComesByteByByte) {
  const auto stream = ask();
  peer_.limit_calls(1);
  peer_.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
  ASSERT_TRUE(head_of(*stream));
  EXPECT_EQ(read_all(stream->body()), "body");
}

TEST_F(H1ClientConnection, GivesInterimHeadsOneByOneAndThenTheFinalOne) {
  const auto stream = ask();
  peer_.send(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No "
      "Content\r\n\r\n");
  for (const int status : {100, 103, 204}) {
    const auto head = head_of(*stream);
    ASSERT_TRUE(head);
    EXPECT_EQ(head->status, status);
  }
}

TEST_F(H1ClientConnection, RefusesInterimHeadsWithoutEnd) {
  const auto stream = ask();
  for (std::uint32_t i = 0; i <= limits::kInterimResponses; ++i)
    peer_.send("HTTP/1.1 103 Early Hints\r\n\r\n");
  for (std::uint32_t i = 0; i < limits::kInterimResponses; ++i) ASSERT_TRUE(head_of(*stream));
  const auto head = head_of(*stream);
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().code(), Code::malformed_response);
}

TEST_F(H1ClientConnection, IsKeptAfterACompleteExchange) {
  EXPECT_EQ(exchange("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"), 200);
  EXPECT_EQ(closed_streams_, 1);
  EXPECT_EQ(connection_->capacity(), 1U);
  EXPECT_TRUE(connection_->alive());
  const auto again = ask();
  EXPECT_TRUE(again->reused());
  EXPECT_EQ(connection_->capacity(), 0U);
  EXPECT_EQ(connection_->active(), 1U);
}

TEST_F(H1ClientConnection, TheFirstStreamIsNotOnAReusedConnection) {
  EXPECT_FALSE(ask()->reused());
}

TEST_F(H1ClientConnection, IsNotKeptWhenTheServerSaysSo) {
  EXPECT_EQ(exchange("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"), 200);
  EXPECT_EQ(connection_->capacity(), 0U);
}

TEST_F(H1ClientConnection, IsNotKeptWhenTheBodyWasNotReadToItsEnd) {
  auto stream = ask();
  peer_.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo");
  ASSERT_TRUE(head_of(*stream));
  stream.reset();
  EXPECT_EQ(connection_->capacity(), 0U);
}

TEST_F(H1ClientConnection, IsNotKeptWhenTheRequestWasNotSentToItsEnd) {
  request_.method_text = "POST";
  request_.length = {Framing::length, 10};
  auto stream = connection_->open_stream();
  stream->stage_head(request_, "/x", "example");
  ASSERT_TRUE(runner_.run(stream->flush()));
  peer_.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(head_of(*stream));
  stream.reset();
  EXPECT_EQ(connection_->capacity(), 0U);
}

TEST_F(H1ClientConnection, IsNotKeptWhenMoreComesThanWasAskedFor) {
  EXPECT_EQ(exchange("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 "
                     "OK\r\nContent-Length: 1\r\n\r\n2"),
            200);
  EXPECT_EQ(connection_->capacity(), 0U);
}

TEST_F(H1ClientConnection, TellsItsOwnerOfInputWhileIdle) {
  exchange("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(idle_inputs_, 0);
  peer_.send("HTTP/1.1 408 Request Timeout\r\n\r\n");
  EXPECT_EQ(idle_inputs_, 1);
  EXPECT_FALSE(connection_->alive());
}

TEST_F(H1ClientConnection, IsNotAliveWhenTheServerHasClosed) {
  exchange("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  peer_.end();
  EXPECT_EQ(idle_inputs_, 1);
  EXPECT_FALSE(connection_->alive());
}

TEST_F(H1ClientConnection, AnEndBeforeAnyByteIsNoStartOfAResponse) {
  auto stream = ask();
  EXPECT_FALSE(stream->response_started());
  peer_.end();
  const auto none = head_of(*stream);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), Code::end_of_stream);
  EXPECT_EQ(none.error().side(), Side::upstream);
  EXPECT_FALSE(stream->response_started());
}

TEST_F(H1ClientConnection, AnEndWithinTheHeadIsTheStartOfAResponse) {
  auto stream = ask();
  peer_.send("HTTP/1.1 200");
  peer_.end();
  const auto half = head_of(*stream);
  ASSERT_FALSE(half);
  EXPECT_EQ(half.error().code(), Code::end_of_stream);
  EXPECT_TRUE(stream->response_started());
}

TEST_F(H1ClientConnection, RefusesWhatIsNoResponse) {
  EXPECT_EQ(failure_of("SSH-2.0-OpenSSH\r\n\r\n"), Code::malformed_response);
}

TEST_F(H1ClientConnection, RefusesTwoDifferingLengths) {
  EXPECT_EQ(failure_of("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            Code::malformed_response);
}

TEST_F(H1ClientConnection, RefusesAHeadOverItsLimit) {
  EXPECT_EQ(failure_of("HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'x')),
            Code::response_header_too_large);
}

TEST_F(H1ClientConnection, WaitsForTheFirstByteNoLongerThanAllowed) {
  const auto stream = ask();
  stream->await_response(seconds(60));
  std::optional<Result<ResponseHead>> head;
  runner_.start(stream->read_head(arena_), head);
  runner_.pass(seconds(59));
  EXPECT_FALSE(head);
  runner_.pass(seconds(1));
  ASSERT_TRUE(head);
  EXPECT_EQ(head->error().code(), Code::first_byte_timeout);
}

TEST_F(H1ClientConnection, ASlowHeadIsHeldToTheSameTime) {
  const auto stream = ask();
  stream->await_response(seconds(60));
  std::optional<Result<ResponseHead>> head;
  runner_.start(stream->read_head(arena_), head);
  peer_.send("HTTP/1.1 200 OK\r\n");
  runner_.pass(seconds(60));
  ASSERT_TRUE(head);
  EXPECT_FALSE(*head);
}

TEST_F(H1ClientConnection, SoIsOneThatCannotBeReadForWantOfRoom) {
  const auto stream = ask();
  stream->await_response(seconds(60));
  std::optional<Result<ResponseHead>> head;
  runner_.start(stream->read_head(arena_), head);
  peer_.read_with_room();
  peer_.take_only(0);
  peer_.send("HTTP/1.1 200 OK\r\n");
  runner_.pass(seconds(60));
  ASSERT_TRUE(head);
  EXPECT_EQ(head->error().code(), Code::first_byte_timeout);
}

TEST_F(H1ClientConnection, AnInterimHeadDoesNotLiftTheTimeOfTheFinalOne) {
  const auto stream = ask();
  peer_.send("HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(head_of(*stream));
  stream->await_response(seconds(60));
  std::optional<Result<ResponseHead>> head;
  runner_.start(stream->read_head(arena_), head);
  runner_.pass(seconds(60));
  ASSERT_TRUE(head);
  EXPECT_EQ(head->error().code(), Code::first_byte_timeout);
}

TEST_F(H1ClientConnection, TheTimeEndsWithTheHead) {
  const auto stream = ask();
  stream->await_response(seconds(60));
  peer_.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
  ASSERT_TRUE(head_of(*stream));
  std::optional<Result<Piece>> piece;
  runner_.start(stream->body().read(), piece);
  runner_.pass(seconds(3600));
  EXPECT_FALSE(piece);
  peer_.send("body");
  runner_.settle();
  EXPECT_TRUE(piece && *piece);
}

TEST_F(H1ClientConnection, AnAnswerToHeadHasNoBodyWhateverItSays) {
  auto stream = ask(Method::head, "HEAD");
  peer_.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  const auto head = head_of(*stream);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->length.framing, Framing::none);
  stream.reset();
  EXPECT_EQ(connection_->capacity(), 1U);
}

TEST_F(H1ClientConnection, After101BothSidesAreATunnel) {
  request_.upgrade = "websocket";
  request_.fields.add(FieldName::upgrade, "websocket");
  const auto stream = ask();
  EXPECT_EQ(
      peer_.take_received(),
      "GET /x HTTP/1.1\r\nHost: example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
  peer_.send(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfirst");
  const auto head = head_of(*stream);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->length.framing, Framing::tunnel);
  ASSERT_TRUE(runner_.run(stream->send_body(Piece("up", false))));
  ASSERT_TRUE(runner_.run(stream->flush()));
  EXPECT_EQ(peer_.received(), "up");
  const auto piece = runner_.run(stream->body().read());
  ASSERT_TRUE(piece);
  EXPECT_EQ(piece->bytes, "first");
}

TEST_F(H1ClientConnection, A101ToWhatTheRequestDidNotOfferIsMalformed) {
  request_.upgrade = "websocket";
  request_.fields.add(FieldName::upgrade, "websocket");
  const auto stream = ask();
  peer_.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
  const auto head = head_of(*stream);
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().code(), Code::malformed_response);
}

TEST_F(H1ClientConnection, KnowsWhetherTheRequestMayHaveLeft) {
  auto stream = connection_->open_stream();
  stream->stage_head(request_, "/x", "example");
  EXPECT_FALSE(stream->request_started());
  ASSERT_TRUE(runner_.run(stream->flush()));
  EXPECT_TRUE(stream->request_started());
}

TEST_F(H1ClientConnection, ARequestDoesNotLeaveOnAKeptConnectionThatHasClosed) {
  ASSERT_EQ(exchange("HTTP/1.1 204 No Content\r\n\r\n"), 204);
  peer_.take_received();
  auto stream = connection_->open_stream();
  stream->stage_head(request_, "/x", "example");
  peer_.end();
  const auto sent = runner_.run(stream->send_body(Piece({}, true)));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code(), Code::reset);
  EXPECT_EQ(sent.error().side(), Side::upstream);
  EXPECT_FALSE(stream->request_started());
  EXPECT_EQ(peer_.received(), "");
}

TEST_F(H1ClientConnection, AnEndRightBehindTheAnswerIsSeenWhenTheStreamGoes) {
  auto stream = ask();
  peer_.send("HTTP/1.1 204 No Content\r\n\r\n");
  ASSERT_TRUE(head_of(*stream));
  peer_.end();
  runner_.settle();
  stream.reset();
  EXPECT_EQ(connection_->capacity(), 0U);
  EXPECT_EQ(closed_streams_, 1);
}

TEST_F(H1ClientConnection, DoesNotReadTheServerWhileNobodyTakesTheBody) {
  const auto stream = ask();
  peer_.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + std::string(1'000'000, 'x'));
  ASSERT_TRUE(head_of(*stream));
  runner_.settle();
  EXPECT_GE(peer_.unread(), 1'000'000U - limits::kFirstRead);
}

// A server that is going down resets a new connection before anything was sent on it.
TEST_F(H1ClientConnection, ARequestOfWhichNothingCouldBeWrittenHasNotStarted) {
  request_.method = Method::post;
  request_.method_text = "POST";
  auto stream = connection_->open_stream();
  stream->stage_head(request_, "/x", "example");
  peer_.reset();
  EXPECT_FALSE(runner_.run(stream->send_body(Piece({}, true))));
  EXPECT_EQ(peer_.received_bytes(), 0U);
  EXPECT_FALSE(stream->request_started());
}

}  // namespace
}  // namespace revproxyd::http::h1

#include "http/h2/client_stream.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tests/unit/http/h2/client_fixture.h"

namespace revproxyd::http::h2 {
namespace {

namespace frames = revproxyd::testing::h2;
using std::chrono::seconds;

class H2ClientStream : public testing::ClientConnectionTest {
 protected:
  H2ClientStream() { greet(); }
  /// An answer without content to a request with `method`, and its body.
  std::string body_of(Method method, std::string_view text, std::string_view response) {
    auto stream = ask(method, text);
    send(response);
    EXPECT_TRUE(head_of(*stream));
    return read_all(stream->body());
  }
};

TEST_F(H2ClientStream, SendsARequestWithoutBodyInOneFrame) {
  request_.fields.add("X-Case", "Kept");
  const auto stream = ask();
  EXPECT_EQ(request(1).method(), "GET");
  EXPECT_EQ(request(1).path(), "/x");
  EXPECT_EQ(request(1).field(":scheme"), "http");
  EXPECT_EQ(request(1).field(":authority"), "example");
  EXPECT_EQ(request(1).field("x-case"), "Kept");
  EXPECT_TRUE(request(1).ended);
  EXPECT_EQ(state_.frames(frames::kData), 0U);
}

// RFC 9113 section 8.2.1.
TEST_F(H2ClientStream, SendsNamesInLowerCase) {
  request_.fields.add("X-Mixed-Case", "1");
  request_.fields.add(FieldName::user_agent, "test");
  request_.fields.add(FieldName::authorization, "Basic eA==");
  const auto stream = ask();
  ASSERT_EQ(request(1).fields.size(), 7U);
  for (const auto& [name, value] : request(1).fields)
    EXPECT_EQ(name.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), std::string::npos) << name;
}

TEST_F(H2ClientStream, SendsABodyWithItsLength) {
  const auto stream = begin(Method::post, "POST", {Framing::length, 6});
  EXPECT_TRUE(runner_.run(stream->send_body(Piece("abc", false))));
  EXPECT_TRUE(runner_.run(stream->send_body(Piece("def", true))));
  settle();
  EXPECT_EQ(request(1).field("content-length"), "6");
  EXPECT_EQ(request(1).body, "abcdef");
  EXPECT_TRUE(request(1).ended);
}

TEST_F(H2ClientStream, SendsABodyOfUnknownLengthWithTrailers) {
  const auto stream = begin(Method::post, "POST", {Framing::chunked, 0});
  EXPECT_TRUE(runner_.run(stream->send_body(Piece("abc", false))));
  Fields trailers(arena_);
  trailers.add("X-Sum", "1");
  EXPECT_TRUE(runner_.run(stream->finish(trailers)));
  settle();
  EXPECT_FALSE(request(1).has("content-length"));
  EXPECT_FALSE(request(1).has("transfer-encoding"));
  EXPECT_EQ(request(1).body, "abc");
  EXPECT_EQ(request(1).trailer("x-sum"), "1");
  EXPECT_TRUE(request(1).ended);
}

TEST_F(H2ClientStream, NeverEndsABodyThatIsShorterThanAnnounced) {
  auto stream = begin(Method::post, "POST", {Framing::length, 6});
  EXPECT_TRUE(runner_.run(stream->send_body(Piece("abc", false))));
  settle();
  EXPECT_FALSE(runner_.run(stream->send_body(Piece("de", true))));
  stream.reset();
  settle();
  EXPECT_FALSE(request(1).ended);
  EXPECT_EQ(request(1).reset, frames::kCancel);
}

TEST_F(H2ClientStream, ReadsHeadBodyAndTrailers) {
  const auto stream = ask();
  EXPECT_FALSE(stream->response_started());
  send(answer_head(1, {{"x-a", "1"}}) + frames::data(1, "body") +
       frames::headers(1, {{"x-sum", "2"}}));
  const auto head = head_of(*stream);
  ASSERT_TRUE(head);
  EXPECT_TRUE(stream->response_started());
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->fields.get("x-a"), "1");
  EXPECT_EQ(read_all(stream->body()), "body");
  ASSERT_NE(stream->body().trailers(), nullptr);
  EXPECT_EQ(stream->body().trailers()->get("x-sum"), "2");
}

TEST_F(H2ClientStream, KeepsAnswersApart) {
  const auto first = ask();
  const auto second = ask();
  send(answer_head(3) + answer_head(1) + frames::data(1, "fir") + frames::data(3, "second", true) +
       frames::data(1, "st", true));
  ASSERT_TRUE(head_of(*first));
  ASSERT_TRUE(head_of(*second));
  EXPECT_EQ(read_all(first->body()), "first");
  EXPECT_EQ(read_all(second->body()), "second");
}

TEST_F(H2ClientStream, GivesInterimHeadsOneByOneAndThenTheFinalOne) {
  const auto stream = ask();
  send(answer_head(1, {}, "100") + answer_head(1, {{"link", "</a>"}}, "103") +
       answer_head(1, {}, "204", frames::kEndBoth));
  for (const int status : {100, 103, 204}) {
    const auto head = head_of(*stream);
    ASSERT_TRUE(head);
    EXPECT_EQ(head->status, status);
  }
}

TEST_F(H2ClientStream, RefusesInterimHeadsWithoutEnd) {
  const auto stream = ask();
  for (std::uint32_t i = 0; i <= limits::kInterimResponses; ++i) send(answer_head(1, {}, "103"));
  for (std::uint32_t i = 0; i < limits::kInterimResponses; ++i) ASSERT_TRUE(head_of(*stream));
  EXPECT_EQ(failure_of(*stream), Code::malformed_response);
}

TEST_F(H2ClientStream, RefusesSwitchingProtocols) {
  EXPECT_EQ(failure_with(answer_head(1, {}, "101")), Code::malformed_response);
}

TEST_F(H2ClientStream, RefusesAHeadWithoutStatus) {
  EXPECT_EQ(failure_with(frames::headers(1, {{"x-a", "1"}})), Code::malformed_response);
}

TEST_F(H2ClientStream, RefusesFieldsThatBelongToAConnection) {
  EXPECT_EQ(failure_with(answer_head(1, {{"transfer-encoding", "chunked"}})),
            Code::malformed_response);
}

TEST_F(H2ClientStream, RefusesAnInterimHeadThatEndsTheStream) {
  EXPECT_EQ(failure_with(answer_head(1, {}, "103", frames::kEndBoth)), Code::malformed_response);
}

TEST_F(H2ClientStream, RefusesABodyBeforeTheFinalHead) {
  const auto stream = ask();
  send(answer_head(1, {}, "103") + frames::data(1, "x", true));
  ASSERT_TRUE(head_of(*stream));
  EXPECT_EQ(failure_of(*stream), Code::malformed_response);
  EXPECT_EQ(request(1).reset, frames::kProtocolError);
}

TEST_F(H2ClientStream, AMalformedAnswerIsResetAndHurtsNoOther) {
  const auto bad = ask();
  const auto good = ask();
  send(answer_head(1, {{"Upper", "1"}}) + answer(3));
  EXPECT_EQ(failure_of(*bad), Code::malformed_response);
  EXPECT_EQ(request(1).reset, frames::kProtocolError);
  ASSERT_TRUE(head_of(*good));
  EXPECT_EQ(read_all(good->body()), "ok");
}

// RFC 9110 section 6.4.1: whatever content-length says.
TEST_F(H2ClientStream, AnswersWithoutContentHaveNoBody) {
  const frames::Fields length{{"content-length", "5"}};
  EXPECT_EQ(body_of(Method::head, "HEAD", answer_head(1, length, "200", frames::kEndBoth)), "");
  EXPECT_EQ(body_of(Method::get, "GET", answer_head(3, length, "304", frames::kEndBoth)), "");
  EXPECT_EQ(body_of(Method::get, "GET", answer_head(5, {}, "204", frames::kEndBoth)), "");
}

TEST_F(H2ClientStream, AnEmptyFrameMayEndAnAnswerWithoutContent) {
  EXPECT_EQ(body_of(Method::head, "HEAD",
                    answer_head(1, {{"content-length", "5"}}) + frames::data(1, "", true)),
            "");
}

TEST_F(H2ClientStream, RefusesContentWhereThereIsNone) {
  const auto refused = [](const std::string& body) { return body == "<malformed_response>"; };
  EXPECT_TRUE(refused(body_of(Method::head, "HEAD", answer_head(1) + frames::data(1, "x", true))));
  EXPECT_TRUE(
      refused(body_of(Method::get, "GET", answer_head(3, {}, "304") + frames::data(3, "x", true))));
  EXPECT_TRUE(
      refused(body_of(Method::get, "GET", answer_head(5, {}, "204") + frames::data(5, "x", true))));
}

// RFC 9113 section 8.1.1.
TEST_F(H2ClientStream, RefusesABodyOtherThanAnnounced) {
  for (const auto& [id, body] : {std::pair(1U, "ab"), std::pair(3U, "abcd")}) {
    auto stream = ask();
    send(answer_head(id, {{"content-length", "3"}}) + frames::data(id, body, true));
    ASSERT_TRUE(head_of(*stream));
    EXPECT_TRUE(read_all(stream->body()).ends_with("<malformed_response>")) << body;
    EXPECT_EQ(request(id).reset, frames::kProtocolError);
  }
}

TEST_F(H2ClientStream, RefusesAnEndInPlaceOfAnnouncedContent) {
  const auto code =
      failure_with(answer_head(1, {{"content-length", "3"}}, "200", frames::kEndBoth));
  EXPECT_EQ(code, Code::malformed_response);
}

// RFC 9113 section 8.7.
TEST_F(H2ClientStream, ARefusedStreamWasNotBegun) {
  const auto stream = ask();
  EXPECT_TRUE(stream->request_started());
  send(frames::rst_stream(1, frames::kRefusedStream));
  EXPECT_EQ(failure_of(*stream), Code::reset);
  EXPECT_FALSE(stream->request_started());
}

TEST_F(H2ClientStream, ARefusedStreamWasATry) {
  const auto served = ask();
  const auto stream = ask();
  send(frames::rst_stream(3, frames::kRefusedStream));
  EXPECT_EQ(failure_of(*stream), Code::reset);
  EXPECT_FALSE(stream->overtaken());
}

TEST_F(H2ClientStream, AnyOtherResetMayComeAfterTheRequestWasLookedAt) {
  const auto stream = ask();
  send(frames::rst_stream(1, frames::kInternalError));
  EXPECT_EQ(failure_of(*stream), Code::reset);
  EXPECT_TRUE(stream->request_started());
}

TEST_F(H2ClientStream, AResetCutsABody) {
  const auto stream = ask();
  send(answer_head(1) + frames::data(1, "half") + frames::rst_stream(1, frames::kInternalError));
  ASSERT_TRUE(head_of(*stream));
  EXPECT_EQ(read_all(stream->body()), "half<reset>");
}

// RFC 9113 section 8.1: the server wants no more of the request, and the answer counts.
TEST_F(H2ClientStream, AWholeAnswerOutlivesAReset) {
  const auto stream = begin(Method::post, "POST", {Framing::chunked, 0});
  EXPECT_TRUE(runner_.run(stream->send_body(Piece("abc", false))));
  settle();
  send(answer(1, "early") + frames::rst_stream(1, frames::kNoError));
  ASSERT_TRUE(head_of(*stream));
  EXPECT_EQ(read_all(stream->body()), "early");
  EXPECT_FALSE(runner_.run(stream->send_body(Piece("def", true))));
}

// A staged request leaves with the next of its connection, perhaps long before its own turn comes.
TEST_F(H2ClientStream, AWholeExchangeOutlivesTheSendersDelay) {
  auto stream = ask();
  send(answer(1));
  EXPECT_TRUE(runner_.run(stream->send_body(Piece({}, true))));
  EXPECT_EQ(failure_of(*stream), Code::none);
  EXPECT_EQ(read_all(stream->body()), "ok");
}

TEST_F(H2ClientStream, ARequestThatWasResetBeforeItsSendersTurnFailsByItsAnswer) {
  auto stream = ask();
  send(frames::rst_stream(1, frames::kInternalError));
  EXPECT_TRUE(runner_.run(stream->send_body(Piece({}, true))));
  EXPECT_EQ(failure_of(*stream), Code::reset);
}

TEST_F(H2ClientStream, IsResetWhenItIsLeft) {
  ask().reset();
  settle();
  EXPECT_EQ(request(1).reset, frames::kCancel);
  EXPECT_TRUE(connection_->alive());
}

// RFC 9113 section 6.4: RST_STREAM for a stream that was never opened ends the connection.
TEST_F(H2ClientStream, IsNotResetWhenItIsLeftBeforeItWasOpened) {
  const auto first = ask();
  peer_.take_only(0);
  std::vector<std::unique_ptr<http::ClientStream>> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.push_back(begin(Method::get, "GET", {}));
    EXPECT_TRUE(runner_.run(waiting.back()->send_body(Piece({}, true))));
  }
  waiting.clear();
  peer_.take_all();
  settle();
  std::set<std::uint32_t> opened;
  for (const frames::Frame& frame : frames_) {
    if (frame.type == frames::kHeaders) opened.insert(frame.stream);
    if (frame.type == frames::kRstStream) {
      EXPECT_TRUE(opened.contains(frame.stream)) << frame.stream;
    }
  }
}

TEST_F(H2ClientStream, IsNotResetAfterAWholeExchange) {
  auto stream = ask();
  send(answer(1));
  ASSERT_TRUE(head_of(*stream));
  read_all(stream->body());
  stream.reset();
  settle();
  EXPECT_FALSE(request(1).reset);
}

TEST_F(H2ClientStream, WaitsForTheFirstByteOnlyForAWhile) {
  const auto stream = ask();
  stream->await_response(seconds(5));
  pass(seconds(5));
  EXPECT_EQ(failure_of(*stream), Code::first_byte_timeout);
}

TEST_F(H2ClientStream, InterimHeadsDoNotEndTheWait) {
  const auto stream = ask();
  stream->await_response(seconds(5));
  send(answer_head(1, {}, "103"));
  ASSERT_TRUE(head_of(*stream));
  pass(seconds(5));
  EXPECT_EQ(failure_of(*stream), Code::first_byte_timeout);
}

TEST_F(H2ClientStream, WaitsForTheBodyAsLongAsItsRulesSay) {
  const auto stream = ask();
  stream->set_body_rules({.stall = seconds(5), .stall_code = Code::idle_timeout});
  send(answer_head(1));
  ASSERT_TRUE(head_of(*stream));
  std::optional<Result<Piece>> piece;
  runner_.start(stream->body().read(), piece);
  pass(seconds(4));
  EXPECT_FALSE(piece);
  pass(seconds(1));
  ASSERT_TRUE(piece && !*piece);
  EXPECT_EQ(piece->error().code(), Code::idle_timeout);
}

// RFC 9113 section 6.9.1.
TEST_F(H2ClientStream, TheEndOfARequestNeedsNoWindow) {
  greet({{frames::kInitialWindowSize, 0}});
  auto stream = begin(Method::post, "POST", {Framing::chunked, 0});
  ASSERT_TRUE(runner_.run(stream->flush()));
  std::optional<Result<void>> sent;
  runner_.start(stream->send_body(Piece({}, true)), sent);
  settle();
  EXPECT_TRUE(sent && *sent);
  EXPECT_TRUE(request(1).ended);
  EXPECT_EQ(state_.frames(frames::kHeaders), 1U);
}

TEST_F(H2ClientStream, TheEndOfARequestDoesNotOvertakeItsHead) {
  greet({{frames::kInitialWindowSize, 0}});
  auto stream = begin(Method::post, "POST", {Framing::chunked, 0});
  std::optional<Result<void>> sent;
  runner_.start(stream->send_body(Piece({}, true)), sent);
  settle();
  EXPECT_TRUE(request(1).has_head());
  send(frames::window_update(1, 10));
  EXPECT_TRUE(sent && *sent);
  EXPECT_TRUE(request(1).ended);
}

TEST_F(H2ClientStream, TrailersDoNotOvertakeTheHead) {
  const auto stream = begin(Method::post, "POST", {Framing::chunked, 0});
  Fields trailers(arena_);
  trailers.add("X-Sum", "1");
  std::optional<Result<void>> sent;
  runner_.start(stream->finish(trailers), sent);
  settle();
  EXPECT_TRUE(sent && *sent);
  EXPECT_TRUE(request(1).ended);
  EXPECT_EQ(request(1).trailer("x-sum"), "1");
}

TEST_F(H2ClientStream, AWriteTakesAsLongAsItsLimitIsHeldAndThenHasAllOfItsTime) {
  greet({{frames::kInitialWindowSize, 0}});
  const auto stream = begin(Method::post, "POST", {Framing::length, 3});
  stream->set_write_limit(seconds(5));
  std::optional<Result<void>> sent;
  runner_.start(stream->send_body(Piece("abc", true)), sent);
  pass(seconds(4));
  stream->hold_write_limit(true);
  pass(seconds(13));
  EXPECT_FALSE(sent);
  stream->hold_write_limit(false);
  pass(seconds(4));
  EXPECT_FALSE(sent);
  pass(seconds(1));
  ASSERT_TRUE(sent && !*sent);
  EXPECT_EQ(sent->error().code(), Code::idle_timeout);
}

TEST_F(H2ClientStream, RefusesAHeadLargerThanAllowed) {
  const std::string large(16'000, 'a');
  const auto code = failure_with(answer_head(
      1, {{"x-a", large}, {"x-b", large}, {"x-c", large}, {"x-d", large}, {"x-e", large}}));
  EXPECT_EQ(code, Code::response_header_too_large);
}

// The server has answered and closed; a write meets that before the answer is read.
TEST_F(H2ClientStream, AWholeAnswerThatWaitsToBeReadOutlivesAFailingWrite) {
  auto first = ask();
  auto second = begin(Method::get, "GET", {});
  peer_.refuse_writes();
  peer_.hold(answer(1));  // has come, and the poller has not told of it yet
  EXPECT_TRUE(runner_.run(second->send_body(Piece({}, true))));
  settle();
  EXPECT_EQ(failure_of(*first), Code::none);
}

TEST_F(H2ClientStream, AGoawayThatWaitsToBeReadOutlivesAFailingWrite) {
  auto first = ask();
  auto second = ask();
  auto third = begin(Method::get, "GET", {});
  peer_.refuse_writes();
  peer_.hold(frames::goaway(1, frames::kNoError));
  EXPECT_TRUE(runner_.run(third->send_body(Piece({}, true))));
  settle();
  EXPECT_EQ(failure_of(*second), Code::reset);
  EXPECT_FALSE(second->request_started()) << "the server says that it has not looked at it";
}

}  // namespace
}  // namespace revproxyd::http::h2

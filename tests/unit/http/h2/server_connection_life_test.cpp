#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "http/h2/server_connection.h"
#include "revproxyd/base/limits.h"
#include "tests/unit/http/h2/server_fixture.h"

namespace revproxyd::http::h2 {
namespace {

namespace frames = revproxyd::testing::h2;
using std::chrono::seconds;

constexpr std::uint32_t kLastPossible = 0x7fffffff;

class H2ServerLife : public testing::ServerConnectionTest {
 protected:
  /// Answers the first request while the client takes nothing, and ends the connection.
  void finish_behind(const std::string& body) {
    auto stream = next_stream_of(get(1));
    peer_.take_only(0);
    stream->stage_head(head_of(200, *stream, {Framing::length, body.size()}));
    EXPECT_TRUE(runner_.run(stream->send_body(Piece(body, true))));
    stream.reset();
    finish();
  }
  /// finish(), as far as it comes without the client.
  void finish() {
    runner_.spawn(connection_->finish());
    settle();
  }
};

/// One whose client says nothing by itself.
class H2ServerLifeOfMuteClient : public testing::ServerConnectionTest {
 protected:
  H2ServerLifeOfMuteClient() : ServerConnectionTest({.answer = false, .give_window = true}) {}
};

// RFC 9113 section 6.8: first a GOAWAY that excludes nothing, then one that names the last stream.
TEST_F(H2ServerLifeOfMuteClient, AnnouncesADrainBeforeItRefusesStreams) {
  open();
  send(frames::settings_ack());
  auto before = next_stream_of(get(1));
  connection_->drain();
  settle();
  ASSERT_TRUE(state_.goaway());
  EXPECT_EQ(state_.goaway()->last, kLastPossible);
  EXPECT_EQ(state_.goaway()->code, frames::kNoError);
  auto meanwhile = next_stream_of(get(3));
  answer(std::move(before));
  answer(std::move(meanwhile));
  EXPECT_TRUE(message(1).ended && message(3).ended);
}

// RFC 9113 section 6.8: the last stream that GOAWAY names never rises.
TEST_F(H2ServerLifeOfMuteClient, NamesTheSameLastStreamWhateverTheClientOpensAfterwards) {
  open();
  send(frames::settings_ack() + get(1));
  auto stream = next_stream();
  connection_->drain();
  settle();
  const auto ping = std::ranges::find(frames_, frames::kPing, &frames::Frame::type);
  ASSERT_NE(ping, frames_.end());
  send(frames::ping(ping->payload, true));
  ASSERT_EQ(state_.goaway()->last, 1U);
  send(get(3) + get(5));
  answer(std::move(stream));
  runner_.spawn(connection_->finish());
  settle();
  EXPECT_EQ(state_.goaway()->last, 1U);
}

TEST_F(H2ServerLifeOfMuteClient, PartsWhenTheClientHasHeardOfTheDrain) {
  open();
  send(frames::settings_ack() + get(1));
  auto stream = next_stream();
  connection_->drain();
  settle();
  const auto ping = std::ranges::find(frames_, frames::kPing, &frames::Frame::type);
  ASSERT_NE(ping, frames_.end());
  EXPECT_EQ(frames_.back().type, frames::kPing) << "behind the GOAWAY whose arrival it proves";
  send(frames::ping(ping->payload, true));
  EXPECT_EQ(state_.goaway()->last, 1U);
}

TEST_F(H2ServerLifeOfMuteClient, PartsFromAClientThatDoesNotSayThatItHasHeard) {
  open();
  auto stream = next_stream_of(get(1));
  connection_->drain();
  pass(limits::kDrainTime);
  EXPECT_EQ(state_.goaway()->last, 1U);
  EXPECT_EQ(state_.goaway()->code, frames::kNoError);
}

TEST_F(H2ServerLife, AfterADrainFinishesOldStreamsAndTakesNone) {
  open();
  auto stream = next_stream_of(get(1));
  connection_->drain();
  settle();
  EXPECT_EQ(state_.goaway()->last, 1U);
  send(get(3));
  ask();
  EXPECT_FALSE(next_);
  EXPECT_FALSE(message(3).has_head());
  answer(std::move(stream));
  EXPECT_TRUE(message(1).ended);
  EXPECT_TRUE(drained());
}

TEST_F(H2ServerLife, DrainOfAnIdleConnectionEndsIt) {
  open();
  ask();
  connection_->drain();
  settle();
  EXPECT_TRUE(drained());
}

TEST_F(H2ServerLife, DrainsAfterAsManyRequestsAsAreAllowed) {
  ServerConnectionSettings settings;
  settings.requests = 2;
  open(settings);
  answer(next_stream_of(get(1)));
  EXPECT_FALSE(state_.goaway());
  auto last = next_stream_of(get(3));
  EXPECT_EQ(goaway_code(), frames::kNoError);
  answer(std::move(last));
  ask();
  EXPECT_TRUE(drained());
}

TEST_F(H2ServerLife, FinishEndsItsSideAndReadsForAWhile) {
  open();
  answer(next_stream_of(get(1)));
  connection_->drain();
  settle();
  finish();
  EXPECT_TRUE(peer_.saw_end());
  EXPECT_EQ(runner_.running(), 1U);
  peer_.end();
  settle();
  EXPECT_EQ(runner_.running(), 0U);
}

TEST_F(H2ServerLife, FinishSendsWhatWaitsForTheKernel) {
  open();
  finish_behind("ok");
  EXPECT_FALSE(peer_.saw_end());
  peer_.take_all();
  settle();
  EXPECT_TRUE(message(1).ended);
  EXPECT_TRUE(peer_.saw_end());
}

// A head that ends its stream and trailers are no content that waits for a window.
TEST_F(H2ServerLife, FinishSendsHeadsAndTrailersThatWaitForTheKernel) {
  open();
  auto bare = next_stream_of(get(1));
  auto with_trailers = next_stream_of(get(3));
  peer_.take_only(0);
  send(frames::ping("12345678"));
  bare->stage_head(head_of(204, *bare, {Framing::none, 0}));
  EXPECT_TRUE(runner_.run(bare->send_body(Piece({}, true))));
  with_trailers->stage_head(head_of(200, *with_trailers, {Framing::chunked, 0}));
  Fields trailers(with_trailers->arena());
  trailers.add("x-sum", "1");
  EXPECT_TRUE(runner_.run(with_trailers->finish(trailers)));
  bare.reset();
  with_trailers.reset();
  finish();
  peer_.take_all();
  settle();
  EXPECT_TRUE(message(1).ended);
  EXPECT_TRUE(message(3).ended);
  EXPECT_EQ(message(3).trailer("x-sum"), "1");
  EXPECT_EQ(goaway_code(), frames::kNoError);
  EXPECT_TRUE(peer_.saw_end());
}

TEST_F(H2ServerLife, FinishSendsResetsThatWaitForTheKernel) {
  open();
  auto stream = next_stream_of(get(1));
  stream->stage_head(head_of(200, *stream, {Framing::chunked, 0}));
  EXPECT_TRUE(runner_.run(stream->send_body(Piece("half", false))));
  peer_.take_only(0);
  send(frames::ping("12345678"));
  stream->reset(Code::internal);
  stream.reset();
  finish();
  peer_.take_all();
  settle();
  EXPECT_EQ(reset_code(1), frames::kInternalError);
  EXPECT_EQ(goaway_code(), frames::kNoError);
}

TEST_F(H2ServerLife, FinishHasTimeWhileTheClientTakesSome) {
  ServerConnectionSettings settings;
  settings.write = seconds(5);
  open(settings);
  const std::string body(10'000, 'b');
  finish_behind(body);
  for (int i = 0; i < 11; ++i) {
    pass(seconds(4));
    peer_.take_more(1000);
    settle();
  }
  EXPECT_TRUE(message(1).ended);
  EXPECT_EQ(message(1).body, body);
  EXPECT_TRUE(peer_.saw_end());
}

TEST_F(H2ServerLife, FinishGivesUpAClientThatTakesNothing) {
  ServerConnectionSettings settings;
  settings.write = seconds(5);
  open(settings);
  peer_.take_only(0);
  finish();
  pass(seconds(4));
  EXPECT_EQ(runner_.running(), 1U);
  pass(seconds(2));
  EXPECT_EQ(runner_.running(), 0U);
}

TEST_F(H2ServerLife, FinishGivesUpAClientThatTakesLessThanTheMinimumRate) {
  ServerConnectionSettings settings;
  settings.min_rate = 1000;
  open(settings);
  finish_behind(std::string(40'000, 'b'));
  const auto take_slowly = [&](int seconds_passed) {
    for (int i = 0; i < seconds_passed; ++i) {
      pass(seconds(1));
      peer_.take_more(800);
      settle();
    }
  };
  take_slowly(9);
  EXPECT_EQ(runner_.running(), 1U);
  take_slowly(3);
  EXPECT_EQ(runner_.running(), 0U);
}

TEST_F(H2ServerLife, FinishEndsItsSideAsSoonAsThereIsRoom) {
  open();
  peer_.take_end_with_room();
  peer_.take_only(frames::goaway(0, frames::kNoError).size());
  finish();
  EXPECT_EQ(goaway_code(), frames::kNoError);
  EXPECT_FALSE(peer_.saw_end());
  peer_.take_all();
  settle();
  EXPECT_TRUE(peer_.saw_end());
}

TEST_F(H2ServerLife, AClientThatGoesIsStillAnswered) {
  open();
  auto stream = next_stream_of(get(1) + frames::goaway(0, frames::kNoError));
  answer(std::move(stream));
  EXPECT_TRUE(message(1).ended);
  ask();
  EXPECT_TRUE(drained());
}

TEST_F(H2ServerLife, ATransportThatFailsCancelsEveryStream) {
  open();
  auto stream = next_stream_of(get(1));
  peer_.reset();
  settle();
  EXPECT_TRUE(stream->scope().cancelled());
  ask();
  EXPECT_EQ(failure(), Code::client_gone);
}

TEST_F(H2ServerLife, AClientThatTakesNothingIsGivenUp) {
  ServerConnectionSettings settings;
  settings.write = seconds(5);
  open(settings);
  auto stream = next_stream_of(get(1));
  peer_.take_only(0);
  stream->stage_head(head_of(200, *stream, {Framing::length, 2}));
  EXPECT_TRUE(runner_.run(stream->send_body(Piece("ok", true))));
  settle();
  pass(seconds(4));
  ask();
  EXPECT_EQ(failure(), Code::none);
  pass(seconds(2));
  EXPECT_EQ(failure(), Code::write_timeout);
}

class H2ServerJudges : public H2ServerLife {
 protected:
  /// A connection on which three offences within ten seconds are taken.
  void open_strict() {
    ServerConnectionSettings settings;
    settings.resets = {3, seconds(10)};
    open(settings);
  }
  void reset_streams(std::uint32_t first, int count) {
    for (int i = 0; i < count; ++i) {
      const auto id = first + 2 * static_cast<std::uint32_t>(i);
      send(get(id) + frames::rst_stream(id, frames::kCancel));
    }
  }
  /// What ends the connection when `bytes` come.
  std::optional<std::uint32_t> code_for(std::string_view bytes) {
    send(bytes);
    return goaway_code();
  }
};

TEST_F(H2ServerJudges, TellsAClientToGoThatResetsTooMuch) {
  open_strict();
  auto kept = next_stream_of(get(1));
  reset_streams(3, 3);
  EXPECT_FALSE(state_.goaway());
  reset_streams(9, 1);
  EXPECT_EQ(goaway_code(), frames::kEnhanceYourCalm);
  EXPECT_FALSE(kept->scope().cancelled());
  answer(std::move(kept));
  EXPECT_TRUE(message(1).ended);
}

TEST_F(H2ServerJudges, HoldsTheConnectionOfAClientThatWasToldToGo) {
  open_strict();
  reset_streams(1, 4);
  while (failure() == Code::none) ask();
  runner_.spawn(connection_->finish());
  EXPECT_FALSE(peer_.saw_end());
  pass(limits::kSentAway - Duration(200));
  EXPECT_FALSE(peer_.saw_end());
  pass(Duration(200));
  EXPECT_TRUE(peer_.saw_end());
}

TEST_F(H2ServerJudges, CutsAClientOffThatCarriesOn) {
  ServerConnectionSettings settings;
  settings.resets = {3, seconds(10)};
  open(settings);
  auto kept = next_stream_of(get(1));
  std::string bytes;
  for (std::uint32_t id = 3; id < 3 + 2 * 7; id += 2) bytes += get(id);
  for (std::uint32_t id = 3; id < 3 + 2 * 7; id += 2)
    bytes += frames::rst_stream(id, frames::kCancel);
  send(bytes);
  EXPECT_TRUE(kept->scope().cancelled());
  while (failure() == Code::none) ask();
  EXPECT_EQ(failure(), Code::reset_flood);
}

TEST_F(H2ServerJudges, ForgivesResetsThatAreFarApart) {
  open_strict();
  reset_streams(1, 3);
  pass(seconds(10));
  reset_streams(7, 3);
  EXPECT_FALSE(state_.goaway());
}

TEST_F(H2ServerJudges, CountsResetsThatTheClientProvokes) {
  open_strict();
  auto kept = next_stream_of(get(1));
  for (const std::uint32_t id : {3U, 5U, 7U, 9U}) send(frames::headers(id, {{":path", "/"}}));
  EXPECT_EQ(goaway_code(), frames::kEnhanceYourCalm);
}

TEST_F(H2ServerJudges, CountsFramesWithoutAUse) {
  open_strict();
  auto kept = next_stream_of(get(1));
  for (int i = 0; i < 200 && !state_.goaway(); ++i) send(frames::ping("12345678"));
  EXPECT_EQ(goaway_code(), frames::kEnhanceYourCalm);
}

TEST_F(H2ServerJudges, RefusesASectionWithoutEnd) {
  open_strict();
  std::string bytes = frames::headers_block(1, frames::literals(fields("GET", "/")), 0);
  for (int i = 0; i < 100; ++i)
    bytes += frames::continuation(1, frames::literals({{"x-a", "1"}}), 0);
  EXPECT_EQ(code_for(bytes), frames::kEnhanceYourCalm);
  ask();
  EXPECT_EQ(failure(), Code::header_flood);
}

TEST_F(H2ServerJudges, TakesFramesOfASectionByTheHeadThatIsAllowedHoweverLarge) {
  ServerConnectionSettings settings;
  settings.header_bytes = std::size_t{2} << 30;
  open(settings);
  std::string bytes = frames::headers_block(1, frames::literals(fields("GET", "/")), 1);
  for (int i = 0; i < 20; ++i)
    bytes += frames::continuation(1, frames::literals({{"x-a", "1"}}), 0);
  EXPECT_NE(next_stream_of(bytes + frames::continuation(1, {})), nullptr);
}

// RFC 9113 section 4.2.
TEST_F(H2ServerJudges, RefusesAFrameLargerThanAllowed) {
  open();
  EXPECT_EQ(code_for(post(1) + frames::data(1, std::string(frames::kDefaultFrameSize + 1, 'x'))),
            frames::kFrameSizeError);
}

// RFC 9113 section 5.1.
TEST_F(H2ServerJudges, RefusesDataOnAStreamThatHasEnded) {
  open();
  answer(next_stream_of(get(1)));
  EXPECT_EQ(code_for(frames::data(1, "x")), frames::kStreamClosed);
  ask();
  EXPECT_EQ(failure(), Code::protocol_error);
}

// RFC 9113 section 6.9; nghttp2 looks at streams that are open only.
TEST_F(H2ServerJudges, RefusesAnEmptyUpdateOfAStreamThatHasEnded) {
  open();
  answer(next_stream_of(get(1)));
  send(frames::window_update(1, 1));
  EXPECT_FALSE(state_.goaway()) << "may have been on its way";
  EXPECT_EQ(code_for(frames::window_update(1, 0)), frames::kProtocolError);
}

TEST_F(H2ServerJudges, RefusesASecondUseOfAStream) {
  open();
  answer(next_stream_of(get(1)));
  EXPECT_EQ(code_for(get(1)), frames::kStreamClosed);
}

TEST_F(H2ServerJudges, RefusesAStreamThatWasLeftOut) {
  open();
  answer(next_stream_of(get(5)));
  EXPECT_EQ(code_for(get(3)), frames::kProtocolError);
}

TEST_F(H2ServerJudges, SkipsWhatWasOnItsWayToAStreamThatItReset) {
  open();
  next_stream_of(post(1)).reset();
  settle();
  ASSERT_EQ(reset_code(1), frames::kCancel);
  send(frames::data(1, "late") + frames::data(1, "", true));
  EXPECT_FALSE(state_.goaway());
  answer(next_stream_of(get(3)));
  EXPECT_TRUE(message(3).ended);
}

/// With what cannot be on any connection.
class H2ServerRefuses : public H2ServerJudges, public ::testing::WithParamInterface<std::string> {};

TEST_P(H2ServerRefuses, AsAProtocolError) {
  open();
  EXPECT_EQ(code_for(GetParam()), frames::kProtocolError);
}

// RFC 9113 sections 5.1, 5.1.1, 6.3, 6.6, 6.9 and 6.10.
INSTANTIATE_TEST_SUITE_P(Frames, H2ServerRefuses,
                         ::testing::Values(frames::headers(2, {}), frames::headers(0, {}),
                                           frames::priority(0, 1), frames::priority(3, 3),
                                           frames::data(1, "x"), frames::window_update(0, 0),
                                           frames::window_update(1, 0), frames::window_update(1, 1),
                                           frames::continuation(1, "x"),
                                           frames::frame(frames::kPushPromise, frames::kEndHeaders,
                                                         1, std::string(4, '\0'))));

// RFC 9113 section 5.5.
TEST_F(H2ServerJudges, IgnoresFramesOfUnknownTypes) {
  open();
  send(frames::frame(0x77, 0xff, 0, "what") + get(1) + frames::frame(0x78, 0, 1, ""));
  answer(next_stream());
  EXPECT_TRUE(message(1).ended);
  EXPECT_FALSE(state_.goaway());
}

TEST_F(H2ServerJudges, RefusesAnythingButThePreface) {
  connection_ = std::make_unique<ServerConnection>(peer_.transport(), ServerConnectionSettings(),
                                                   scope_, Bytes());
  send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ask();
  EXPECT_EQ(failure(), Code::protocol_error);
}

}  // namespace
}  // namespace revproxyd::http::h2

#include "http/h2/frame_scan.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/h2_frames.h"

namespace revproxyd::http::h2 {
namespace {

namespace frames = revproxyd::testing::h2;

class Notes final : public FrameScan::Finder {
 public:
  std::vector<std::string> list;
  std::vector<std::size_t> places;  // of heads, in what was scanned last
  std::size_t most = 1000;          // of which it wants to hear
  std::size_t frames = 1000;        // that it takes
  std::vector<std::size_t> lengths;

 private:
  bool on_frame(const FrameScan::Frame& frame, std::size_t) noexcept override {
    if (lengths.size() == frames) return false;
    lengths.push_back(frame.length);
    return true;
  }
  void on_bad_priority() noexcept override { list.emplace_back("priority"); }
  void on_request_head(std::uint32_t stream, std::size_t at) noexcept override {
    note("head", stream);
    places.push_back(at);
  }
  void on_data_head(std::uint32_t stream, std::size_t at) noexcept override {
    note("data", stream);
    places.push_back(at);
  }
  void on_idle_head() noexcept override { list.emplace_back("idle"); }
  void on_empty_update(std::uint32_t stream) noexcept override { note("update", stream); }
  bool done() const noexcept override { return list.size() >= most; }
  void note(const char* what, std::uint32_t stream) {
    list.push_back(std::string(what) + " " + std::to_string(stream));
  }
};

using List = std::vector<std::string>;

List found(std::string_view bytes, std::size_t preface = 0) {
  Notes notes;
  FrameScan scan(preface);
  scan.scan(bytes, notes);
  return notes.list;
}

TEST(H2FrameScan, TellsHeadersAndDataWithTheirStreams) {
  const std::string bytes = frames::headers(1, {{"a", "b"}}) + frames::data(3, "x") +
                            frames::headers(0x7fffffff, {{"a", "b"}});
  EXPECT_EQ(found(bytes), (List{"head 1", "data 3", "head 2147483647"}));
}

TEST(H2FrameScan, TellsTheLengthOfEveryFrame) {
  Notes notes;
  FrameScan scan(0);
  scan.scan(frames::ping("12345678") + frames::data(1, "abc") + frames::data(1, ""), notes);
  EXPECT_EQ(notes.lengths, (std::vector<std::size_t>{8, 3, 0}));
}

TEST(H2FrameScan, GoesOnWithTheFrameThatWasNotTaken) {
  const std::string first = frames::ping("12345678");
  const std::string rest = frames::data(1, "abc") + frames::headers(3, {{"a", "b"}});
  Notes notes;
  notes.frames = 1;
  FrameScan scan(0);
  scan.scan(first + rest, notes);
  EXPECT_TRUE(notes.list.empty());
  notes.frames = 3;
  scan.scan(rest, notes);
  EXPECT_EQ(notes.list, (List{"data 1", "head 3"}));
}

TEST(H2FrameScan, TellsWhereAHeadBegins) {
  const std::string ping = frames::ping("12345678");
  const std::string headers = frames::headers(1, {{"a", "b"}});
  Notes notes;
  FrameScan scan(0);
  scan.scan(ping + headers + frames::data(1, "x"), notes);
  EXPECT_EQ(notes.places, (std::vector<std::size_t>{ping.size(), ping.size() + headers.size()}));
}

TEST(H2FrameScan, AHeadThatBeganBeforeIsAtTheBeginning) {
  const std::string bytes = frames::headers(1, {{"a", "b"}});
  for (std::size_t cut = 1; cut < frames::kFrameHead; ++cut) {
    Notes notes;
    FrameScan scan(0);
    scan.scan(Bytes(bytes).substr(0, cut), notes);
    EXPECT_TRUE(notes.list.empty());
    scan.scan(Bytes(bytes).substr(cut), notes);
    EXPECT_EQ(notes.places, std::vector<std::size_t>{0}) << cut;
  }
}

TEST(H2FrameScan, SkipsThePreface) {
  const std::string bytes = std::string(frames::kPreface) + frames::data(1, "x");
  EXPECT_EQ(found(bytes, frames::kPreface.size()), List{"data 1"});
}

// Everything that is looked at, between frames that are not.
std::string all_kinds() {
  return std::string(frames::kPreface) + frames::settings({{frames::kInitialWindowSize, 0}}) +
         frames::headers(1, {{"a", "b"}}, frames::kEndHeaders) + frames::data(1, "abc") +
         frames::priority(3, 3) + frames::data(1, "") + frames::window_update(0, 0) +
         frames::window_update(5, 1) + frames::window_update(5, 0) + frames::ping("12345678") +
         frames::frame(0x77, 0, 0, "what is this") + frames::rst_stream(1, 8) +
         frames::priority(0, 1) + frames::data(7, "", true);
}

TEST(H2FrameScan, FindsTheSameHoweverInputIsDivided) {
  const std::string bytes = all_kinds();
  const List whole = found(bytes, frames::kPreface.size());
  EXPECT_EQ(whole, (List{"head 1", "data 1", "priority", "idle", "data 1", "update 0", "update 5",
                         "idle", "priority", "data 7"}));
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    Notes notes;
    FrameScan scan(frames::kPreface.size());
    scan.scan(Bytes(bytes).substr(0, cut), notes);
    scan.scan(Bytes(bytes).substr(cut), notes);
    EXPECT_EQ(notes.list, whole) << cut;
  }
}

TEST(H2FrameScan, FindsTheSameByteByByte) {
  const std::string bytes = all_kinds();
  Notes notes;
  FrameScan scan(frames::kPreface.size());
  for (const char& byte : bytes) scan.scan(Bytes(&byte, 1), notes);
  EXPECT_EQ(notes.list, found(bytes, frames::kPreface.size()));
}

TEST(H2FrameScan, DoesNotTakePayloadForFrames) {
  const std::string inside = frames::priority(0, 0) + frames::window_update(0, 0);
  EXPECT_EQ(found(frames::data(1, inside) + frames::ping("12345678")), List{"data 1"});
  EXPECT_EQ(found(frames::frame(frames::kPing, 0, 0, inside)), List{});
}

TEST(H2FrameScan, SkipsPayloadLargerThanAFrameMayBe) {
  const std::string large(0xffffff, 'x');
  EXPECT_EQ(found(frames::frame(frames::kPing, 0, 0, large) + frames::data(1, "x")),
            List{"data 1"});
}

TEST(H2FrameScan, LeavesTheReservedBitOfAStreamOut) {
  std::string bytes = frames::data(1, "x");
  bytes[5] = '\x80';
  EXPECT_EQ(found(bytes), List{"data 1"});
}

// RFC 9113 section 6.3.
TEST(H2FrameScan, TellsPriorityOfStreamZero) {
  EXPECT_EQ(found(frames::priority(0, 1)), List{"priority"});
}

// RFC 7540 section 5.3.1.
TEST(H2FrameScan, TellsPriorityThatDependsOnItself) {
  EXPECT_EQ(found(frames::priority(3, 3)), List{"priority"});
  EXPECT_EQ(found(frames::priority(3, 3, 15, true)), List{"priority"});
  EXPECT_EQ(found(frames::priority(3, 1)), List{});
}

TEST(H2FrameScan, LeavesPriorityOfTheWrongSizeToOthers) {
  for (const std::size_t size : {0U, 4U, 6U})
    EXPECT_EQ(found(frames::frame(frames::kPriority, 0, 3, std::string(size, '\0'))), List{});
}

// RFC 9113 section 6.9.
TEST(H2FrameScan, TellsWindowUpdatesOfNothing) {
  EXPECT_EQ(found(frames::window_update(3, 0)), List{"update 3"});
  EXPECT_EQ(found(frames::window_update(3, 0x80000000)), List{"update 3"});
  EXPECT_EQ(found(frames::window_update(3, 1)), List{});
  EXPECT_EQ(found(frames::window_update(3, 0x01000000)), List{});
}

TEST(H2FrameScan, LeavesWindowUpdatesOfTheWrongSizeToOthers) {
  for (const std::size_t size : {0U, 3U, 5U})
    EXPECT_EQ(found(frames::frame(frames::kWindowUpdate, 0, 3, std::string(size, '\0'))), List{});
}

TEST(H2FrameScan, EmptyDataIsIdleUnlessItEndsAStream) {
  EXPECT_EQ(found(frames::data(1, "")), (List{"idle", "data 1"}));
  EXPECT_EQ(found(frames::data(1, "", true)), List{"data 1"});
}

TEST(H2FrameScan, FramesOfUnknownTypesAreIdle) {
  EXPECT_EQ(found(frames::frame(0x0a, 0, 0, "x")), List{"idle"});
  EXPECT_EQ(found(frames::frame(0xff, 0xff, 1, "")), List{"idle"});
}

TEST(H2FrameScan, StopsWhenNobodyListens) {
  Notes notes;
  notes.most = 2;
  FrameScan scan(0);
  scan.scan(frames::data(1, "x") + frames::data(3, "x") + frames::data(5, "x"), notes);
  EXPECT_EQ(notes.list, (List{"data 1", "data 3"}));
}

TEST(H2FrameScan, SaysNothingOfFramesThatOthersJudge) {
  EXPECT_EQ(
      found(frames::settings({{frames::kEnablePush, 0}}) + frames::settings_ack() +
            frames::rst_stream(1, 8) + frames::goaway(0, 0) + frames::continuation(1, "x") +
            frames::priority_update(1, "u=1") + frames::frame(frames::kPushPromise, 0, 1, "x")),
      List{});
}

}  // namespace
}  // namespace revproxyd::http::h2

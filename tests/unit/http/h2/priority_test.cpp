// In which order answers go out (RFC 9218 section 10).

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/http/h2/server_fixture.h"

namespace revproxyd::http::h2 {
namespace {

namespace frames = revproxyd::testing::h2;

// Many frames, and more than is gathered for one write.
constexpr std::size_t kLarge = 300'000;

class H2Priority : public testing::ServerConnectionTest {
 protected:
  void open_wide() {
    open({}, {{frames::kInitialWindowSize, 10'000'000}});
    send(frames::window_update(0, 10'000'000));
  }
  std::unique_ptr<http::ServerStream> request(std::uint32_t id, const std::string& priority) {
    return next_stream_of(
        get(id, priority.empty() ? frames::Fields() : frames::Fields{{"priority", priority}}));
  }
  void start(http::ServerStream& stream) {
    stream.stage_head(head_of(200, stream, {Framing::length, kLarge}));
    sent_.push_back(std::make_unique<std::optional<Result<void>>>());
    runner_.start(stream.send_body(Piece(text_, true)), *sent_.back());
  }
  /// Answers both while the client takes nothing; then it takes everything.
  void answer_both(http::ServerStream& one, http::ServerStream& other) {
    peer_.take_only(0);
    start(one);
    start(other);
    frames_.clear();
    peer_.take_all();
    settle();
  }
  /// Streams of DATA frames, in order, from the first one of `id`.
  std::vector<std::uint32_t> order_from(std::uint32_t id) const {
    std::vector<std::uint32_t> order;
    for (const frames::Frame& frame : frames_) {
      if (frame.type == frames::kData && (!order.empty() || frame.stream == id))
        order.push_back(frame.stream);
    }
    return order;
  }
  /// How often one stream follows the other.
  static std::size_t changes(const std::vector<std::uint32_t>& order) {
    std::size_t count = 0;
    for (std::size_t i = 1; i < order.size(); ++i) count += order[i] != order[i - 1] ? 1U : 0U;
    return count;
  }

  const std::string text_ = std::string(kLarge, 'x');
  std::vector<std::unique_ptr<std::optional<Result<void>>>> sent_;
};

TEST_F(H2Priority, TheMoreUrgentAnswerGoesFirst) {
  open_wide();
  auto late = request(1, "u=5");
  auto urgent = request(3, "u=1");
  answer_both(*late, *urgent);
  const auto order = order_from(3);
  ASSERT_FALSE(order.empty());
  EXPECT_EQ(changes(order), 1U);
  EXPECT_EQ(order.back(), 1U);
  EXPECT_TRUE(message(1).ended && message(3).ended);
}

TEST_F(H2Priority, ALessUrgentAnswerWaits) {
  open_wide();
  auto urgent = request(1, "u=1");
  auto late = request(3, "u=5");
  answer_both(*urgent, *late);
  const auto order = order_from(1);
  EXPECT_EQ(changes(order), 1U);
  EXPECT_EQ(order.back(), 3U);
}

TEST_F(H2Priority, UrgencyIsThreeUnlessItIsSaid) {
  open_wide();
  auto usual = request(1, "");
  auto urgent = request(3, "u=2");
  answer_both(*usual, *urgent);
  EXPECT_EQ(changes(order_from(3)), 1U);
}

TEST_F(H2Priority, AnswersThatAreNotIncrementalGoOneAfterTheOther) {
  open_wide();
  auto first = request(1, "u=3");
  auto second = request(3, "u=3");
  answer_both(*first, *second);
  EXPECT_EQ(changes(order_from(1)), 1U);
}

TEST_F(H2Priority, IncrementalAnswersShareTheConnection) {
  open_wide();
  auto first = request(1, "u=3, i");
  auto second = request(3, "u=3, i");
  answer_both(*first, *second);
  EXPECT_GT(changes(order_from(3)), 10U);
}

TEST_F(H2Priority, AnUpdateChangesTheOrder) {
  open_wide();
  auto first = request(1, "u=1");
  auto second = request(3, "u=5");
  send(frames::priority_update(3, "u=0"));
  answer_both(*first, *second);
  const auto order = order_from(3);
  ASSERT_FALSE(order.empty());
  EXPECT_EQ(changes(order), 1U);
  EXPECT_EQ(order.back(), 1U);
}

TEST_F(H2Priority, IgnoresAPriorityThatIsNone) {
  open_wide();
  auto first = request(1, "what?");
  auto second = request(3, "u=99");
  EXPECT_FALSE(first->refusal() || second->refusal());
  answer_both(*first, *second);
  EXPECT_TRUE(message(1).ended && message(3).ended);
}

}  // namespace
}  // namespace revproxyd::http::h2

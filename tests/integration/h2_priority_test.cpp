// Priorities of HTTP/2 (RFC 9218): of what is ready, the urgent is sent first.

#include <gtest/gtest.h>

#include "tests/support/h2_proxy.h"

namespace revproxyd::testing {

namespace {

// Bodies that come to the proxy in one piece with their head, and are there whole when the client
// opens its windows.
constexpr std::size_t kSmall = 2000;
// Bodies that are longer than every buffer on their way.
constexpr std::size_t kLarge = 500000;

/// A server that answers with as many bytes as the path says.
void sized(OriginExchange& exchange) {
  exchange.respond(std::string(std::stoul(exchange.request().target.substr(1)), 'b'), 200,
                   "Priority: u=0\r\n");
}

/// A client whose windows for streams are closed.
H2Client blocked(const H2Proxy& proxy) {
  H2ClientOptions options;
  options.settings = {{h2::kInitialWindowSize, 0}};
  return proxy.connect(options);
}

std::uint32_t ask(H2Client& client, std::size_t size, const std::string& priority) {
  h2::Fields more;
  if (!priority.empty()) more.emplace_back("priority", priority);
  return client.open(client.fields("GET", "/" + std::to_string(size), more));
}

/// Asks for bodies of these priorities; all can be sent when it returns.
std::vector<std::uint32_t> ask_all(H2Client& client, std::size_t size,
                                   const std::vector<std::string>& priorities) {
  std::vector<std::uint32_t> streams;
  for (const std::string& priority : priorities) {
    streams.push_back(ask(client, size, priority));
    EXPECT_EQ(client.response_head(streams.back()).status(), 200);
  }
  EXPECT_TRUE(client.round_trip());
  return streams;
}

/// Opens the windows of all streams at once; the streams in the order in which so many bodies then
/// end.
std::vector<std::uint32_t> open_windows(H2Client& client, std::size_t bodies) {
  client.settings({{h2::kInitialWindowSize, 0x7fffffff}});
  std::vector<std::uint32_t> out;
  while (out.size() < bodies) {
    const auto frame = client.read_frame();
    if (!frame) throw Disconnected("inside the bodies");
    if (frame->type == h2::kData && frame->has(h2::kEndStream)) out.push_back(frame->stream);
  }
  return out;
}

/// Windows that are closed stay so until drip().
H2ClientOptions by_drips() {
  H2ClientOptions options;
  options.settings = {{h2::kInitialWindowSize, 0}};
  options.state.give_window = false;
  return options;
}

/// Opens the windows of all streams and then, little by little, that of the connection, so that the
/// proxy always has more than it may send. Until the first of the bodies is whole; its stream.
std::uint32_t drip(H2Client& client, const std::vector<std::uint32_t>& streams) {
  constexpr std::uint32_t kDrip = 2000;
  client.settings({{h2::kInitialWindowSize, 0x7fffffff}});
  std::size_t window = static_cast<std::size_t>(h2::kDefaultWindow);
  for (;;) {
    std::uint32_t whole = 0;
    const bool used = client.read_until([&](const H2State& state) {
      std::size_t got = 0;
      for (const std::uint32_t stream : streams) {
        if (state.message(stream).ended) whole = stream;
        got += state.message(stream).body.size();
      }
      return whole != 0 || got == window;
    });
    if (whole != 0 || !used) return whole;
    client.send(h2::window_update(0, kDrip));
    window += kDrip;
  }
}

std::size_t size_of(const H2Client& client, std::uint32_t stream) {
  return client.state().message(stream).body.size();
}

using Order = std::vector<std::uint32_t>;

}  // namespace

// Of small bodies, which are there whole.

TEST(H2Priority, TheUrgentComesFirst) {
  const H2Proxy proxy(sized);
  H2Client client = blocked(proxy);
  const std::vector<int> urgencies{7, 3, 0, 5, 1, 6, 2, 4};
  std::vector<std::string> priorities;
  for (const int urgency : urgencies) priorities.push_back("u=" + std::to_string(urgency));
  const auto streams = ask_all(client, kSmall, priorities);
  Order expected(8);
  for (std::size_t i = 0; i < streams.size(); ++i)
    expected[static_cast<std::size_t>(urgencies[i])] = streams[i];
  EXPECT_EQ(open_windows(client, 8), expected);
}

TEST(H2Priority, RequestsThatSayNothingHaveUrgencyThree) {
  const H2Proxy proxy(sized);
  H2Client client = blocked(proxy);
  const auto streams = ask_all(client, kSmall, {"u=4", "", "u=2"});
  EXPECT_EQ(open_windows(client, 3), (Order{streams[2], streams[1], streams[0]}));
}

TEST(H2Priority, WhatIsOutOfRangeOrUnknownIsIgnored) {
  const H2Proxy proxy(sized);
  for (const char* odd : {"u=8", "u=-1", "u=fast", "x=1", "u", "%%"}) {
    H2Client client = blocked(proxy);
    const auto streams = ask_all(client, kSmall, {"u=4", odd, "u=2"});
    EXPECT_EQ(open_windows(client, 3), (Order{streams[2], streams[1], streams[0]})) << odd;
  }
}

TEST(H2Priority, OfTheSameUrgencyOneComesAfterTheOther) {
  const H2Proxy proxy(sized);
  H2Client client = blocked(proxy);
  const auto streams = ask_all(client, kSmall, {"u=5", "u=5", "u=5", "u=5"});
  EXPECT_EQ(open_windows(client, 4), streams);
}

TEST(H2Priority, AnUpdateChangesIt) {
  const H2Proxy proxy(sized);
  H2Client client = blocked(proxy);
  const auto streams = ask_all(client, kSmall, {"u=1", "u=5", "u=6"});
  client.send(h2::priority_update(streams[2], "u=0"));
  client.send(h2::priority_update(streams[0], "u=7"));
  EXPECT_EQ(open_windows(client, 3), (Order{streams[2], streams[1], streams[0]}));
}

TEST(H2Priority, AnUpdateBeforeTheRequestHolds) {
  const H2Proxy proxy(sized);
  H2Client client = blocked(proxy);
  const std::uint32_t first = ask_all(client, kSmall, {"u=2"})[0];
  client.send(h2::priority_update(first + 2, "u=0"));
  const std::uint32_t second = ask_all(client, kSmall, {""})[0];
  ASSERT_EQ(second, first + 2);
  EXPECT_EQ(open_windows(client, 2), (Order{second, first}));
}

// Of large ones, which come piece by piece while they are sent: between two pieces there may be
// nothing of the urgent one to send.

TEST(H2Priority, AnUrgentBodyIsNotHeldUpByOthers) {
  const H2Proxy proxy(sized);
  H2Client client = proxy.connect(by_drips());
  const auto streams = ask_all(client, kLarge, {"u=7", "u=0", "u=7"});
  EXPECT_EQ(drip(client, streams), streams[1]);
  EXPECT_LT(size_of(client, streams[0]) + size_of(client, streams[2]), kLarge / 5);
}

TEST(H2Priority, AnUrgentRequestOvertakesALongAnswerUnderWay) {
  const H2Proxy proxy(sized);
  H2ClientOptions options;
  options.state.give_window = false;
  H2Client client = proxy.connect(options);
  const std::uint32_t slow = ask(client, kLarge, "u=7");
  ASSERT_TRUE(client.read_until([&](const H2State& state) {
    return state.message(slow).body.size() == static_cast<std::size_t>(h2::kDefaultWindow);
  })) << "the window of the connection is used up";
  const std::uint32_t urgent = ask(client, kSmall, "u=0");
  EXPECT_EQ(client.response_head(urgent).status(), 200);
  ASSERT_TRUE(client.round_trip());
  client.send(h2::window_update(slow, kLarge) + h2::window_update(0, kSmall));
  EXPECT_EQ(client.response(urgent).body.size(), kSmall);
  EXPECT_EQ(size_of(client, slow), static_cast<std::size_t>(h2::kDefaultWindow));
}

TEST(H2Priority, AnUpdateHoldsForAnAnswerUnderWay) {
  const H2Proxy proxy(sized);
  H2Client client = proxy.connect(by_drips());
  const auto streams = ask_all(client, kLarge, {"u=1", "u=5"});
  client.send(h2::priority_update(streams[0], "u=6"));
  EXPECT_EQ(drip(client, streams), streams[1]);
  EXPECT_LT(size_of(client, streams[0]), kLarge / 5);
}

TEST(H2Priority, IncrementalBodiesShareWhatThereIs) {
  const H2Proxy proxy(sized);
  H2Client client = proxy.connect(by_drips());
  const auto streams = ask_all(client, kLarge, {"u=3, i", "u=3, i"});
  const std::uint32_t first = drip(client, streams);
  EXPECT_GT(size_of(client, first == streams[0] ? streams[1] : streams[0]), kLarge / 2);
}

TEST(H2Priority, OtherBodiesComeOneAfterTheOther) {
  const H2Proxy proxy(sized);
  H2Client client = proxy.connect(by_drips());
  const auto streams = ask_all(client, kLarge, {"u=3", "u=3"});
  EXPECT_EQ(drip(client, streams), streams[0]);
  EXPECT_LT(size_of(client, streams[1]), kLarge / 5);
}

TEST(H2Priority, TheFieldIsPassedOnBothWays) {
  const H2Proxy proxy(sized);
  H2Client client = proxy.connect();
  const H2Message answer = client.get("/10", {{"priority", "u=1, i"}});
  EXPECT_EQ(answer.field("priority"), "u=0");
  EXPECT_EQ(proxy.origin.request().field("Priority"), "u=1, i");
}

}  // namespace revproxyd::testing

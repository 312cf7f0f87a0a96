// Floods of HTTP/2 frames: the client is sent away, the proxy and its other clients do not notice.

#include "tests/support/h2_abuse.h"

#include <gtest/gtest.h>

namespace revproxyd::testing {

namespace {

constexpr std::uint32_t kMostWindow = 0x7fffffff;

// The same bytes 40 times in one batch.
Attack repeated(const std::string& bytes) {
  std::string batch;
  for (int i = 0; i < 40; ++i) batch += bytes;
  return [batch](H2Client& client) { client.send(batch); };
}

// Streams that have begun a request, and what comes upon each of them.
Attack on_streams(const std::function<std::string(std::uint32_t)>& bytes,
                  const h2::Fields& more = {}) {
  return [bytes, more](H2Client& client) {
    std::string batch;
    for (int i = 0; i < 20; ++i) {
      const std::uint32_t stream = client.next_stream();
      batch += h2::headers(stream, client.fields("POST", "/upload", more), h2::kEndHeaders) +
               bytes(stream);
    }
    client.send(batch);
  };
}

Attack pings() { return repeated(h2::ping("12345678")); }

Attack no_content(std::uint8_t padding) {
  return [padding](H2Client& client) {
    const std::uint32_t stream = client.open(client.fields("POST", "/upload"), false);
    std::string batch;
    for (int i = 0; i < 40; ++i)
      batch += padding == 0 ? h2::data(stream, {}) : h2::data(stream, {}, false, padding);
    client.send(batch + h2::data(stream, {}, true));
  };
}

// The connection ends at once, as it cannot go on.
void expect_cut_off(const std::string& code, std::uint32_t error, const std::string& bytes) {
  const AbusedProxy abused;
  H2Client other = abused.connect();
  EXPECT_EQ(other.get("/before").status(), 200);
  H2Client client = abused.connect();
  try {
    client.send(bytes);
  } catch (const Disconnected&) {
    // It was cut off while it sent.
  }
  EXPECT_TRUE(client.closes());
  if (client.state().goaway()) {
    EXPECT_EQ(client.state().goaway()->code, error);
  }
  EXPECT_TRUE(blamed(abused.proxy.daemon, code));
  EXPECT_EQ(other.get("/after").status(), 200);
}

// Requests without end, until the connection does.
bool goes_on_until_it_is_cut(H2Client& client) {
  return wait_until([&] {
    try {
      for (int i = 0; i < 40; ++i) client.open(client.fields("GET", "/more"));
    } catch (const Disconnected&) {
      return true;
    }
    return client.closes(Milliseconds(5));
  });
}

h2::Fields usual() {
  return {{":method", "GET"}, {":scheme", "http"}, {":authority", "test"}, {":path", "/"}};
}

}  // namespace

TEST(H2Abuse, RapidReset) {
  expect_sent_away("reset_flood", [](H2Client& client) {
    std::string batch;
    for (int i = 0; i < 40; ++i) {
      const std::uint32_t stream = client.next_stream();
      batch +=
          h2::headers(stream, client.fields("GET", "/reset")) + h2::rst_stream(stream, h2::kCancel);
    }
    client.send(batch);
  });
}

TEST(H2Abuse, RequestsThatAreResetAtOnceCostTheServersNothing) {
  const AbusedProxy abused;
  H2Client client = abused.connect();
  std::string batch;
  for (int i = 0; i < 40; ++i) {
    const std::uint32_t stream = client.next_stream();
    batch +=
        h2::headers(stream, client.fields("GET", "/reset")) + h2::rst_stream(stream, h2::kCancel);
  }
  client.send(batch);
  ASSERT_TRUE(client.round_trip());
  const Daemon& daemon = abused.proxy.daemon;
  const auto stats_say = [&](const std::string& text) {
    return daemon.ctl("stats").out.find(text) != std::string::npos;
  };
  EXPECT_TRUE(wait_until([&] { return stats_say("\"reasons\":{\"client_gone\":40}"); }));
  EXPECT_TRUE(stats_say("\"upstream_connect_failures\":0,"));
  EXPECT_EQ(abused.proxy.origin.connections(), 0U);
}

TEST(H2Abuse, ResetsProvokedByWindowsThatOverflow) {
  expect_sent_away("provoked_reset_flood", on_streams([](std::uint32_t stream) {
                     return h2::window_update(stream, kMostWindow);
                   }));
}

TEST(H2Abuse, ResetsProvokedByTrailersThatDoNotEndTheMessage) {
  expect_sent_away("provoked_reset_flood", on_streams([](std::uint32_t stream) {
                     return h2::headers(stream, {{"x-a", "1"}}, h2::kEndHeaders);
                   }),
                   pings());
}

TEST(H2Abuse, ResetsProvokedByMalformedRequests) {
  expect_sent_away(
      "provoked_reset_flood",
      [](H2Client& client) {
        std::string batch;
        for (int i = 0; i < 20; ++i)
          batch += h2::headers(client.next_stream(), client.fields("GET", "/", {{"X-Upper", "1"}}));
        client.send(batch);
      },
      pings());
}

TEST(H2Abuse, StreamsBeyondTheLimitBeforeItIsAcknowledged) {
  H2ClientOptions options;
  options.state.answer = false;
  AbusedProxy abused("limits: { h2_resets: 50/10s, h2_streams: 5 }\n");
  H2Client client = abused.connect(options);
  std::vector<std::uint32_t> served;
  for (int i = 0; i < 5; ++i) served.push_back(abused.open_held(client));
  const Attack more = [](H2Client& to) {
    for (int i = 0; i < 20; ++i) to.open(to.fields("GET", "/more"));
  };
  ASSERT_TRUE(provoke_goaway(client, more));
  EXPECT_EQ(client.goaway().code, h2::kEnhanceYourCalm);
  EXPECT_EQ(abused.proxy.origin.request_count(), served.size());
  abused.release();
  for (const std::uint32_t stream : served) EXPECT_EQ(client.response(stream).status(), 200);
  EXPECT_TRUE(client.closes());
  EXPECT_TRUE(blamed(abused.proxy.daemon, "provoked_reset_flood"));
}

TEST(H2Abuse, StreamsBeyondTheLimitAfterItIsAcknowledged) {
  AbusedProxy abused("limits: { h2_streams: 5 }\n");
  H2Client client = abused.connect();
  ASSERT_TRUE(client.read_until([](const H2State& state) { return state.settings_came(); }));
  for (int i = 0; i < 5; ++i) abused.open_held(client);
  client.open(client.fields("GET", "/more"));
  EXPECT_TRUE(client.read_until([](const H2State& state) { return state.goaway().has_value(); }));
  EXPECT_EQ(client.goaway().code, h2::kProtocolError);
  EXPECT_TRUE(client.closes());
  EXPECT_TRUE(blamed(abused.proxy.daemon, "protocol_error"));
  EXPECT_EQ(abused.connect().get("/other").status(), 200);
}

TEST(H2Abuse, SettingsFlood) { expect_sent_away("settings_flood", repeated(h2::settings())); }

TEST(H2Abuse, PingFlood) { expect_sent_away("ping_flood", pings()); }

TEST(H2Abuse, PriorityFlood) { expect_sent_away("priority_flood", repeated(h2::priority(1, 0))); }

TEST(H2Abuse, PriorityUpdateFlood) {
  expect_sent_away("priority_flood", repeated(h2::priority_update(1, "u=1")));
}

TEST(H2Abuse, WindowUpdateFlood) {
  expect_sent_away("window_update_flood", repeated(h2::window_update(0, 1)));
}

TEST(H2Abuse, EmptyDataFlood) { expect_sent_away("empty_frame_flood", no_content(0), pings()); }

TEST(H2Abuse, DataOfNothingButPadding) {
  expect_sent_away("empty_frame_flood", no_content(20), pings());
}

TEST(H2Abuse, ResetsOfStreamsThatAreOver) {
  const Attack attack = [](H2Client& client) {
    const std::uint32_t stream = client.open(client.fields("GET", "/over"));
    client.response(stream);
    std::string batch;
    for (int i = 0; i < 40; ++i) batch += h2::rst_stream(stream, h2::kCancel);
    client.send(batch);
  };
  expect_sent_away("empty_frame_flood", attack, pings());
}

TEST(H2Abuse, ContinuationsThatAreEmpty) {
  std::string bytes = h2::headers(1, usual(), h2::kEndStream);
  for (int i = 0; i < 10000; ++i) bytes += h2::continuation(1, {}, h2::kNone);
  expect_cut_off("header_flood", h2::kEnhanceYourCalm, bytes);
}

TEST(H2Abuse, ContinuationsThatAreSmall) {
  std::string bytes = h2::headers(1, usual(), h2::kEndStream);
  for (int i = 0; i < 10000; ++i)
    bytes += h2::continuation(1, h2::literals({{"x-a", "1"}}), h2::kNone);
  expect_cut_off("header_flood", h2::kEnhanceYourCalm, bytes);
}

TEST(H2Abuse, ContinuationsThatAreLarge) {
  std::string bytes = h2::headers(1, usual(), h2::kEndStream);
  for (int i = 0; i < 1000; ++i)
    bytes += h2::continuation(1, h2::literals({{"x-a", std::string(16000, 'a')}}), h2::kNone);
  expect_cut_off("header_flood", h2::kEnhanceYourCalm, bytes);
}

TEST(H2Abuse, PingsWhoseAnswersNobodyReads) {
  const AbusedProxy abused("limits: { h2_resets: 0 }\n");
  H2Client other = abused.connect();
  EXPECT_EQ(other.get("/before").status(), 200);
  H2Client client(RawClient::slow_reader(abused.proxy.daemon.port("web")));
  std::string pings;
  for (int i = 0; i < 1000; ++i) pings += h2::ping("12345678");
  // What the kernel holds both ways is some MiB.
  bool cut = false;
  for (int i = 0; i < 4000 && !cut; ++i) {
    try {
      cut = client.stream().send_some(pings, kPatience) == 0;
    } catch (const Disconnected&) {
      cut = true;
    }
  }
  EXPECT_TRUE(cut);
  EXPECT_TRUE(blamed(abused.proxy.daemon, "ping_flood"));
  EXPECT_EQ(other.get("/after").status(), 200);
}

TEST(H2Abuse, ResetsProvokedByMoreContentThanAnnounced) {
  expect_sent_away("provoked_reset_flood",
                   on_streams([](std::uint32_t stream) { return h2::data(stream, "123456"); },
                              {{"content-length", "5"}}));
}

TEST(H2Abuse, ResetsProvokedByLessContentThanAnnounced) {
  expect_sent_away("provoked_reset_flood",
                   on_streams([](std::uint32_t stream) { return h2::data(stream, "1234", true); },
                              {{"content-length", "5"}}));
}

TEST(H2Abuse, FramesThatNobodyKnows) {
  expect_sent_away("empty_frame_flood", repeated(h2::frame(0x55, 0, 0, "nothing")));
}

TEST(H2Abuse, DataOnItsWayWhenAStreamIsResetForItsLengthIsIgnored) {
  const AbusedProxy abused;
  H2Client client = abused.connect();
  const std::uint32_t stream =
      client.open(client.fields("POST", "/upload", {{"content-length", "5"}}), false);
  client.send(h2::data(stream, "1234567"));
  EXPECT_EQ(client.reset_code(stream), h2::kProtocolError);
  client.send(h2::data(stream, "more")).send(h2::data(stream, "x", true));
  EXPECT_EQ(client.get("/after").status(), 200);  // now: GOAWAY, STREAM_CLOSED
}

TEST(H2Abuse, RequestsThatGoOnAfterGoawayEndTheConnection) {
  AbusedProxy abused;
  H2Client client = abused.connect();
  abused.open_held(client);
  ASSERT_TRUE(provoke_goaway(client, pings()));
  // What crosses the GOAWAY on its way is no offence, what comes a second later is.
  EXPECT_TRUE(goes_on_until_it_is_cut(client));
}

TEST(H2Abuse, RequestsThatGoOnAfterTheClientsOwnGoawayEndTheConnection) {
  AbusedProxy abused;
  H2Client client = abused.connect();
  abused.open_held(client);
  client.send(h2::goaway(0, 0));
  EXPECT_TRUE(goes_on_until_it_is_cut(client));
  EXPECT_TRUE(blamed(abused.proxy.daemon, "reset_flood"));
}

TEST(H2Abuse, EmptyDataForAStreamThatWasReset) {
  const AbusedProxy abused;
  H2Client client = abused.connect();
  const std::uint32_t stream = client.open(client.fields("POST", "/upload"), false);
  client.send(h2::window_update(stream, kMostWindow));
  EXPECT_EQ(client.reset_code(stream), h2::kFlowControlError);
  EXPECT_TRUE(provoke_goaway(client, [&](H2Client& to) {
    std::string batch;
    for (int i = 0; i < 40; ++i) batch += h2::data(stream, {});
    to.send(batch);
  }));
}

TEST(H2Abuse, GoawayFlood) {
  AbusedProxy abused;
  H2Client client = abused.connect();
  abused.open_held(client);
  EXPECT_TRUE(provoke_end(client, repeated(h2::goaway(0, 0))));
}

}  // namespace revproxyd::testing

// The HTTP/2 client and origin of the tests, against each other: what they must not get wrong.

#include <gtest/gtest.h>

#include "tests/support/h2_client.h"
#include "tests/support/h2_origin.h"

namespace revproxyd::testing {

namespace {

std::string varied(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>('a' + i % 23);
  return out;
}

}  // namespace

TEST(H2Support, BuildsFramesByteForByte) {
  using namespace std::string_literals;
  EXPECT_EQ(h2::settings({{h2::kInitialWindowSize, 65536}}),
            "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x01\x00\x00"s);
  EXPECT_EQ(h2::data(3, "ab", true, 2), "\x00\x00\x05\x00\x09\x00\x00\x00\x03\x02"s + "ab\0\0"s);
  EXPECT_EQ(h2::rst_stream(1, h2::kCancel),
            "\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08"s);
  EXPECT_EQ(h2::priority(1, 3, 9, true),
            "\x00\x00\x05\x02\x00\x00\x00\x00\x01\x80\x00\x00\x03\x09"s);
  EXPECT_EQ(h2::goaway(5, 2, "x"),
            "\x00\x00\x09\x07\x00\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x02x"s);
  EXPECT_EQ(h2::literals({{"a", "bc"}}), "\x00\x01"s + "a\x02"s + "bc"s);
  // 300 = 127 + 173, and 173 = 0x2d + 128 (RFC 7541 section 5.1).
  EXPECT_EQ(h2::literals({{"a", std::string(300, 'x')}}).substr(3, 3), "\x7f\xad\x01");
}

TEST(H2Support, CutsFramesOnlyWhenTheyAreWhole) {
  const std::string bytes = h2::ping("12345678");
  std::string buffer;
  for (const char byte : bytes) {
    EXPECT_FALSE(h2::cut_frame(buffer));
    buffer += byte;
  }
  buffer += "rest";
  const auto frame = h2::cut_frame(buffer);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->type, h2::kPing);
  EXPECT_EQ(frame->payload, "12345678");
  EXPECT_EQ(buffer, "rest");
}

TEST(H2Support, CarriesARequestAndItsAnswer) {
  const H2Origin origin([](const H2Request& request) {
    request->respond(request->read_body() + "!", 201, {{"x-a", "1"}, {"x-a", "2"}});
  });
  H2Client client(origin.port());
  const H2Message answer = client.request(client.fields("POST", "/p", {{"x-b", "3"}}), "body");
  EXPECT_EQ(answer.status(), 201);
  EXPECT_EQ(answer.body, "body!");
  EXPECT_EQ(answer.field("x-a"), "1, 2");
  EXPECT_FALSE(answer.reset);
  EXPECT_EQ(origin.request().method(), "POST");
  EXPECT_EQ(origin.request().path(), "/p");
  EXPECT_EQ(origin.request().field(":scheme"), "http");
  EXPECT_EQ(origin.request().field("x-b"), "3");
  EXPECT_EQ(client.get("/again").body, "!");
  EXPECT_EQ(origin.connections(), 1U);
}

TEST(H2Support, SpeaksTls) {
  Certificates authority;
  H2OriginOptions options;
  options.tls = ServerTls{authority.issue_for({"a.example"}), ""};
  const std::string body = varied(300000);
  const H2Origin origin([&](const H2Request& request) { request->respond(request->read_body()); },
                        options);
  EXPECT_TRUE(origin.url().starts_with("https://"));
  H2Client client(origin.port(), ClientTls{});
  EXPECT_EQ(client.request(client.fields("POST", "/"), body).body, body);
  EXPECT_EQ(origin.request().field(":scheme"), "https");
}

TEST(H2Support, RefusesTlsWithoutH2) {
  Certificates authority;
  H2OriginOptions options;
  options.tls = ServerTls{authority.issue_for({"a.example"}), ""};
  const H2Origin origin([](const H2Request&) {}, options);
  ClientTls tls;
  tls.alpn = {"http/1.1"};
  EXPECT_THROW(H2Client(origin.port(), tls), TlsError);
}

TEST(H2Support, BodiesLargerThanEveryWindowPassBothWays) {
  const std::string body = varied(1000000);
  const H2Origin origin([](const H2Request& request) { request->respond(request->read_body()); });
  H2Client client(origin.port());
  EXPECT_EQ(client.request(client.fields("POST", "/"), body).body, body);
  EXPECT_GE(origin.links().front()->message(1).body.size(), body.size());
}

TEST(H2Support, SendsNoMoreThanTheWindow) {
  H2ClientOptions options;
  options.settings = {{h2::kInitialWindowSize, 10}};
  options.state.give_window = false;
  const H2Origin origin([](const H2Request& request) { request->respond("0123456789abcdef"); });
  H2Client client(origin.port(), options);
  const std::uint32_t stream = client.open(client.fields("GET", "/"));
  ASSERT_TRUE(client.read_until(
      [&](const H2State& state) { return state.message(stream).body.size() == 10; }));
  EXPECT_TRUE(client.stays_quiet(Milliseconds(100)));
  client.send(h2::window_update(stream, 5));
  EXPECT_TRUE(client.read_until(
      [&](const H2State& state) { return state.message(stream).body.size() == 15; }));
  client.settings({{h2::kInitialWindowSize, 11}});
  EXPECT_EQ(client.response(stream).body, "0123456789abcdef");
}

TEST(H2Support, AnswersRequestsInAnyOrder) {
  Gate begun;
  Gate first;
  H2Origin origin([&](const H2Request& request) {
    if (request->request().path() == "/slow") {
      begun.open();
      first.wait();
    }
    request->respond(request->request().path());
  });
  H2Client client(origin.port());
  const std::uint32_t slow = client.open(client.fields("GET", "/slow"));
  begun.wait();
  EXPECT_EQ(client.get("/quick").body, "/quick");
  EXPECT_FALSE(client.state().message(slow).has_head());
  first.open();
  EXPECT_EQ(client.response(slow).body, "/slow");
  EXPECT_EQ(origin.most_requests_at_once(), 2U);
}

TEST(H2Support, AnswersLaterFromAnotherThread) {
  std::mutex mutex;
  std::vector<H2Request> held;
  H2OriginOptions options;
  options.on_reader = true;
  const H2Origin origin(
      [&](const H2Request& request) {
        const std::lock_guard lock(mutex);
        held.push_back(request);
      },
      options);
  H2Client client(origin.port());
  const std::uint32_t first = client.open(client.fields("GET", "/1"));
  const std::uint32_t second = client.open(client.fields("GET", "/2"));
  ASSERT_TRUE(origin.wait_requests(2));
  EXPECT_TRUE(wait_until([&] {
    const std::lock_guard lock(mutex);
    return held.size() == 2;
  }));
  held[1]->respond("second");
  held[0]->respond("first");
  EXPECT_EQ(client.response(second).body, "second");
  EXPECT_EQ(client.response(first).body, "first");
}

TEST(H2Support, TellsInterimHeadsBodyAndTrailersApart) {
  const H2Origin origin([](const H2Request& request) {
    request->interim(103, {{"link", "</a>"}});
    request->interim(103, {{"link", "</b>"}});
    request->head(200, {{"x-a", "1"}});
    request->data("ab");
    request->data("cd");
    request->trailers({{"x-sum", "4"}});
  });
  H2Client client(origin.port());
  const H2Message answer = client.get("/");
  ASSERT_EQ(answer.interim.size(), 2U);
  EXPECT_EQ(answer.interim[1], (h2::Fields{{":status", "103"}, {"link", "</b>"}}));
  EXPECT_EQ(answer.fields, (h2::Fields{{":status", "200"}, {"x-a", "1"}}));
  EXPECT_EQ(answer.body, "abcd");
  EXPECT_EQ(answer.trailer("x-sum"), "4");
}

TEST(H2Support, CarriesHeadsOfSeveralFramesAndTrailersOfRequests) {
  const H2Origin origin([](const H2Request& request) { request->respond(request->read_body()); });
  H2Client client(origin.port());
  const std::string large(50000, 'x');
  const std::uint32_t stream = client.open(client.fields("POST", "/", {{"x-large", large}}), false);
  client.send(h2::data(stream, "body", false, 200));
  client.send(h2::headers(stream, {{"x-end", "1"}}));
  EXPECT_EQ(client.response(stream).body, "body");
  EXPECT_EQ(origin.request().field("x-large"), large);
  EXPECT_EQ(origin.request().trailer("x-end"), "1");
}

TEST(H2Support, SeesResetsOfBothSides) {
  std::atomic<std::uint32_t> seen = 0;
  const H2Origin origin([&](const H2Request& request) {
    if (request->request().path() == "/theirs") return request->reset(h2::kRefusedStream);
    seen = request->wait_reset().value_or(99);
  });
  H2Client client(origin.port());
  EXPECT_EQ(client.get("/theirs").reset, h2::kRefusedStream);
  const std::uint32_t ours = client.open(client.fields("GET", "/ours"));
  client.send(h2::rst_stream(ours, h2::kCancel));
  EXPECT_TRUE(wait_until([&] { return seen == h2::kCancel; }));
}

TEST(H2Support, SeesGoawayAndTheEnd) {
  const H2Origin origin([](const H2Request& request) {
    request->link().goaway(request->stream(), h2::kEnhanceYourCalm);
    request->respond("last");
    request->link().close();
  });
  H2Client client(origin.port());
  EXPECT_EQ(client.get("/").body, "last");
  EXPECT_EQ(client.goaway().last, 1U);
  EXPECT_EQ(client.goaway().code, h2::kEnhanceYourCalm);
  EXPECT_TRUE(client.closes());
}

TEST(H2Support, SaysWhatItsSettingsAre) {
  H2OriginOptions options;
  options.settings = {{h2::kMaxConcurrentStreams, 3}};
  const H2Origin origin([](const H2Request& request) { request->respond("ok"); }, options);
  H2Client client(origin.port());
  EXPECT_EQ(client.get("/").status(), 200);
  EXPECT_EQ(client.state().setting(h2::kMaxConcurrentStreams), 3U);
  EXPECT_TRUE(client.state().settings_acknowledged());
  EXPECT_TRUE(origin.links().front()->wait(
      [](const H2State& state) { return state.settings_acknowledged(); }));
}

TEST(H2Support, AnswersPingUnlessToldNotTo) {
  const H2Origin origin;
  H2Client client(origin.port());
  EXPECT_TRUE(client.round_trip());
  H2OriginOptions options;
  options.state.answer = false;
  const H2Origin silent([](const H2Request&) {}, options);
  H2Client unanswered(silent.port());
  unanswered.send(h2::ping("12345678"));
  ASSERT_TRUE(unanswered.read_frame());  // its SETTINGS
  EXPECT_TRUE(unanswered.stays_quiet(Milliseconds(100)));
}

TEST(H2Support, EndsOpenRequestsWhenItStops) {
  std::atomic<bool> told = false;
  H2Origin origin([&](const H2Request& request) {
    EXPECT_THROW(request->read_body(), Disconnected);
    told = true;
  });
  H2Client client(origin.port());
  client.open(client.fields("POST", "/"), false);
  ASSERT_TRUE(origin.wait_requests(1));
  origin.stop();
  EXPECT_TRUE(told);
  EXPECT_TRUE(client.closes());
}

}  // namespace revproxyd::testing

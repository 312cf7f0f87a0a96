// What streams: events at once and bodies whole, for every version on either side.

#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/h2_upstream.h"

namespace revproxyd::testing {

namespace {

enum class From { http11, http10, http2 };
enum class To { chunked, until_close, http2 };
using Pair = std::tuple<From, To>;

/// Lets the server send the next event only when the client has the one before.
class Release {
 public:
  void seen() {
    const std::lock_guard lock(mutex_);
    ++seen_;
    changed_.notify_all();
  }
  bool wait(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return seen_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t seen_ = 0;
};

constexpr std::size_t kEvents = 20;

/// Of tokens as language models send them, from very short to longer than a buffer.
std::string event(std::size_t index) {
  const std::size_t size = index % 5 == 4 ? 20000 : index;
  return "data: " + std::to_string(index) + std::string(size, 't') + "\n\n";
}

/// A server of either version that a test can ask for events and bodies.
class Server {
 public:
  Server(To kind, Release& release) : kind_(kind), release_(release) {
    if (kind == To::http2) {
      h2_ = std::make_unique<H2Origin>([this](const H2Request& request) { answer(request); });
    } else {
      h1_ = std::make_unique<Origin>([this](OriginExchange& exchange) { answer(exchange); });
    }
  }

  std::string url() const { return h2_ ? h2_->url() : h1_->url(); }
  std::string body;  // of /body

 private:
  void answer(const H2Request& request) {
    const std::string path = request->request().path();
    if (path == "/events") {
      request->head(200, {{"content-type", "text/event-stream"}});
      for (std::size_t i = 0; i < kEvents && release_.wait(i); ++i) request->data(event(i));
      return request->data({}, true);
    }
    if (path == "/check") return request->respond(request->read_body() == body ? "same" : "other");
    request->head(200);
    request->data(body, true);
  }

  void answer(OriginExchange& exchange) {
    const std::string path = exchange.request().target;
    if (path == "/check") return exchange.respond(exchange.read_body() == body ? "same" : "other");
    const bool chunked = kind_ == To::chunked;
    const auto send = [&](std::string_view bytes) {
      if (!chunked) return void(exchange.send(bytes));
      char size[24];
      std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
      exchange.send(size + std::string(bytes) + "\r\n");
    };
    exchange.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" +
                  std::string(chunked ? "Transfer-Encoding: chunked" : "Connection: close") +
                  "\r\n\r\n");
    if (path == "/events") {
      for (std::size_t i = 0; i < kEvents && release_.wait(i); ++i) send(event(i));
    } else {
      for (std::size_t at = 0; at < body.size(); at += 100000) send(body.substr(at, 100000));
    }
    if (chunked) exchange.send("0\r\n\r\n");
    if (!chunked) exchange.close();
  }

  To kind_;
  Release& release_;
  std::unique_ptr<Origin> h1_;
  std::unique_ptr<H2Origin> h2_;
};

std::string version_of(From from) { return from == From::http10 ? "HTTP/1.0" : "HTTP/1.1"; }

/// Ten megabytes in which no piece is like another.
const std::string& ten_megabytes() {
  static const std::string kBody = [] {
    std::string out;
    out.reserve(10'000'000);
    std::uint64_t state = 88172645463325252U;
    while (out.size() < 10'000'000) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      out.append(reinterpret_cast<const char*>(&state), sizeof state);
    }
    return out;
  }();
  return kBody;
}

// A window for siblings, none for the stream that is not read.
void give_window(H2Client& client, std::uint32_t stream) {
  client.send(h2::window_update(stream, 1000000));
}

class Streams : public ::testing::TestWithParam<Pair> {
 protected:
  From from() const { return std::get<0>(GetParam()); }
  Release release;
  Server server{std::get<1>(GetParam()), release};
  Daemon daemon{forward_to(server.url())};
};

std::string name_of(const ::testing::TestParamInfo<Pair>& info) {
  static constexpr const char* kFrom[] = {"Http11", "Http10", "Http2"};
  static constexpr const char* kTo[] = {"Chunks", "UntilClose", "Http2"};
  return std::string(kFrom[static_cast<int>(std::get<0>(info.param))]) + "From" +
         kTo[static_cast<int>(std::get<1>(info.param))];
}

}  // namespace

TEST_P(Streams, EveryEventComesBeforeTheNextIsSent) {
  if (from() == From::http2) {
    H2Client client(daemon.port());
    const std::uint32_t stream = client.open(client.fields("GET", "/events"));
    std::string all;
    for (std::size_t i = 0; i < kEvents; ++i) {
      all += event(i);
      ASSERT_TRUE(client.read_until([&](const H2State& state) {
        return state.message(stream).body == all;
      })) << i;
      release.seen();
    }
    EXPECT_EQ(client.response(stream).body, all);
    return;
  }
  RawClient client(daemon.port());
  client.send("GET /events " + version_of(from()) + "\r\nHost: test\r\n\r\n");
  EXPECT_EQ(client.response_head().field("Content-Type"), "text/event-stream");
  for (std::size_t i = 0; i < kEvents; ++i) {
    EXPECT_NE(client.until("\n\n").find("data: " + std::to_string(i)), std::string::npos);
    release.seen();
  }
  EXPECT_EQ(from() == From::http10 ? client.until_end() : client.until("0\r\n\r\n"),
            from() == From::http10 ? "" : "\r\n0\r\n\r\n");
}

TEST_P(Streams, TenMegabytesComeDownWhole) {
  server.body = ten_megabytes();
  if (from() == From::http2) {
    EXPECT_TRUE(H2Client(daemon.port()).get("/body").body == server.body);
    return;
  }
  RawClient client(daemon.port());
  client.send("GET /body " + version_of(from()) + "\r\nHost: test\r\n\r\n");
  EXPECT_TRUE(client.response().body == server.body);
}

TEST_P(Streams, TenMegabytesGoUpWhole) {
  server.body = ten_megabytes();
  if (from() == From::http2) {
    H2Client client(daemon.port());
    EXPECT_EQ(client.request(client.fields("POST", "/check"), server.body).body, "same");
    return;
  }
  RawClient client(daemon.port());
  client.send("POST /check " + version_of(from()) + "\r\nHost: test\r\nContent-Length: " +
              std::to_string(server.body.size()) + "\r\n\r\n");
  client.send(server.body);
  EXPECT_EQ(client.response().body, "same");
}

INSTANTIATE_TEST_SUITE_P(
    All, Streams,
    ::testing::Combine(::testing::Values(From::http11, From::http10, From::http2),
                       ::testing::Values(To::chunked, To::until_close, To::http2)),
    name_of);

// Both directions at once.

TEST(StreamsBothWays, EveryMessageIsAnsweredBeforeTheNextIsSent) {
  const H2Upstream proxy([](const H2Request& request) {
    request->head(200);
    std::size_t answered = 0;
    while (request->wait([&](const H2Message& message) {
      return message.body.size() > answered || message.ended;
    })) {
      const std::string all = request->request().body;
      if (all.size() == answered) break;
      request->data(all.substr(answered));
      answered = all.size();
    }
    request->trailers({{"x-sum", std::to_string(answered)}});
  });
  H2Client client = proxy.connect_h2();
  const std::uint32_t stream = client.open(client.fields("POST", "/echo"), false);
  std::string all;
  for (std::size_t i = 0; i < 30; ++i) {
    const std::string message = std::to_string(i) + std::string(i % 7 == 6 ? 20000 : i, 'm');
    all += message;
    client.send_body(stream, message, false);
    ASSERT_TRUE(client.read_until([&](const H2State& state) {
      return state.message(stream).body == all;
    })) << i;
  }
  client.send_body(stream, {}, true);
  EXPECT_EQ(client.response(stream).trailer("x-sum"), std::to_string(all.size()));
}

TEST(StreamsBothWays, TheHeadOfTheAnswerPassesBeforeAnyOfTheBody) {
  const H2Upstream proxy([](const H2Request& request) {
    request->head(200, {{"x-early", "1"}});
    request->read_body();
    request->data("done", true);
  });
  H2Client client = proxy.connect_h2();
  const std::uint32_t stream = client.open(client.fields("POST", "/"), false);
  EXPECT_EQ(client.response_head(stream).field("x-early"), "1");
  client.send_body(stream, "abc");
  EXPECT_EQ(client.response(stream).body, "done");
  RawClient other = proxy.connect();
  other.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(other.response_head().field("x-early"), "1");
  other.send("abc");
  EXPECT_NE(other.until("0\r\n\r\n").find("done"), std::string::npos);
}

TEST(StreamsBothWays, AStreamThatIsNotReadHoldsNoOther) {
  const std::string large(200000, 'x');
  const H2Upstream proxy([&](const H2Request& request) { request->respond(large); },
                         {.settings = {}, .more = "workers: 1\n", .origin = {}});
  H2ClientOptions options;
  options.settings = {{h2::kInitialWindowSize, 1000}};
  options.state.give_window = false;
  H2Client client = proxy.connect_h2(options);
  client.send(h2::window_update(0, 100'000'000));
  const std::uint32_t held = client.open(client.fields("GET", "/held"));
  ASSERT_TRUE(client.read_until(
      [&](const H2State& state) { return state.message(held).body.size() == 1000; }));
  std::vector<std::uint32_t> others;
  for (int i = 0; i < 19; ++i) {
    others.push_back(client.open(client.fields("GET", "/other")));
    give_window(client, others.back());
  }
  for (const std::uint32_t stream : others) EXPECT_TRUE(client.response(stream).body == large);
  EXPECT_EQ(client.state().message(held).body.size(), 1000U);
  give_window(client, held);
  EXPECT_TRUE(client.response(held).body == large);
  EXPECT_EQ(proxy.origin.connections(), 1U);
}

TEST(StreamsBothWays, AnUploadThatIsNotTakenHoldsNoOther) {
  Gate take;
  H2UpstreamOptions settings;
  settings.more = "workers: 1\n";
  settings.origin.settings = {{h2::kInitialWindowSize, 10000}};
  settings.origin.state.give_window = false;
  const H2Upstream proxy(
      [&](const H2Request& request) {
        request->link().send(h2::window_update(0, 10'000'000));
        if (request->request().path() == "/held") take.wait();
        request->link().send(h2::window_update(request->stream(), 1'000'000));
        H2Upstream::echo(request);
      },
      settings);
  H2Client client = proxy.connect_h2();
  const std::string body(100000, 'u');
  const std::uint32_t held = client.open(client.fields("POST", "/held"), false);
  // As much as the window that the proxy gives allows.
  std::size_t sent = 0;
  while (sent < body.size() &&
         client.read_until([&](const H2State& state) { return state.window(held) > 0; },
                           Milliseconds(300))) {
    const std::size_t size = std::min(client.state().window(held), body.size() - sent);
    client.send_body(held, body.substr(sent, size), false);
    sent += size;
  }
  for (int i = 0; i < 5; ++i) {
    const H2Message answer = client.request(client.fields("POST", "/other"), body);
    EXPECT_TRUE(answer.body == "POST /other " + body) << answer.body.size();
  }
  take.open();
  client.send_body(held, body.substr(sent));
  EXPECT_TRUE(client.response(held).body == "POST /held " + body);
}

}  // namespace revproxyd::testing

// Servers that speak HTTP/2 badly, slowly or not to the end, and clients that leave.

#include <gtest/gtest.h>

#include "tests/support/h2_upstream.h"

namespace revproxyd::testing {

namespace {

constexpr std::size_t kMiB = 1024 * 1024;

H2UpstreamOptions one_try(std::string settings = {}, std::string more = "workers: 1\n") {
  H2UpstreamOptions out;
  out.settings = "retry: { attempts: 1 }" + (settings.empty() ? "" : ", " + settings);
  out.more = std::move(more);
  return out;
}

struct BadHead {
  const char* what;
  h2::Fields fields;
};

const std::vector<BadHead>& bad_heads() {
  static const std::vector<BadHead> kAll{
      {"no status", {{"x-a", "1"}}},
      {"a status of letters", {{":status", "abc"}}},
      {"a status of two digits", {{":status", "20"}}},
      {"a status of four digits", {{":status", "0200"}}},
      {"a status with a sign", {{":status", "+20"}}},
      {"a status below 100", {{":status", "099"}}},
      {"a status above 599", {{":status", "600"}}},
      {"an empty status", {{":status", ""}}},
      {"two statuses", {{":status", "200"}, {":status", "200"}}},
      {"a status behind fields", {{"x-a", "1"}, {":status", "200"}}},
      {"a pseudo-field of requests", {{":status", "200"}, {":path", "/"}}},
      {"an unknown pseudo-field", {{":status", "200"}, {":x", "1"}}},
      {"upper case in a name", {{":status", "200"}, {"X-A", "1"}}},
      {"white space in a name", {{":status", "200"}, {"x a", "1"}}},
      {"a colon in a name", {{":status", "200"}, {"x:a", "1"}}},
      {"an empty name", {{":status", "200"}, {"", "1"}}},
      {"a line end in a name", {{":status", "200"}, {"x-a\r\nx-b", "1"}}},
      {"a line end in a value", {{":status", "200"}, {"x-a", "1\r\nx-b: 2"}}},
      {"a bare line feed in a value", {{":status", "200"}, {"x-a", "1\nx-b: 2"}}},
      {"NUL in a value", {{":status", "200"}, {"x-a", std::string("1\0", 2)}}},
      {"connection", {{":status", "200"}, {"connection", "close"}}},
      {"keep-alive", {{":status", "200"}, {"keep-alive", "timeout=5"}}},
      {"proxy-connection", {{":status", "200"}, {"proxy-connection", "close"}}},
      {"transfer-encoding", {{":status", "200"}, {"transfer-encoding", "chunked"}}},
      {"upgrade", {{":status", "200"}, {"upgrade", "websocket"}}},
      {"101", {{":status", "101"}, {"x-a", "1"}}},
      {"a length of letters", {{":status", "200"}, {"content-length", "abc"}}},
      {"a length with a sign", {{":status", "200"}, {"content-length", "+3"}}},
      {"two lengths", {{":status", "200"}, {"content-length", "3"}, {"content-length", "4"}}},
      {"a list of lengths", {{":status", "200"}, {"content-length", "3, 4"}}},
  };
  return kAll;
}

std::string endless_continuation() {
  std::string all;
  for (int i = 0; i < 1000; ++i) all += h2::frame(h2::kContinuation, 0, 1, "");
  return all;
}

/// The number of the row is the path.
std::size_t row_of(const H2Request& request) {
  return static_cast<std::size_t>(std::stoul(request->request().path().substr(1)));
}

}  // namespace

TEST(H2UpstreamFaults, BrokenHeadsAreBadGateways) {
  const H2Upstream proxy(
      [](const H2Request& request) {
        if (request->request().path() == "/good") return request->respond("ok");
        request->link().send(
            h2::headers(request->stream(), bad_heads()[row_of(request)].fields, h2::kEndHeaders));
        request->link().send(h2::data(request->stream(), "stolen", true));
      },
      one_try());
  RawClient client = proxy.connect();
  H2Client other = proxy.connect_h2();
  for (std::size_t row = 0; row < bad_heads().size(); ++row) {
    SCOPED_TRACE(bad_heads()[row].what);
    const std::string path = "/" + std::to_string(row);
    const Response answer = client.get(path);
    EXPECT_EQ(answer.status, 502);
    EXPECT_EQ(answer.body.find("stolen"), std::string::npos);
    EXPECT_EQ(other.get(path).status(), 502);
    EXPECT_EQ(client.get("/good").body, "ok") << "nothing stands between the answers";
  }
  for (std::size_t row = 0; row < bad_heads().size(); ++row) {
    EXPECT_EQ(proxy.daemon.wait_access_of("/" + std::to_string(row)).why(), "malformed_response")
        << bad_heads()[row].what;
  }
}

TEST(H2UpstreamFaults, HeadsBeyondTheLimitAreBadGateways) {
  const H2Upstream proxy(
      [](const H2Request& request) {
        const std::size_t size = request->request().path() == "/large" ? 2100 : 1500;
        request->respond("ok", 200, {{"x-large", std::string(size, 'v')}});
      },
      one_try("limits: { response_header_bytes: 2KiB }"));
  EXPECT_EQ(proxy.get("/large").status, 502);
  EXPECT_EQ(proxy.daemon.wait_access_of("/large").why(), "response_header_too_large");
  EXPECT_EQ(proxy.get("/small").status, 200);
  EXPECT_EQ(proxy.origin.links()[0]->wait([](const H2State& state) {
    return state.setting(h2::kMaxHeaderListSize) == 2048U;
  }),
            true);
}

TEST(H2UpstreamFaults, EndlessInterimResponsesAreBadGateways) {
  const H2Upstream proxy(
      [](const H2Request& request) {
        std::string all;
        for (int i = 0; i < 40; ++i)
          all += h2::headers(request->stream(), {{":status", "103"}}, h2::kEndHeaders);
        // In one packet with what would be the answer.
        request->link().send(all + h2::headers(request->stream(), {{":status", "200"}}));
      },
      one_try());
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  Response answer = client.response();
  for (int i = 0; i < 40 && answer.status == 103; ++i) answer = client.response();
  EXPECT_EQ(answer.status, 502);
}

TEST(H2UpstreamFaults, AnInterimResponseThatEndsTheStreamIsABadGateway) {
  const H2Upstream proxy([](const H2Request& request) { request->head(103, {}, true); }, one_try());
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  Response answer = client.response();
  if (answer.status == 103) answer = client.response();
  EXPECT_EQ(answer.status, 502);
}

TEST(H2UpstreamFaults, FramesThatMayNotComeAreBadGateways) {
  struct Row {
    const char* what;
    std::string bytes;
  };
  const std::vector<Row> rows{
      {"DATA before HEADERS", h2::data(1, "abc", true)},
      {"HEADERS of a stream that is idle", h2::headers(9, {{":status", "200"}})},
      {"HEADERS of a stream of the server's", h2::headers(2, {{":status", "200"}})},
      {"PUSH_PROMISE",
       h2::frame(h2::kPushPromise, h2::kEndHeaders, 1,
                 std::string("\0\0\0\2", 4) + h2::literals({{":method", "GET"},
                                                            {":scheme", "http"},
                                                            {":authority", "test"},
                                                            {":path", "/pushed"}}))},
      {"a block that cannot be decoded", h2::headers_block(1, "\xff\xff\xff\xff\xff\xff\xff\xff")},
      {"a frame that is too large", h2::frame(h2::kData, 0, 1, std::string(20000, 'x'))},
      {"SETTINGS of a size that none has", h2::frame(h2::kSettings, 0, 0, "abc")},
      {"WINDOW_UPDATE of 0", h2::window_update(0, 0)},
      {"CONTINUATION without end", h2::frame(h2::kHeaders, 0, 1, "") + endless_continuation()},
      {"no HTTP/2", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    const H2Upstream proxy(
        [&](const H2Request& request) {
          if (request->request().path() == "/good") return request->respond("ok");
          request->link().send(row.bytes);
        },
        one_try());
    EXPECT_EQ(proxy.get("/bad").status, 502);
    EXPECT_EQ(proxy.daemon.wait_access_of("/bad").why(), "malformed_response");
    EXPECT_EQ(proxy.get("/good").status, 200);
  }
}

TEST(H2UpstreamFaults, AServerThatSpeaksHttp11IsABadGateway) {
  const Origin origin(
      [](OriginExchange& exchange) {
        exchange.stream().receive();
        exchange.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        exchange.close();
      },
      [] {
        OriginOptions options;
        options.raw = true;
        return options;
      }());
  const Daemon daemon(balance_over({"h2c://" + origin.address()}, "timeouts: { first_byte: 5s }"));
  EXPECT_EQ(fetch(daemon.port()).status, 502);
}

TEST(H2UpstreamFaults, ABodyOtherThanAnnouncedIsCut) {
  const H2Upstream proxy(
      [](const H2Request& request) {
        const std::string path = request->request().path();
        request->head(200, {{"content-length", "6"}}, path == "/none");
        if (path != "/none") request->data(path == "/short" ? "abc" : "abcdefghi", true);
      },
      one_try());
  for (const char* path : {"/short", "/long", "/none"}) {
    SCOPED_TRACE(path);
    RawClient client = proxy.connect();
    client.send("GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n\r\n");
    const Response head = client.response_head();
    if (head.status != 502) {
      EXPECT_EQ(head.field("Content-Length"), "6");
      EXPECT_LT(client.last_words().size(), 6U) << "the answer must not look whole";
    }
    H2Client other = proxy.connect_h2();
    const H2Message answer = other.get(path);
    EXPECT_TRUE(answer.status() == 502 || (!answer.ended && answer.reset)) << answer.body;
  }
}

TEST(H2UpstreamFaults, BrokenTrailersCutTheAnswer) {
  const std::vector<h2::Fields> rows{{{":status", "200"}},
                                     {{":x", "1"}},
                                     {{"X-Sum", "3"}},
                                     {{"connection", "close"}},
                                     {{"x-sum", "3\r\nx-b: 1"}}};
  for (const h2::Fields& trailers : rows) {
    SCOPED_TRACE(trailers.front().first);
    Gate seen;
    const H2Upstream proxy(
        [&](const H2Request& request) {
          request->head(200);
          request->data("abc");
          seen.wait();
          request->trailers(trailers);
        },
        one_try());
    RawClient client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    client.until("abc\r\n");
    seen.open();
    EXPECT_EQ(client.last_words(), "");
    H2Client other = proxy.connect_h2();
    const H2Message answer = other.get("/");
    EXPECT_FALSE(answer.ended);
    EXPECT_TRUE(answer.trailers.empty());
  }
}

TEST(H2UpstreamFaults, TrailersThatMayNotBeOnesAreDropped) {
  const H2Upstream proxy([](const H2Request& request) {
    request->head(200);
    request->data("abc");
    request->trailers({{"content-length", "3"}, {"x-sum", "3"}, {"set-cookie", "a=b"}});
  });
  const Response answer = proxy.get();
  EXPECT_EQ(answer.body, "abc");
  EXPECT_EQ(answer.trailer("x-sum"), "3");
  EXPECT_EQ(answer.trailer("content-length"), "");
}

TEST(H2UpstreamFaults, AResetInsideTheAnswerBreaksIt) {
  for (const std::uint32_t code : {h2::kInternalError, h2::kNoError, h2::kRefusedStream}) {
    SCOPED_TRACE(code);
    Gate seen;
    const H2Upstream proxy(
        [&](const H2Request& request) {
          const std::string path = request->request().path();
          if (path == "/good") return request->respond("ok");
          request->head(200, path == "/open" ? h2::Fields{} : h2::Fields{{"content-length", "10"}});
          request->data("abc");
          seen.wait();
          request->reset(code);
        },
        one_try());
    RawClient client = proxy.connect();
    client.send("GET /open HTTP/1.1\r\nHost: test\r\n\r\n");
    client.until("abc\r\n");
    RawClient second = proxy.connect();
    second.send("GET /length HTTP/1.1\r\nHost: test\r\n\r\n");
    second.until("abc");
    seen.open();
    EXPECT_EQ(client.last_words(), "") << "the answer must not look whole";
    EXPECT_EQ(second.last_words(), "");
    // The break comes in one packet with the head.
    RawClient third = proxy.connect();
    third.send("GET /open HTTP/1.1\r\nHost: test\r\n\r\n");
    EXPECT_EQ(third.last_words().find("0\r\n\r\n"), std::string::npos);
    H2Client other = proxy.connect_h2();
    for (const char* path : {"/open", "/length"}) {
      const H2Message answer = other.get(path);
      EXPECT_FALSE(answer.ended);
      EXPECT_TRUE(answer.reset);
    }
    EXPECT_EQ(proxy.get("/good").status, 200);
    EXPECT_EQ(proxy.origin.connections(), 1U);
  }
}

TEST(H2UpstreamFaults, AnAnswerBeforeTheEndOfTheUploadIsWhole) {
  const H2Upstream proxy(
      [](const H2Request& request) {
        if (request->request().path() == "/good") return request->respond("ok");
        request->respond("too large", 413);
        request->reset(h2::kNoError);
      },
      one_try());
  RawClient client = proxy.connect();
  client.send("POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 10000000\r\n\r\nabc");
  const Response answer = client.response();
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(answer.body, "too large");
  client.stream().close();
  H2Client other = proxy.connect_h2();
  const std::uint32_t stream = other.open(other.fields("POST", "/early"), false);
  const H2Message whole = other.response(stream);
  EXPECT_EQ(whole.body, "too large");
  EXPECT_TRUE(whole.ended);
  EXPECT_FALSE(proxy.daemon.wait_access_of("/early").has("why"));
  EXPECT_EQ(proxy.get("/good").status, 200);
  EXPECT_EQ(proxy.origin.connections(), 1U);
}

// Time.

TEST(H2UpstreamFaults, AServerThatDoesNotAnswerIsCancelledAndGets504) {
  std::atomic<bool> cancelled = false;
  const H2Upstream proxy(
      [&](const H2Request& request) {
        if (request->request().path() == "/good") return request->respond("ok");
        if (request->wait_reset() == h2::kCancel) cancelled = true;
      },
      one_try("timeouts: { first_byte: 300ms }"));
  const Stopwatch watch;
  EXPECT_EQ(proxy.get("/silent").status, 504);
  EXPECT_GE(watch.elapsed(), Milliseconds(250));
  EXPECT_EQ(proxy.daemon.wait_access_of("/silent").why(), "first_byte_timeout");
  EXPECT_TRUE(wait_until([&] { return cancelled.load(); }));
  EXPECT_EQ(proxy.get("/good").status, 200);
  EXPECT_EQ(proxy.origin.connections(), 1U) << "others go on over the same connection";
}

TEST(H2UpstreamFaults, AServerThatPausesInsideItsAnswerIsCut) {
  std::atomic<bool> cancelled = false;
  const H2Upstream proxy(
      [&](const H2Request& request) {
        request->head(200);
        request->data("abc");
        if (request->wait_reset() == h2::kCancel) cancelled = true;
      },
      one_try("timeouts: { idle: 300ms }"));
  RawClient client = proxy.connect();
  client.send("GET /pause HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_EQ(client.response_head().status, 200);
  EXPECT_EQ(client.last_words(), "3\r\nabc\r\n");
  EXPECT_EQ(proxy.daemon.wait_access_of("/pause").why(), "idle_timeout");
  EXPECT_TRUE(wait_until([&] { return cancelled.load(); }));
}

TEST(H2UpstreamFaults, AServerThatNeverSaysAWordGets504) {
  const Origin silent(
      [](OriginExchange& exchange) {
        exchange.peer_closes();
        exchange.close();
      },
      [] {
        OriginOptions options;
        options.raw = true;
        return options;
      }());
  const Daemon daemon(
      balance_over({"h2c://" + silent.address()}, "timeouts: { first_byte: 300ms }"));
  EXPECT_EQ(fetch(daemon.port()).status, 504);
}

// The pace of the slower side.

TEST(H2UpstreamFaults, ASlowClientHoldsBackTheServerAndNobodyElse) {
  std::atomic<std::size_t> sent = 0;
  std::atomic<bool> cancelled = false;
  const std::string block(16384, 'd');
  const H2Upstream proxy(
      [&](const H2Request& request) {
        if (request->request().path() != "/endless") return H2Upstream::echo(request);
        request->head(200);
        try {
          for (;; sent += block.size()) request->data(block);
        } catch (const Disconnected&) {
          if (request->wait_reset() == h2::kCancel) cancelled = true;
        }
      },
      one_try());
  const std::size_t before = proxy.daemon.rss_kib();
  {
    RawClient slow = RawClient::slow_reader(proxy.daemon.port());
    slow.send("GET /endless HTTP/1.1\r\nHost: test\r\n\r\n");
    EXPECT_EQ(slow.response_head().status, 200);
    std::size_t last = 1;
    EXPECT_TRUE(wait_until([&] {
      const std::size_t now = sent;
      const bool still = now == last;
      last = now;
      std::this_thread::sleep_for(Milliseconds(200));  // the time in which nothing may move
      return still && sent == now;
    }));
    EXPECT_LT(sent, 16 * kMiB);
    if (!sanitized()) {
      EXPECT_LT(proxy.daemon.rss_kib(), before + 16 * 1024);
    }
    for (int i = 0; i < 5; ++i) EXPECT_EQ(proxy.get("/other").status, 200);
    const std::string large(300000, 'l');
    RawClient poster = proxy.connect();
    poster.send(post_text("/large", large));
    EXPECT_TRUE(poster.response().body == "POST /large " + large);
    EXPECT_EQ(proxy.origin.connections(), 1U);
  }
  EXPECT_TRUE(wait_until([&] { return cancelled.load(); })) << "the client has left";
}

TEST(H2UpstreamFaults, AnUploadThatTheServerDoesNotTakeIsHeldBack) {
  H2UpstreamOptions options = one_try({}, "workers: 1\nlimits: { max_body: 0 }\n");
  options.origin.state.give_window = false;
  const H2Upstream proxy(
      [](const H2Request& request) {
        if (request->request().method() == "GET") return request->respond("ok");
        request->wait_reset();
      },
      options);
  EXPECT_EQ(proxy.get().status, 200);
  const std::size_t before = proxy.daemon.rss_kib();
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000\r\n\r\n");
  const std::string block(65536, 'u');
  std::size_t sent = 0;
  while (sent < 64 * kMiB) {
    const std::size_t took = client.stream().send_some(block, Milliseconds(300));
    if (took == 0) break;
    sent += took;
  }
  EXPECT_LT(sent, 64 * kMiB);
  if (!sanitized()) {
    EXPECT_LT(proxy.daemon.rss_kib(), before + 16 * 1024);
  }
  EXPECT_EQ(proxy.origin.request(1).body.size(), 65535U) << "the whole window and no more";
  EXPECT_EQ(proxy.get().status, 200);
  EXPECT_EQ(proxy.origin.connections(), 1U);
}

TEST(H2UpstreamFaults, AnUploadThatTheServerDoesNotTakeInTimeGets504) {
  H2UpstreamOptions options = one_try("timeouts: { idle: 300ms, first_byte: 300ms }");
  options.origin.state.give_window = false;
  const H2Upstream proxy([](const H2Request& request) { request->wait_reset(); }, options);
  RawClient client = proxy.connect();
  client.send(post_text("/stalls", std::string(200000, 'u')));
  EXPECT_EQ(client.response().status, 504);
  EXPECT_EQ(proxy.daemon.wait_access_of("/stalls").why(), "idle_timeout");
}

TEST(H2UpstreamFaults, AClientThatLeavesCancelsItsRequest) {
  std::atomic<int> cancelled = 0;
  const H2Upstream proxy(
      [&](const H2Request& request) {
        if (request->request().path() == "/good") return request->respond("ok");
        if (request->request().path() == "/begun") {
          request->head(200);
          request->data("abc");
        }
        if (request->wait_reset() == h2::kCancel) ++cancelled;
      },
      one_try());
  int expected = 0;
  for (const char* path : {"/silent", "/begun"}) {
    {
      std::vector<RawClient> clients = ask_at_once(proxy.daemon.port(), 1, path);
      ASSERT_TRUE(proxy.origin.wait_requests(static_cast<std::size_t>(expected) + 1));
      if (path == std::string("/begun")) clients[0].until("abc");
    }
    ++expected;
    EXPECT_TRUE(wait_until([&] { return cancelled == expected; })) << path;
    EXPECT_EQ(proxy.daemon.wait_access_of(path).why(), "client_gone");
  }
  {
    H2Client client = proxy.connect_h2();
    const std::uint32_t stream = client.open(client.fields("GET", "/silent"));
    ASSERT_TRUE(proxy.origin.wait_requests(3));
    client.send(h2::rst_stream(stream, h2::kCancel));
    EXPECT_TRUE(wait_until([&] { return cancelled == 3; }));
    EXPECT_EQ(client.get("/good").status(), 200);
  }
  EXPECT_EQ(proxy.origin.connections(), 1U);
}

}  // namespace revproxyd::testing

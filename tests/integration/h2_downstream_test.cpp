// HTTP/2 towards clients, over TLS and by prior knowledge, in front of an HTTP/1.1 server.

#include <signal.h>

#include <array>

#include <gtest/gtest.h>

#include "tests/support/h2_proxy.h"

namespace revproxyd::testing {

TEST(H2Downstream, AnswersGetOverCleartextAndTls) {
  const H2Proxy proxy;
  H2Client clear = proxy.connect();
  H2Client tls = proxy.connect_tls();
  for (H2Client* client : {&clear, &tls}) {
    const H2Message answer = client->get("/a?b=c");
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(answer.body, "GET /a?b=c ");
    EXPECT_EQ(answer.field("x-from"), "origin");
    EXPECT_EQ(answer.field("content-length"), "11");
  }
  EXPECT_EQ(proxy.origin.request(0).field("X-Forwarded-Proto"), "http");
  EXPECT_EQ(proxy.origin.request(1).field("X-Forwarded-Proto"), "https");
  EXPECT_EQ(proxy.origin.request().field("Host"), "test");
}

TEST(H2Downstream, CarriesBodiesOverCleartextAndTls) {
  const H2Proxy proxy;
  std::string body(400000, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 23);
  H2Client clear = proxy.connect();
  H2Client tls = proxy.connect_tls();
  for (H2Client* client : {&clear, &tls}) {
    const H2Message answer = client->request(client->fields("POST", "/p"), body);
    EXPECT_EQ(answer.status(), 200);
    EXPECT_TRUE(answer.body == "POST /p " + body) << answer.body.size();
  }
}

TEST(H2Downstream, CarriesBodiesWithPaddingAndWithContentLength) {
  const H2Proxy proxy;
  H2Client client = proxy.connect();
  const std::uint32_t stream =
      client.open(client.fields("POST", "/", {{"content-length", "6"}}), false);
  client.send(h2::data(stream, "abc", false, 255)).send(h2::data(stream, "def", true, 0));
  EXPECT_EQ(client.response(stream).body, "POST / abcdef");
  EXPECT_EQ(proxy.origin.request().field("Content-Length"), "6");
}

TEST(H2Downstream, AServerThatBreaksOffIsToldInTheLog) {
  const H2Proxy proxy([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    exchange.close();
  });
  H2Client client = proxy.connect();
  const std::uint32_t stream = client.open(client.fields("GET", "/"));
  EXPECT_TRUE(client.reset_code(stream));
  EXPECT_NE(proxy.daemon.wait_log("warning: upstream").find("end_of_stream"), std::string::npos);
}

TEST(H2Downstream, CarriesTheLargestHeadThatAServerMaySend) {
  std::string large;
  for (int i = 0; i < 100; ++i)
    large += "X-Large-" + std::to_string(i) + ": " + std::string(50000, 'a') + "\r\n";
  Origin origin([&](OriginExchange& exchange) { exchange.respond("x", 200, large); });
  const Daemon daemon(balance_over({origin.url()}, "limits: { response_header_bytes: 16MiB }"));
  H2Client client(daemon.port());
  const H2Message answer = client.get("/");
  EXPECT_EQ(answer.status(), 200);
  EXPECT_EQ(answer.field("x-large-99").size(), 50000U);
}

// No failure of the server.
TEST(H2Downstream, AClientThatResetsIsNotToldInTheLog) {
  Gate release;
  const H2Proxy proxy([&](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    release.wait();
    exchange.close();
  });
  H2Client client = proxy.connect();
  const std::uint32_t stream = client.open(client.fields("GET", "/"));
  EXPECT_EQ(client.response_head(stream).status(), 200);
  client.send(h2::rst_stream(stream, h2::kCancel));
  EXPECT_EQ(proxy.daemon.wait_access_of("/").why(), "client_gone");
  release.open();
  EXPECT_EQ(proxy.daemon.log().find("warning: upstream"), std::string::npos);
}

TEST(H2Downstream, ServesCurl) {
  const H2Proxy proxy;
  const std::vector<std::vector<std::string>> calls{
      {"--http2", "-k", proxy.url("tls") + "/c"},
      {"--http2-prior-knowledge", proxy.url("web") + "/c"}};
  for (std::vector<std::string> call : calls) {
    call.insert(call.begin(),
                {"curl", "-s", "-w", " HTTP/%{http_version} %{http_code}", "-d", "x"});
    const CommandResult result = run_command(call);
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(result.out, "POST /c x HTTP/2 200");
  }
}

TEST(H2Downstream, ServesNghttp) {
  const H2Proxy proxy;
  for (const char* listener : {"tls", "web"}) {
    const CommandResult result =
        run_command({"nghttp", "--no-verify-peer", proxy.url(listener) + "/n"});
    if (result.status == 127) GTEST_SKIP() << "there is no nghttp";
    EXPECT_EQ(result.status, 0);
    EXPECT_NE(result.out.find("GET /n "), std::string::npos) << result.out;
  }
}

TEST(H2Downstream, ServesManyStreamsAtOnce) {
  const H2Proxy proxy;
  H2Client client = proxy.connect();
  std::vector<std::uint32_t> streams;
  for (int i = 0; i < 100; ++i)
    streams.push_back(client.open(client.fields("GET", "/" + std::to_string(i))));
  for (std::size_t i = 0; i < streams.size(); ++i)
    EXPECT_EQ(client.response(streams[i]).body, "GET /" + std::to_string(i) + " ");
}

// A turn takes only some of them, and the client, which does not read yet, sends nothing that would
// begin another.
TEST(H2Downstream, ServesManyRequestsThatCameWithThePreface) {
  constexpr std::uint32_t kCount = 40;
  const H2Proxy proxy;
  H2ClientOptions options;
  options.open = false;
  H2Client client = proxy.connect(options);
  std::string all = std::string(h2::kPreface) + h2::settings();
  for (std::uint32_t i = 0; i < kCount; ++i)
    all += h2::headers(client.next_stream(), client.fields("GET", "/"));
  client.send(all);
  EXPECT_TRUE(proxy.origin.wait_requests(kCount));
  for (std::uint32_t i = 0; i < kCount; ++i) EXPECT_EQ(client.response(2 * i + 1).status(), 200);
}

TEST(H2Downstream, AServerThatIsSlowHoldsNoOtherStream) {
  Gate slow;
  const H2Proxy proxy([&](OriginExchange& exchange) {
    if (exchange.request().target == "/slow") slow.wait();
    H2Proxy::echo(exchange);
  });
  H2Client client = proxy.connect();
  const std::uint32_t held = client.open(client.fields("GET", "/slow"));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(client.get("/quick").status(), 200);
  EXPECT_FALSE(client.state().message(held).has_head());
  slow.open();
  EXPECT_EQ(client.response(held).body, "GET /slow ");
}

TEST(H2Downstream, AStreamThatTakesNothingHoldsNoOtherStream) {
  const std::string large(300000, 'x');
  const H2Proxy proxy([&](OriginExchange& exchange) {
    exchange.respond(exchange.request().target == "/large" ? large : "small");
  });
  H2ClientOptions options;
  options.settings = {{h2::kInitialWindowSize, 1000}};
  options.state.give_window = false;
  H2Client client = proxy.connect(options);
  const std::uint32_t held = client.open(client.fields("GET", "/large"));
  ASSERT_TRUE(client.read_until(
      [&](const H2State& state) { return state.message(held).body.size() == 1000; }));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(client.get("/small").body, "small");
  EXPECT_EQ(client.state().message(held).body.size(), 1000U);
  client.send(h2::window_update(0, 1000000)).send(h2::window_update(held, 1000000));
  EXPECT_TRUE(client.response(held).body == large);
}

TEST(H2Downstream, AnUploadThatStallsHoldsNoOtherStream) {
  Gate read;
  const H2Proxy proxy([&](OriginExchange& exchange) {
    if (exchange.request().target == "/upload") read.wait();
    H2Proxy::echo(exchange);
  });
  H2Client client = proxy.connect();
  const std::string piece(16000, 'x');
  const std::uint32_t upload =
      client.open(client.fields("POST", "/upload", {{"content-length", "40000000"}}), false);
  // More than every buffer on the way holds, so that the window closes.
  while (
      client.read_until([&](const H2State& state) { return state.window(upload) >= piece.size(); },
                        Milliseconds(500))) {
    client.send_body(upload, piece, false);
    ASSERT_EQ(client.get("/other").status(), 200);
  }
  for (int i = 0; i < 5; ++i) EXPECT_EQ(client.get("/other").status(), 200);
  client.send(h2::rst_stream(upload, h2::kCancel));
  read.open();
  EXPECT_EQ(client.get("/other").status(), 200);
}

TEST(H2Downstream, TheWindowOfAnUploadThatIsReadGrows) {
  const H2Proxy proxy;
  H2Client client = proxy.connect();
  const std::string piece(16000, 'x');
  const std::uint32_t upload = client.open(client.fields("POST", "/upload"), false);
  const auto wide = [&](const H2State& state) { return state.window(upload) > 400000; };
  // An answer between two pieces: the reader waits for the next, however busy the machine is.
  for (int i = 0; i < 300 && !wide(client.state()); ++i) {
    client.send_body(upload, piece, false);
    ASSERT_EQ(client.get("/").status(), 200);
  }
  EXPECT_TRUE(client.read_until(wide));
  client.send_body(upload, "end", true);
  EXPECT_EQ(client.response(upload).status(), 200);
}

TEST(H2Downstream, CarriesTrailersOfAnswers) {
  const H2Proxy proxy([](OriginExchange& exchange) {
    exchange.send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\n"
        "X-Sum: 3\r\n\r\n");
  });
  H2Client client = proxy.connect();
  const H2Message answer = client.get("/", {{"te", "trailers"}});
  EXPECT_EQ(answer.body, "abc");
  EXPECT_EQ(answer.trailer("x-sum"), "3");
  EXPECT_FALSE(answer.has("transfer-encoding"));
}

TEST(H2Downstream, CarriesTrailersOfRequests) {
  const H2Proxy proxy;
  H2Client client = proxy.connect();
  const std::uint32_t stream = client.open(client.fields("POST", "/"), false);
  client.send(h2::data(stream, "abc")).send(h2::headers(stream, {{"x-sum", "3"}}));
  EXPECT_EQ(client.response(stream).body, "POST / abc");
  EXPECT_EQ(proxy.origin.request().trailer("X-Sum"), "3");
}

TEST(H2Downstream, CarriesInterimResponses) {
  const H2Proxy proxy([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    exchange.respond("ok");
  });
  H2Client client = proxy.connect();
  const H2Message answer = client.get("/");
  ASSERT_EQ(answer.interim.size(), 1U);
  EXPECT_EQ(answer.interim[0], (h2::Fields{{":status", "103"}, {"link", "</a.css>"}}));
  EXPECT_EQ(answer.status(), 200);
  EXPECT_EQ(answer.body, "ok");
}

TEST(H2Downstream, AnswersHeadWithoutContent) {
  const H2Proxy proxy([](OriginExchange& exchange) { exchange.respond("1234567"); });
  H2Client client = proxy.connect();
  const H2Message answer = client.request(client.fields("HEAD", "/"));
  EXPECT_EQ(answer.status(), 200);
  EXPECT_EQ(answer.field("content-length"), "7");
  EXPECT_EQ(answer.body, "");
  EXPECT_EQ(client.get("/").body, "1234567");
}

// RFC 9110 section 9.3.2; clients take content for a broken stream.
TEST(H2Downstream, AnswersAHeadThatIsRefusedWithoutContent) {
  const H2Proxy proxy;
  H2Client client = proxy.connect();
  h2::Fields fields = client.fields("HEAD", "/");
  fields.emplace_back("x_underscore", "1");
  const H2Message answer = client.request(fields);
  EXPECT_EQ(answer.status(), 400);
  EXPECT_EQ(answer.body, "");
  EXPECT_FALSE(answer.reset);
}

TEST(H2Downstream, AnswersWithoutContentHaveNone) {
  const H2Proxy proxy([](OriginExchange& exchange) {
    const bool modified = exchange.request().target == "/304";
    exchange.send(modified ? "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"
                           : "HTTP/1.1 204 No Content\r\n\r\n");
  });
  H2Client client = proxy.connect();
  const H2Message none = client.get("/204");
  EXPECT_EQ(none.status(), 204);
  EXPECT_EQ(none.body, "");
  EXPECT_FALSE(none.has("content-length"));
  const H2Message same = client.get("/304");
  EXPECT_EQ(same.status(), 304);
  EXPECT_EQ(same.field("etag"), "\"a\"");
  EXPECT_EQ(same.body, "");
}

namespace {

/// Much content at /large, none in any other answer, which says so.
void bare(OriginExchange& exchange) {
  const std::string& target = exchange.request().target;
  if (target == "/large") return exchange.respond(std::string(100000, 'x'));
  exchange.send(target == "/empty"
                    ? "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
                    : "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
}

}  // namespace

TEST(H2Downstream, AnswersWithoutContentEndWithTheirHead) {
  Origin origin(bare);
  const Daemon daemon(
      std::string(kPlainListener) +
      "routes: [ { path: /own, redirect: { to: /there } }, { path: /respond, respond: { "
      "status: 200 } }, { to: '" +
      origin.url() + "' } ]\n");
  H2Client client(daemon.port());
  for (const char* path : {"/own", "/respond", "/empty", "/moved"}) {
    const H2Message answer = client.get(path);
    EXPECT_TRUE(answer.ended) << path;
    EXPECT_EQ(answer.field("content-length"), "0") << path;
  }
  EXPECT_EQ(client.state().frames(h2::kData), 0U);
  EXPECT_EQ(client.request(client.fields("HEAD", "/own")).field("content-length"), "0");
}

TEST(H2Downstream, AnswersWithoutContentNeedNoWindow) {
  const H2Proxy proxy(bare, "timeouts: { write: 60s }\n");
  H2ClientOptions options;
  options.settings = {{h2::kInitialWindowSize, 1000000}};
  options.state.give_window = false;
  H2Client client = proxy.connect(options);
  const std::uint32_t large = client.open(client.fields("GET", "/large"));
  ASSERT_TRUE(client.read_until([&](const H2State& state) {
    return state.message(large).body.size() == static_cast<std::size_t>(h2::kDefaultWindow);
  }));
  EXPECT_EQ(client.get("/empty").status(), 200);
  EXPECT_EQ(client.get("/moved").status(), 302);
  for (const char* path : {"/empty", "/moved"})
    EXPECT_EQ(proxy.daemon.wait_access_of(path).why(), "") << path;
}

// RFC 9113 section 6.9.1.
TEST(H2Downstream, AnAnswerThatFillsTheWindowEnds) {
  const H2Proxy proxy([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + std::string(5000, 'x'));
    exchange.close();
  });
  H2ClientOptions options;
  options.settings = {{h2::kInitialWindowSize, 5000}};
  options.state.give_window = false;
  H2Client client = proxy.connect(options);
  const H2Message answer = client.get("/");
  EXPECT_TRUE(answer.ended);
  EXPECT_EQ(answer.body.size(), 5000U);
  EXPECT_TRUE(answer.trailers.empty());
  EXPECT_EQ(proxy.daemon.wait_access_of("/").why(), "");
}

TEST(H2Downstream, JoinsCookieCrumbs) {
  const H2Proxy proxy;
  H2Client client = proxy.connect();
  client.get("/", {{"cookie", "a=1"}, {"x-a", "1"}, {"cookie", "b=2"}, {"cookie", "c=3"}});
  EXPECT_EQ(proxy.origin.request().count("Cookie"), 1U);
  EXPECT_EQ(proxy.origin.request().field("Cookie"), "a=1; b=2; c=3");
}

TEST(H2Downstream, RefusesBodiesThatAreTooLarge) {
  const H2Proxy proxy("limits: { max_body: 1KiB }\n");
  H2Client client = proxy.connect();
  const std::uint32_t announced =
      client.open(client.fields("POST", "/", {{"content-length", "1025"}}), false);
  EXPECT_EQ(client.response(announced).status(), 413);
  const H2Message grown = client.request(client.fields("POST", "/"), std::string(1025, 'x'));
  EXPECT_EQ(grown.status(), 413);
  EXPECT_EQ(proxy.daemon.wait_access_why("body_too_large").status(), 413);
  EXPECT_EQ(client.request(client.fields("POST", "/"), std::string(1024, 'x')).status(), 200);
}

TEST(H2Downstream, RefusesHeadsThatAreTooLarge) {
  const H2Proxy proxy("limits: { header_bytes: 2KiB }\n");
  H2Client client = proxy.connect();
  EXPECT_EQ(client.get("/", {{"x-a", std::string(2100, 'a')}}).status(), 431);
  EXPECT_EQ(proxy.daemon.wait_access_why("header_too_large").status(), 431);
  EXPECT_EQ(client.get("/", {{"x-a", std::string(1500, 'a')}}).status(), 200);
  EXPECT_EQ(client.state().setting(h2::kMaxHeaderListSize), 2048U);
}

TEST(H2Downstream, RefusesTooManyFields) {
  const H2Proxy proxy("limits: { header_count: 10 }\n");
  H2Client client = proxy.connect();
  EXPECT_EQ(client.get("/", h2::Fields(11, {"x-a", "1"})).status(), 431);
  EXPECT_EQ(proxy.daemon.wait_access_why("too_many_fields").status(), 431);
  EXPECT_EQ(client.get("/", h2::Fields(5, {"x-a", "1"})).status(), 200);
}

TEST(H2Downstream, RefusesStreamsBeyondTheLimit) {
  Gate answer;
  const H2Proxy proxy(
      [&](OriginExchange& exchange) {
        answer.wait();
        H2Proxy::echo(exchange);
      },
      "limits: { h2_streams: 2 }\n");
  H2ClientOptions options;
  options.state.answer = false;  // the limit is not acknowledged, so that breaking it is no offence
  H2Client client = proxy.connect(options);
  ASSERT_TRUE(client.read_until([](const H2State& state) { return state.settings_came(); }));
  EXPECT_EQ(client.state().setting(h2::kMaxConcurrentStreams), 2U);
  const std::uint32_t first = client.open(client.fields("GET", "/1"));
  const std::uint32_t second = client.open(client.fields("GET", "/2"));
  EXPECT_EQ(client.get("/3").reset, h2::kRefusedStream);
  answer.open();
  EXPECT_EQ(client.response(first).body, "GET /1 ");
  EXPECT_EQ(client.response(second).body, "GET /2 ");
}

TEST(H2Downstream, AResetCancelsTheRequestToTheServer) {
  Gate closed;
  const H2Proxy proxy([&](OriginExchange& exchange) {
    if (exchange.request().target != "/cancelled") return H2Proxy::echo(exchange);
    if (exchange.peer_closes()) closed.open();
    exchange.close();
  });
  H2Client client = proxy.connect();
  const std::uint32_t stream = client.open(client.fields("GET", "/cancelled"));
  ASSERT_TRUE(proxy.origin.wait_requests(1));
  client.send(h2::rst_stream(stream, h2::kCancel));
  EXPECT_TRUE(closed.wait());
  EXPECT_EQ(proxy.daemon.wait_access_of("/cancelled").why(), "client_gone");
  EXPECT_EQ(client.get("/after").status(), 200);
}

TEST(H2Downstream, AServerThatBreaksOffResetsTheStream) {
  const H2Proxy proxy([](OriginExchange& exchange) {
    if (exchange.request().target != "/broken") return H2Proxy::echo(exchange);
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    exchange.close();
  });
  H2Client client = proxy.connect();
  const H2Message answer = client.get("/broken");
  EXPECT_EQ(answer.reset, h2::kInternalError);
  EXPECT_FALSE(answer.ended);
  EXPECT_EQ(client.get("/after").status(), 200);
}

TEST(H2Downstream, StoppingServesWhatIsUnderWay) {
  Gate answer;
  H2Proxy proxy(
      [&](OriginExchange& exchange) {
        answer.wait();
        H2Proxy::echo(exchange);
      },
      "shutdown: { drain: 10s }\n");
  H2Client client = proxy.connect();
  const std::uint32_t stream = client.open(client.fields("GET", "/last"));
  ASSERT_TRUE(proxy.origin.wait_requests(1));
  proxy.daemon.signal(SIGTERM);
  EXPECT_EQ(client.goaway().code, h2::kNoError);
  answer.open();
  EXPECT_EQ(client.response(stream).body, "GET /last ");
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(client.goaway().last, stream);
  EXPECT_EQ(proxy.daemon.wait_exit(), 0);
}

TEST(H2Downstream, StoppingEndsIdleConnections) {
  H2Proxy proxy("shutdown: { drain: 20s }\n");
  H2Client client = proxy.connect();
  EXPECT_EQ(client.get("/").status(), 200);
  proxy.daemon.signal(SIGTERM);
  EXPECT_EQ(client.goaway().code, h2::kNoError);
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(proxy.daemon.wait_exit(Milliseconds(5000)), 0);
}

TEST(H2Downstream, EndsAfterTheRequestsOfOneConnection) {
  const H2Proxy proxy("limits: { requests_per_connection: 3 }\n");
  H2Client client = proxy.connect();
  std::array<std::uint32_t, 3> streams{};
  for (std::uint32_t& stream : streams) stream = client.open(client.fields("GET", "/"));
  for (const std::uint32_t stream : streams) EXPECT_EQ(client.response(stream).status(), 200);
  EXPECT_EQ(client.goaway().code, h2::kNoError);
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(client.goaway().last, streams.back());
}

TEST(H2Downstream, EndsIdleConnectionsWithGoaway) {
  const H2Proxy proxy("timeouts: { keepalive: 300ms }\n");
  H2Client client = proxy.connect();
  EXPECT_EQ(client.get("/").status(), 200);
  const Stopwatch watch;
  EXPECT_EQ(client.goaway().code, h2::kNoError);
  EXPECT_GE(watch.elapsed(), Milliseconds(200));
  EXPECT_TRUE(client.closes());
}

TEST(H2Downstream, SpeaksHttp1OnTheSameListeners) {
  const H2Proxy proxy;
  EXPECT_EQ(fetch(proxy.daemon.port("web"), "/one").body, "GET /one ");
  ClientTls tls;
  tls.alpn = {"http/1.1"};
  RawClient client(proxy.daemon.port("tls"), tls);
  EXPECT_EQ(client.stream().alpn(), "http/1.1");
  EXPECT_EQ(client.get("/one").body, "GET /one ");
}

}  // namespace revproxyd::testing

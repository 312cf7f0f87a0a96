// Messages to and from servers that speak HTTP/2, by prior knowledge and by ALPN.

#include "tests/support/h2_upstream.h"

#include <gtest/gtest.h>

namespace revproxyd::testing {

namespace {

std::string large_body() {
  std::string body(400000, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 23);
  return body;
}

// The head alone, the body in pieces, with and without trailers; never a content-length.
void answer_in_pieces(const H2Request& request) {
  request->head(200);
  request->data("abc");
  if (request->request().path() == "/trailers") {
    request->data("def");
    request->trailers({{"x-sum", "6"}});
  } else {
    request->data("def", true);
  }
}

}  // namespace

TEST(H2Upstream, AnswersGetOverCleartextAndTls) {
  Certificates authority;
  for (const bool tls : {false, true}) {
    const H2Upstream proxy(H2Upstream::echo, tls ? under_tls(authority) : H2UpstreamOptions());
    const Response answer = proxy.get("/a?b=c", "X-One: 1\r\nx-two: 2\r\n");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "GET /a?b=c ");
    EXPECT_EQ(answer.field("x-from"), "origin");
    EXPECT_EQ(answer.field("Content-Length"), "11");
    const H2Message request = proxy.origin.request();
    EXPECT_EQ(request.field(":scheme"), tls ? "https" : "http");
    EXPECT_EQ(request.field(":authority"), "test");
    EXPECT_EQ(request.field("x-one"), "1");
    EXPECT_EQ(request.field("x-two"), "2");
    EXPECT_EQ(request.field("x-forwarded-proto"), "http");
    EXPECT_FALSE(request.has("host"));
    EXPECT_FALSE(request.has("content-length"));
  }
}

TEST(H2Upstream, FieldsOfTheConnectionGoNoFurther) {
  const H2Upstream proxy([](const H2Request& request) { request->respond("ok"); });
  proxy.get("/",
            "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers, "
            "gzip\r\nProxy-Connection: keep-alive\r\nX-End: 1\r\n");
  const H2Message request = proxy.origin.request();
  for (const char* name : {"connection", "x-hop", "keep-alive", "proxy-connection"})
    EXPECT_FALSE(request.has(name)) << name;
  EXPECT_EQ(request.field("x-end"), "1");
  EXPECT_TRUE(request.field("te") == "trailers" || !request.has("te")) << request.field("te");
}

TEST(H2Upstream, CarriesBodiesBothWays) {
  Certificates authority;
  const std::string body = large_body();
  for (const bool tls : {false, true}) {
    const H2Upstream proxy(H2Upstream::echo, tls ? under_tls(authority) : H2UpstreamOptions());
    RawClient client = proxy.connect();
    client.send(post_text("/p", body));
    EXPECT_TRUE(client.response().body == "POST /p " + body);
    EXPECT_EQ(proxy.origin.request().field("content-length"), std::to_string(body.size()));
    client.send(
        "POST /c HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n");
    EXPECT_EQ(client.response().body, "POST /c abcdef");
    EXPECT_FALSE(proxy.origin.request(1).has("content-length"));
    EXPECT_FALSE(proxy.origin.request(1).has("transfer-encoding"));
  }
}

TEST(H2Upstream, CarriesAnEmptyBody) {
  const H2Upstream proxy(H2Upstream::echo);
  RawClient client = proxy.connect();
  client.send(post_text("/p", ""));
  EXPECT_EQ(client.response().body, "POST /p ");
  EXPECT_EQ(proxy.origin.request().field("content-length"), "0");
  client.send("POST /c HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  EXPECT_EQ(client.response().body, "POST /c ");
}

TEST(H2Upstream, CarriesTrailersBothWays) {
  const H2Upstream proxy([](const H2Request& request) {
    request->read_body();
    answer_in_pieces(request);
  });
  RawClient client = proxy.connect();
  client.send(
      "POST /trailers HTTP/1.1\r\nHost: test\r\nTE: trailers\r\nTransfer-Encoding: "
      "chunked\r\nTrailer: X-Check\r\n\r\n3\r\nabc\r\n0\r\nX-Check: 7\r\n\r\n");
  const Response answer = client.response();
  EXPECT_EQ(answer.body, "abcdef");
  EXPECT_EQ(answer.trailer("x-sum"), "6");
  EXPECT_EQ(proxy.origin.request().trailer("x-check"), "7");
  EXPECT_EQ(proxy.origin.request().body, "abc");
  EXPECT_EQ(client.get("/after").body, "abcdef") << "the connection goes on";
}

TEST(H2Upstream, CarriesTrailersToClientsOfHttp2) {
  const H2Upstream proxy([](const H2Request& request) {
    request->read_body();
    answer_in_pieces(request);
  });
  H2Client client = proxy.connect_h2();
  const std::uint32_t stream =
      client.open(client.fields("POST", "/trailers", {{"te", "trailers"}}), false);
  client.send(h2::data(stream, "abc")).send(h2::headers(stream, {{"x-check", "7"}}));
  const H2Message answer = client.response(stream);
  EXPECT_EQ(answer.body, "abcdef");
  EXPECT_EQ(answer.trailer("x-sum"), "6");
  EXPECT_EQ(proxy.origin.request().trailer("x-check"), "7");
  EXPECT_EQ(proxy.origin.request().field("te"), "trailers");
}

// A length of 0 says nothing of trailers; only the end of the stream does.
TEST(H2Upstream, CarriesTrailersBehindALengthOfNothing) {
  const H2Upstream proxy([](const H2Request& request) {
    const bool ends = request->request().path() == "/ends";
    request->head(200, {{"content-length", "0"}}, ends);
    if (!ends) request->trailers({{"x-sum", "6"}});
  });
  H2Client client = proxy.connect_h2();
  const H2Message answer = client.get("/", {{"te", "trailers"}});
  EXPECT_EQ(answer.field("content-length"), "0");
  EXPECT_EQ(answer.trailer("x-sum"), "6");
  const std::size_t before = client.state().frames(h2::kData);
  const H2Message bare = client.get("/ends");
  EXPECT_TRUE(bare.ended);
  EXPECT_EQ(bare.field("content-length"), "0");
  EXPECT_EQ(client.state().frames(h2::kData), before);
  EXPECT_EQ(proxy.get("/ends").field("Content-Length"), "0");
}

TEST(H2Upstream, AnswersWithoutLengthAreChunkedForHttp11) {
  const H2Upstream proxy(answer_in_pieces);
  RawClient client = proxy.connect();
  const Response answer = client.get("/");
  EXPECT_TRUE(answer.chunked);
  EXPECT_EQ(answer.body, "abcdef");
  EXPECT_EQ(client.get("/").body, "abcdef");
}

TEST(H2Upstream, AnswersWithoutLengthEndWithTheConnectionForHttp10) {
  const H2Upstream proxy(answer_in_pieces);
  for (const char* target : {"/", "/trailers"}) {
    RawClient client = proxy.connect();
    client.send("GET " + std::string(target) +
                " HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n");
    const Response answer = client.response();
    EXPECT_TRUE(answer.until_close);
    EXPECT_FALSE(answer.has("Transfer-Encoding"));
    EXPECT_EQ(answer.body, "abcdef");
  }
}

TEST(H2Upstream, AnswersThatHaveNoContentHaveNoneForAnyClient) {
  const H2Upstream proxy([](const H2Request& request) {
    if (request->request().path() == "/204") return request->head(204, {}, true);
    if (request->request().path() == "/304") return request->head(304, {{"etag", "\"a\""}}, true);
    request->head(200, {}, true);
  });
  RawClient client = proxy.connect();
  const Response none = client.get("/204");
  EXPECT_EQ(none.status, 204);
  EXPECT_FALSE(none.has("Content-Length"));
  EXPECT_FALSE(none.has("Transfer-Encoding"));
  const Response same = client.get("/304");
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.field("etag"), "\"a\"");
  EXPECT_FALSE(same.has("Transfer-Encoding"));
  const Response empty = client.get("/200");
  EXPECT_EQ(empty.status, 200);
  EXPECT_EQ(empty.body, "");
  EXPECT_FALSE(empty.chunked) << "its end is known";
  H2Client other = proxy.connect_h2();
  EXPECT_EQ(other.get("/204").status(), 204);
  EXPECT_EQ(other.get("/304").field("etag"), "\"a\"");
  EXPECT_TRUE(other.get("/200").ended);
}

TEST(H2Upstream, EmptyDataFramesEndAnAnswerToo) {
  const H2Upstream proxy([](const H2Request& request) {
    request->head(200);
    request->data("");
    request->data("abc");
    request->data("");
    request->data("", true);
  });
  RawClient client = proxy.connect();
  EXPECT_EQ(client.get("/").body, "abc");
  EXPECT_EQ(client.get("/").body, "abc");
}

TEST(H2Upstream, PaddingIsNoContent) {
  const H2Upstream proxy([](const H2Request& request) {
    request->head(200, {{"content-length", "6"}});
    request->link().send(h2::data(request->stream(), "abc", false, 255));
    request->link().send(h2::data(request->stream(), "def", true, 0));
  });
  EXPECT_EQ(proxy.get().body, "abcdef");
}

TEST(H2Upstream, AnswersHeadWithoutContent) {
  const H2Upstream proxy([](const H2Request& request) {
    if (request->request().path() == "/open") {
      request->head(200);
      return request->data("", true);
    }
    request->respond("1234567");
  });
  RawClient client = proxy.connect();
  client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
  const Response answer = client.response("HEAD");
  EXPECT_EQ(answer.field("Content-Length"), "7");
  client.send("HEAD /open HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_EQ(client.response("HEAD").status, 200);
  EXPECT_EQ(client.get("/").body, "1234567") << "nothing stands between the answers";
  EXPECT_EQ(proxy.origin.request().method(), "HEAD");
}

TEST(H2Upstream, CarriesInterimResponses) {
  const H2Upstream proxy([](const H2Request& request) {
    request->interim(103, {{"link", "</a.css>"}});
    request->interim(103, {{"link", "</b.css>"}});
    request->respond("ok");
  });
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  const Response first = client.response();
  EXPECT_EQ(first.status, 103);
  EXPECT_EQ(first.field("link"), "</a.css>");
  EXPECT_EQ(client.response().field("link"), "</b.css>");
  EXPECT_EQ(client.response().body, "ok");
  RawClient old = proxy.connect();
  old.send("GET / HTTP/1.0\r\nHost: test\r\n\r\n");
  EXPECT_EQ(old.response().status, 200) << "HTTP/1.0 knows no interim responses";
  H2Client other = proxy.connect_h2();
  EXPECT_EQ(other.get("/").interim.size(), 2U);
}

TEST(H2Upstream, AnExpectationIsAnsweredByTheServer) {
  const H2Upstream proxy([](const H2Request& request) {
    EXPECT_EQ(request->request().field("expect"), "100-continue");
    request->interim(100);
    H2Upstream::echo(request);
  });
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  const Stopwatch watch;
  EXPECT_EQ(client.response().status, 100);
  EXPECT_LT(watch.elapsed(), Milliseconds(900)) << "not the proxy's own word";
  client.send("abc");
  EXPECT_EQ(client.response().body, "POST / abc");
}

TEST(H2Upstream, LargeHeadsPass) {
  const std::string large(40000, 'v');
  const H2Upstream proxy(
      [&](const H2Request& request) {
        request->respond(request->request().field("x-large") == large ? "same" : "other", 200,
                         {{"x-large", large}});
      },
      {.settings = {}, .more = "limits: { header_bytes: 64KiB }\n", .origin = {}});
  const Response answer = proxy.get("/", "X-Large: " + large + "\r\n");
  EXPECT_EQ(answer.body, "same");
  EXPECT_TRUE(answer.field("x-large") == large);
}

TEST(H2Upstream, AskedForAWebSocketItGivesItsOrdinaryAnswer) {
  const H2Upstream proxy([](const H2Request& request) {
    const H2Message asked = request->request();
    request->respond(asked.method() + (asked.has("upgrade") ? " upgrade" : " plain"));
  });
  RawClient client = proxy.connect();
  client.send(
      "GET /chat HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: "
      "websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: "
      "13\r\n\r\n");
  const Response answer = client.response();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "GET plain");
  EXPECT_EQ(client.get("/").body, "GET plain") << "the connection is still one of HTTP";
}

TEST(H2Upstream, ServesClientsOfHttp2OverTheSameConnection) {
  const H2Upstream proxy(H2Upstream::echo, {.settings = {}, .more = "workers: 1\n", .origin = {}});
  H2Client client = proxy.connect_h2();
  std::vector<std::uint32_t> streams;
  for (int i = 0; i < 50; ++i)
    streams.push_back(client.open(client.fields("GET", "/" + std::to_string(i))));
  for (std::size_t i = 0; i < streams.size(); ++i)
    EXPECT_EQ(client.response(streams[i]).body, "GET /" + std::to_string(i) + " ");
  EXPECT_EQ(proxy.get("/h1").body, "GET /h1 ");
  EXPECT_EQ(proxy.origin.connections(), 1U);
}

// What is spoken over TLS.

TEST(H2Upstream, AlpnChoosesWhatIsSpoken) {
  Certificates authority;
  const H2Upstream multiplexed(H2Upstream::echo, under_tls(authority));
  EXPECT_EQ(multiplexed.get("/").body, "GET / ");
  OriginOptions options;
  options.tls = ServerTls{authority.issue_for({"127.0.0.1"}), {}};
  const Origin plain(answer_ok, options);
  const Daemon daemon(
      balance_over({plain.url()}, "tls: { ca: '" + authority.authority_file() + "' }"));
  EXPECT_EQ(fetch(daemon.port()).body, "ok");
  EXPECT_EQ(plain.request().version, "HTTP/1.1");
}

TEST(H2Upstream, ServersAreSpokenToAsConfigured) {
  Certificates authority;
  OriginOptions options;
  options.tls = ServerTls{authority.issue_for({"127.0.0.1"}), {}};
  options.tls->alpn = "h2";  // it would choose that, and could not speak it
  const Origin plain(answer_ok, options);
  const std::string tls = ", tls: { ca: '" + authority.authority_file() + "' }";
  const Daemon forced(balance_over({plain.url()}, "protocol: http/1.1" + tls));
  EXPECT_EQ(fetch(forced.port()).body, "ok");
  H2UpstreamOptions multiplexed;
  multiplexed.settings = "protocol: h2";
  const H2Upstream proxy(H2Upstream::echo, under_tls(authority, multiplexed));
  EXPECT_EQ(proxy.get("/").body, "GET / ");
}

TEST(H2Upstream, AServerThatDoesNotSpeakItWhenItMustIsABadGateway) {
  Certificates authority;
  OriginOptions options;
  options.tls = ServerTls{authority.issue_for({"127.0.0.1"}), {}};
  const Origin plain(answer_ok, options);
  const Daemon daemon(balance_over(
      {plain.url()}, "protocol: h2, tls: { ca: '" + authority.authority_file() + "' }"));
  EXPECT_EQ(fetch(daemon.port(), "/none").status, 502);
  EXPECT_EQ(daemon.wait_access_of("/none").why(), "tls_failed");
  EXPECT_EQ(plain.request_count(), 0U);
}

TEST(H2Upstream, AServerThatChoosesHttp11ServesManyAtOnceFromTheStart) {
  // Those who waited for the first connection, in the hope to share it, must not go one by one.
  Certificates authority;
  constexpr std::size_t kClients = 30;
  std::atomic<std::size_t> there = 0;
  Gate all;
  OriginOptions options;
  options.tls = ServerTls{authority.issue_for({"127.0.0.1"}), {}};
  const Origin plain(
      [&](OriginExchange& exchange) {
        if (++there == kClients) all.open();
        exchange.respond(all.wait() ? "together" : "alone");
      },
      options);
  const Daemon daemon(
      balance_over({plain.url()}, "tls: { ca: '" + authority.authority_file() + "' }"));
  std::vector<RawClient> clients = ask_at_once(daemon.port(), kClients);
  for (RawClient& client : clients) EXPECT_EQ(client.response().body, "together");
}

// Others are served over the same connection.
TEST(H2Upstream, AHeadInManyFramesCostsNobodyTheConnection) {
  constexpr std::size_t kFrame = 1000;
  H2UpstreamOptions options;
  options.settings = "retry: { attempts: 1 }";
  options.more = "workers: 1\n";
  const H2Upstream proxy(
      [](const H2Request& request) {
        h2::Fields fields{{":status", "200"}};
        for (int i = request->request().path() == "/large" ? 10 : 5; i != 0; --i)
          fields.emplace_back("x-large", std::string(10'000, 'v'));
        const std::string block = h2::literals(fields);
        std::string frames =
            h2::frame(h2::kHeaders, h2::kEndStream, request->stream(), block.substr(0, kFrame));
        for (std::size_t at = kFrame; at < block.size(); at += kFrame) {
          const bool last = at + kFrame >= block.size();
          frames += h2::frame(h2::kContinuation, last ? h2::kEndHeaders : 0, request->stream(),
                              block.substr(at, kFrame));
        }
        request->link().send(frames);
      },
      options);
  EXPECT_EQ(proxy.get("/small").status, 200);
  EXPECT_EQ(proxy.get("/large").status, 502);
  EXPECT_EQ(proxy.daemon.wait_access_of("/large").why(), "response_header_too_large");
  EXPECT_EQ(proxy.get("/small").status, 200);
  EXPECT_EQ(proxy.origin.connections(), 1U);
}

// The content is whole before the stream is: what the client has, nobody can lose any more.
TEST(H2Upstream, AClientMayLeaveWithAllThatWasAnnounced) {
  Gate end;
  const H2Upstream proxy([&](const H2Request& request) {
    request->head(200, {{"content-length", "3"}});
    request->data("abc");
    end.wait();
  });
  {
    RawClient client = proxy.connect();
    EXPECT_EQ(client.get("/whole").body, "abc");
  }
  const AccessEntry entry = proxy.daemon.wait_access_of("/whole");
  end.open();
  EXPECT_FALSE(entry.has("why")) << entry.why();
}

}  // namespace revproxyd::testing

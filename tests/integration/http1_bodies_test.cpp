// Bodies, trailers and interim responses (RFC 9112 sections 6 and 7, RFC 9110 sections 6.5, 10.1.1
// and 15.2).

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kExpecting =
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";

}  // namespace

TEST(Http1Bodies, ForwardsBodiesWithLength) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  const std::string body(100000, 'x');
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + body);
  EXPECT_EQ(client.response().status, 200);
  EXPECT_EQ(proxy.origin.request().field("Content-Length"), "100000");
  EXPECT_EQ(proxy.origin.request().body, body);
}

TEST(Http1Bodies, ForwardsChunkedRequestsWithoutTheirExtensions) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
      "chunked\r\n\r\n5;ext=1;q=\"v\"\r\nhello\r\n6\r\n world\r\n0;last\r\n\r\n");
  EXPECT_EQ(client.response().status, 200);
  const Request request = proxy.origin.request();
  EXPECT_TRUE(request.chunked);
  EXPECT_FALSE(request.has("Content-Length"));
  EXPECT_EQ(request.body, "hello world");
  EXPECT_EQ(request.raw_body.find(';'), std::string::npos);
}

TEST(Http1Bodies, RelaysChunkedResponses) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
        "chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\n\r\n");
  });
  RawClient client = proxy.connect();
  const Response response = client.get("/");
  EXPECT_TRUE(response.chunked);
  EXPECT_EQ(response.body, "hello!");
  EXPECT_EQ(response.raw_body.find(';'), std::string::npos);
  EXPECT_EQ(client.get("/").body, "hello!");
}

TEST(Http1Bodies, PassesTrailersToTheServer) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: "
      "X-Sum\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 17\r\n\r\n");
  EXPECT_EQ(client.response().status, 200);
  EXPECT_EQ(proxy.origin.request().trailer("X-Sum"), "17");
}

TEST(Http1Bodies, PassesTrailersToTheClient) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: "
        "X-Sum\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 17\r\n\r\n");
  });
  EXPECT_EQ(proxy.get("/", "TE: trailers\r\nConnection: TE\r\n").trailer("X-Sum"), "17");
}

TEST(Http1Bodies, DropsTrailersThatFrameRouteOrAuthenticate) {
  const std::string forbidden =
      "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: evil\r\nAuthorization: Basic "
      "x\r\nContent-Type: a/b\r\nX-Good: 1\r\n\r\n";
  const Proxy proxy([&](OriginExchange& exchange) {
    exchange.read_body();
    exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n" +
                  forbidden);
  });
  RawClient client = proxy.connect();
  client.send(
      "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: "
      "chunked\r\n\r\n2\r\nab\r\n0\r\n" +
      forbidden);
  const Response response = client.response();
  const Request request = proxy.origin.request();
  const Message* const messages[] = {&response, &request};
  for (const Message* message : messages) {
    EXPECT_EQ(message->trailer("X-Good"), "1");
    ASSERT_EQ(message->trailers.size(), 1U);
  }
}

TEST(Http1Bodies, RelaysBodiesThatEndWithTheConnection) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    exchange.close();
  });
  const Response response = proxy.get();
  EXPECT_TRUE(response.chunked || response.until_close);
  EXPECT_EQ(response.body, "until the end");
}

TEST(Http1Bodies, TakesHttp10AnswersOfServers) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send("HTTP/1.0 200 OK\r\n\r\nold");
    exchange.close();
  });
  const Response response = proxy.get();
  EXPECT_EQ(response.version, "HTTP/1.1");
  EXPECT_EQ(response.body, "old");
}

TEST(Http1Bodies, CutsTheClientWhenTheServerBreaksOffInsideItsBody) {
  for (const char* head : {"Content-Length: 100", "Transfer-Encoding: chunked"}) {
    SCOPED_TRACE(head);
    const Proxy proxy([&](OriginExchange& exchange) {
      exchange.send("HTTP/1.1 200 OK\r\n" + std::string(head) + "\r\n\r\n5\r\nhello\r\n");
      exchange.close();
    });
    RawClient client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_THROW(client.response(), Disconnected);
    EXPECT_EQ(proxy.daemon.wait_access_why("end_of_stream").status(), 200);
  }
}

// So long a body passes by without being read.
TEST(Http1Bodies, CutsTheClientWhenTheServerBreaksOffInsideALongBody) {
  for (const bool reset : {false, true}) {
    const Proxy proxy([&](OriginExchange& exchange) {
      exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" +
                    std::string(300000, 'x'));
      if (reset) exchange.stream().reset();
      exchange.close();
    });
    RawClient client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_THROW(client.response(), Disconnected);
    const std::string why = reset ? "reset" : "end_of_stream";
    EXPECT_EQ(proxy.daemon.wait_access_why(why).status(), 200);
  }
}

TEST(Http1Bodies, CutsTheClientWhenTheServerFallsSilentInsideALongBody) {
  Gate release;
  const Origin origin([&](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + std::string(300000, 'x'));
    release.wait();
    exchange.close();
  });
  const Daemon daemon(balance_over({origin.url()}, "timeouts: { idle: 200ms }"));
  RawClient client(daemon.port());
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THROW(client.response(), Disconnected);
  EXPECT_EQ(daemon.wait_access_why("idle_timeout").status(), 200);
  release.open();
}

TEST(Http1Bodies, RelaysTheServersContinue) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 100 Continue\r\nX-By: origin\r\n\r\n");
    exchange.respond("got " + exchange.read_body());
  });
  RawClient client = proxy.connect();
  client.send(kExpecting);
  const Response interim = client.response();
  EXPECT_EQ(interim.status, 100);
  EXPECT_EQ(interim.field("X-By"), "origin");
  client.send("body");
  EXPECT_EQ(client.response().body, "got body");
  EXPECT_TRUE(equal_ignoring_case(proxy.origin.request().field("Expect"), "100-continue"));
}

TEST(Http1Bodies, TellsTheClientToGoOnAfterASecondOfSilence) {
  const Proxy proxy(
      [](OriginExchange& exchange) { exchange.respond("got " + exchange.read_body()); });
  RawClient client = proxy.connect();
  const Stopwatch watch;
  client.send(kExpecting);
  EXPECT_EQ(client.response().status, 100);
  EXPECT_GE(watch.elapsed(), Milliseconds(900));
  client.send("body");
  EXPECT_EQ(client.response().body, "got body");
}

TEST(Http1Bodies, RelaysAFinalStatusInsteadOfContinue) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.respond("no", 401);
    exchange.close();
  });
  RawClient client = proxy.connect();
  client.send(kExpecting);
  const Response response = client.response();
  EXPECT_EQ(response.status, 401);
  EXPECT_EQ(response.body, "no");
  EXPECT_TRUE(client.closes());
}

TEST(Http1Bodies, SendsContinueOnce) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 100 Continue\r\n\r\n");
    exchange.respond("got " + exchange.read_body());
  });
  RawClient client = proxy.connect();
  client.send(kExpecting);
  EXPECT_EQ(client.response().status, 100);
  EXPECT_TRUE(client.stays_quiet(Milliseconds(1300)));
  client.send("body");
  EXPECT_EQ(client.response().status, 200);
}

// As servers do that work on a body while it comes.
TEST(Http1Bodies, SendsTheBodyThoughTheAnswerBeginsTogetherWithContinue) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    exchange.send(exchange.read_body());
  });
  RawClient client = proxy.connect();
  client.send(kExpecting);
  EXPECT_EQ(client.response().status, 100);
  client.send("body");
  EXPECT_EQ(client.response().body, "body");
}

TEST(Http1Bodies, SendsNoContinueToHttp10) {
  const Proxy proxy(
      [](OriginExchange& exchange) { exchange.respond("got " + exchange.read_body()); });
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_TRUE(client.stays_quiet(Milliseconds(1300)));
  client.send("body");
  EXPECT_EQ(client.response().status, 200);
}

TEST(Http1Bodies, RefusesOtherExpectations) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n");
  EXPECT_EQ(client.response().status, 417);
  EXPECT_EQ(proxy.origin.request_count(), 0U);
}

TEST(Http1Bodies, PassesEarlyHints) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
    exchange.respond("ok");
  });
  RawClient client = proxy.connect();
  const Response hints = client.get("/");
  EXPECT_EQ(hints.status, 103);
  EXPECT_EQ(hints.field("Link"), "</a.css>; rel=preload");
  EXPECT_EQ(client.response().body, "ok");
}

TEST(Http1Bodies, PassesEarlyHintsBeforeTheAnswerIsThere) {
  Gate seen;
  const Proxy proxy([&](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n");
    seen.wait();
    exchange.respond("ok");
  });
  RawClient client = proxy.connect();
  EXPECT_EQ(client.get("/").status, 103);
  seen.open();
  EXPECT_EQ(client.response().body, "ok");
}

TEST(Http1Bodies, KeepsInterimResponsesFromHttp10) {
  // RFC 9110 section 15.2.
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n");
    exchange.respond("ok");
  });
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(client.response().status, 200);
}

TEST(Http1Bodies, RelaysAnAnswerThatComesDuringTheUpload) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.respond("enough", 403, "Connection: close\r\n");
    exchange.peer_closes(Milliseconds(2000));
    exchange.close();
  });
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\nbegin");
  const Response response = client.response();
  EXPECT_EQ(response.status, 403);
  EXPECT_EQ(response.body, "enough");
}

TEST(Http1Bodies, RelaysAnAnswerOfAServerThatThenResetsTheUpload) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.respond("too much", 413, "Connection: close\r\n");
    exchange.close();
  });
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
  std::string block(100000, 'x');
  try {
    for (int i = 0; i < 30; ++i) client.send(block);
  } catch (const Disconnected&) {
    // The proxy may stop reading an upload that nobody wants.
  }
  EXPECT_EQ(client.response().status, 413);
}

// The kernel has all of it long before the client, which sends before it reads.
TEST(Http1Bodies, ALongAnswerIsNotLostThoughTheClientGoesOnWithItsUpload) {
  const std::string answer(1024 * 1024, 'a');
  OriginOptions little_room;
  little_room.receive_buffer = 4096;
  Gate over;
  const Origin origin(
      [&](OriginExchange& exchange) {
        exchange.respond(answer, 200, "Connection: close\r\n");
        over.wait();
        exchange.close();
      },
      little_room);
  const Daemon daemon(forward_to(origin.url(), "limits: { max_body: 0 }\n"));
  RawClient client = RawClient::slow_reader(daemon.port());
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
  const std::string block(1024 * 1024, 'x');
  try {
    for (int i = 0; i < 16; ++i) client.send(block);
  } catch (const Disconnected&) {
    // The proxy may stop reading an upload that nobody wants.
  }
  const std::string got = client.last_words();
  over.open();
  EXPECT_TRUE(got.ends_with("\r\n\r\n" + answer)) << got.size();
}

TEST(Http1Bodies, StreamsBothWaysAtOnce) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 3; ++i) {
      const std::string line = exchange.reader().until("\n\r\n");
      const std::string word = line.substr(line.find("\r\n") + 2, 5);
      exchange.send("5\r\n" + word + "\r\n");
    }
    exchange.send("0\r\n\r\n");
    exchange.close();
  });
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(client.response_head().status, 200);
  for (const char* word : {"one11", "two22", "three"}) {
    client.send("6\r\n" + std::string(word) + "\n\r\n");
    EXPECT_EQ(client.until(word).substr(0, 1), "5");
    EXPECT_EQ(client.bytes(2), "\r\n");
  }
}

}  // namespace revproxyd::testing

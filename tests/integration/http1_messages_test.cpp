// Requests and responses of HTTP/1.1 and 1.0: connections, methods, targets, Host (RFC 9112
// sections 3 and 9).

#include <atomic>

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

void echo_target(OriginExchange& exchange) {
  exchange.read_body();
  exchange.respond(exchange.request().method + " " + exchange.request().target);
}

}  // namespace

TEST(Http1Messages, ForwardsRequestAndResponse) {
  const Proxy proxy(
      [](OriginExchange& exchange) { exchange.respond("hello", 200, "X-From: origin\r\n"); });
  const Response response = proxy.get("/a?b=c", "X-To: origin\r\n");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "hello");
  EXPECT_EQ(response.field("X-From"), "origin");
  const Request request = proxy.origin.request();
  EXPECT_EQ(request.target, "/a?b=c");
  EXPECT_EQ(request.version, "HTTP/1.1");
  EXPECT_EQ(request.field("X-To"), "origin");
  EXPECT_EQ(request.field("Host"), "test");
}

TEST(Http1Messages, KeepsConnectionsOnBothSides) {
  const Proxy proxy("workers: 1\n");
  RawClient client = proxy.connect();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(client.get("/").body, "ok");
  EXPECT_EQ(proxy.origin.connections(), 1U);
}

TEST(Http1Messages, AnswersPipelinedRequestsInOrder) {
  const Proxy proxy(echo_target);
  RawClient client = proxy.connect();
  std::string all;
  for (int i = 0; i < 10; ++i) {
    const std::string target = "/" + std::to_string(i);
    all += i % 2 == 0 ? "GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n"
                      : "POST " + target + " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
  }
  client.send(all);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(client.response().body, (i % 2 == 0 ? "GET /" : "POST /") + std::to_string(i));
  }
}

TEST(Http1Messages, TakesARequestThatComesByteByByte) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  for (const char byte : std::string("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                                     "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")) {
    client.send(std::string_view(&byte, 1));
  }
  EXPECT_EQ(client.response().status, 200);
  EXPECT_EQ(proxy.origin.request().body, "abc");
}

TEST(Http1Messages, ClosesWhenTheClientAsksForIt) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  const Response response = client.get("/", "Connection: close\r\n");
  EXPECT_EQ(response.body, "ok");
  EXPECT_TRUE(equal_ignoring_case(response.field("Connection"), "close"));
  EXPECT_TRUE(client.closes());
}

TEST(Http1Messages, TakesAnEmptyLineBeforeTheRequest) {
  // RFC 9112 section 2.2: at least one empty line in front of the request line is ignored.
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.response().status, 200);
}

TEST(Http1Messages, EndsAnswersToHttp10WithTheConnection) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n");
  });
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
  const Response response = client.response();
  EXPECT_FALSE(response.has("Transfer-Encoding"));
  EXPECT_TRUE(response.until_close);
  EXPECT_EQ(response.body, "abcdef");
}

TEST(Http1Messages, KeepsHttp10ConnectionsThatAskForIt) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  for (int i = 0; i < 2; ++i) {
    client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    const Response response = client.response();
    EXPECT_EQ(response.body, "ok");
    EXPECT_TRUE(equal_ignoring_case(response.field("Connection"), "keep-alive"));
  }
}

// RFC 9110 section 10.1.1.
TEST(Http1Messages, TheExpectationOfAnHttp10ClientIsNotPassedOn) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_EQ(client.response().status, 200);
  EXPECT_FALSE(proxy.origin.request().has("Expect"));
  EXPECT_EQ(proxy.origin.request().body, "hi");
}

TEST(Http1Messages, ClosesHttp10ConnectionsThatDoNotAsk) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(client.response().body, "ok");
  EXPECT_TRUE(client.closes());
}

TEST(Http1Messages, ServesHttp10WithoutHostOnAnyHostRoutesOnly) {
  const Origin origin;
  const Daemon daemon(std::string(kPlainListener) + "routes: [ { host: only.example, to: '" +
                      origin.url() + "' } ]\n");
  RawClient client(daemon.port());
  client.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(client.response().status, 404);
  EXPECT_EQ(origin.request_count(), 0U);
}

TEST(Http1Messages, SendsNoBodyInAnswerToHead) {
  const Proxy proxy([](OriginExchange& exchange) { exchange.respond("twelve bytes"); });
  RawClient client = proxy.connect();
  client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  const Response response = client.response("HEAD");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.field("Content-Length"), "12");
  EXPECT_EQ(proxy.origin.request().method, "HEAD");
  EXPECT_EQ(client.get("/").body, "twelve bytes");
}

// RFC 9110 section 9.3.2.
TEST(Http1Messages, SendsNoBodyInAnswerToAHeadThatIsRefused) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send("HEAD / HTTP/1.1\r\nHost: a\r\nX_Underscore: 1\r\n\r\n");
  EXPECT_EQ(client.response("HEAD").status, 400);
  EXPECT_TRUE(client.closes());
}

TEST(Http1Messages, RelaysNotModifiedWithItsLengthButNoBody) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\nETag: \"a\"\r\n\r\n");
  });
  RawClient client = proxy.connect();
  EXPECT_EQ(client.get("/").status, 304);
  const Response second = client.get("/");
  EXPECT_EQ(second.status, 304);
  EXPECT_EQ(second.field("ETag"), "\"a\"");
}

TEST(Http1Messages, RelaysNoContent) {
  const Proxy proxy(
      [](OriginExchange& exchange) { exchange.send("HTTP/1.1 204 No Content\r\n\r\n"); });
  RawClient client = proxy.connect();
  const Response response = client.get("/");
  EXPECT_EQ(response.status, 204);
  EXPECT_FALSE(response.has("Content-Length"));
  EXPECT_FALSE(response.has("Transfer-Encoding"));
  EXPECT_EQ(client.get("/").status, 204);
}

TEST(Http1Messages, ForwardsOptionsOfTheServerAsAsterisk) {
  const Proxy proxy(echo_target);
  RawClient client = proxy.connect();
  client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.response().body, "OPTIONS *");
}

TEST(Http1Messages, CountsMaxForwardsOfOptionsDownAndAnswersTheLast) {
  // RFC 9110 section 7.6.2.
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.respond(std::string(exchange.request().field("Max-Forwards")));
  });
  RawClient client = proxy.connect();
  client.send("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 10\r\n\r\n");
  EXPECT_EQ(client.response().body, "9");
  client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
  const auto last = client.response();
  EXPECT_EQ(last.status, 200);
  EXPECT_EQ(last.field("Content-Length"), "0");
  EXPECT_EQ(proxy.origin.requests().size(), 1u);
  EXPECT_EQ(proxy.daemon.wait_access_of("*").why(), "max_forwards");
  client.send("GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
  EXPECT_EQ(client.response().body, "0");
}

TEST(Http1Messages, ReplacesHostByTheAuthorityOfAnAbsoluteTarget) {
  // RFC 9112 section 3.2.2.
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send("GET http://other.example/path?q HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_EQ(client.response().status, 200);
  EXPECT_EQ(proxy.origin.request().field("Host"), "other.example");
  EXPECT_EQ(proxy.origin.request().target, "/path?q");
}

TEST(Http1Messages, RoutesByTheAuthorityOfAnAbsoluteTarget) {
  const Daemon daemon(std::string(kPlainListener) + R"(
routes:
  - { host: a.example, respond: { body: a } }
  - { host: b.example, respond: { body: b } }
)");
  RawClient client(daemon.port());
  client.send("GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n");
  EXPECT_EQ(client.response().body, "a");
}

TEST(Http1Messages, RefusesConnect) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
  EXPECT_EQ(client.response().status, 405);
  EXPECT_EQ(proxy.origin.request_count(), 0U);
  EXPECT_EQ(proxy.daemon.wait_access_why("method_refused").status(), 405);
}

TEST(Http1Messages, RefusesTrace) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send("TRACE / HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n");
  const Response response = client.response();
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(response.body.find("secret"), std::string::npos);
  EXPECT_EQ(proxy.origin.request_count(), 0U);
}

TEST(Http1Messages, NamesTheMethodsThatAreAllowedWhenOneIsRefused) {
  // RFC 9110 section 15.5.6: a 405 carries Allow.
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(client.response().has("Allow"));
}

TEST(Http1Messages, ForwardsUnknownMethods) {
  const Proxy proxy(echo_target);
  RawClient client = proxy.connect();
  client.send("BREW /pot HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_EQ(client.response().body, "BREW /pot");
}

TEST(Http1Messages, TreatsMethodsCaseSensitively) {
  const Proxy proxy(echo_target);
  RawClient client = proxy.connect();
  client.send("get / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.response().body, "get /");
}

TEST(Http1Messages, RelaysTheStatusAndItsReason) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n");
  });
  EXPECT_EQ(proxy.get().status, 418);
}

TEST(Http1Messages, KeepsFieldOrderAndRepetition) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send(
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-A: 1\r\nSet-Cookie: b=2\r\nContent-Length: "
        "0\r\n\r\n");
  });
  const Response response = proxy.get("/", "X-B: 1\r\nX-B: 2\r\n");
  EXPECT_EQ(response.count("Set-Cookie"), 2U);
  EXPECT_EQ(response.field("Set-Cookie"), "a=1, b=2");
  EXPECT_EQ(proxy.origin.request().field("X-B"), "1, 2");
}

TEST(Http1Messages, ServesIpv6Clients) {
  const Origin origin;
  const Daemon daemon("listeners: [ { name: web, address: '[::1]:0' } ]\nroutes: [ { to: '" +
                      origin.url() + "' } ]\n");
  RawClient client = RawClient::ipv6(daemon.port());
  EXPECT_EQ(client.get("/").body, "ok");
  EXPECT_EQ(origin.request().field("X-Real-IP"), "::1");
}

TEST(Http1Messages, ListensOnBothFamiliesWithoutAnAddress) {
  const Daemon daemon(
      "listeners: [ { name: web, address: ':0' } ]\nroutes: [ { respond: { body: both } } ]\n");
  EXPECT_EQ(RawClient(daemon.port()).get("/").body, "both");
  EXPECT_EQ(RawClient::ipv6(daemon.port()).get("/").body, "both");
}

TEST(Http1Messages, ServesAndUsesUnixSockets) {
  const TempDir directory;
  OriginOptions options;
  options.unix_path = directory.file("origin.sock");
  const Origin origin(answer_ok, options);
  const std::string path = directory.file("proxy.sock");
  const Daemon daemon("listeners: [ { name: web, address: 'unix:" + path +
                      "' } ]\nroutes: [ { to: '" + origin.url() + "' } ]\n");
  RawClient client = RawClient::unix_socket(path);
  EXPECT_EQ(client.get("/").body, "ok");
  EXPECT_EQ(client.get("/").body, "ok");
}

TEST(Http1Messages, RelaysEveryStatusOfTheServer) {
  std::atomic<int> status = 200;
  const Proxy proxy([&](OriginExchange& exchange) { exchange.respond("body", status); });
  RawClient client = proxy.connect();
  for (const int next :
       {200, 206, 299, 302, 401, 407, 408, 421, 425, 499, 500, 502, 503, 504, 511, 599}) {
    status = next;
    const Response response = client.get("/");
    EXPECT_EQ(response.status, next);
    EXPECT_EQ(response.body, "body");
  }
}

}  // namespace revproxyd::testing

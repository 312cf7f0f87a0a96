// Requests that two readers could understand differently are refused, never repaired and forwarded
// (RFC 9112 sections 2 to 7 and 11).

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

struct Refused {
  const char* name;
  std::string bytes;
  int status = 400;
};

std::string head(std::string_view lines, std::string_view request_line = "POST / HTTP/1.1") {
  return std::string(request_line) + "\r\nHost: a\r\n" + std::string(lines) + "\r\n";
}

std::string with_host(std::string_view host) {
  return "GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n";
}

std::string with_target(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

// Behind each refused head stands a request that would be smuggled in if the head were taken in
// another way.
constexpr std::string_view kSmuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

// Every form on a connection of its own: answered with its status, closed, and nothing reaches the
// server.
void expect_refused(const std::vector<Refused>& forms) {
  const Proxy proxy;
  for (const Refused& form : forms) {
    SCOPED_TRACE(form.name);
    try {
      RawClient client = proxy.connect();
      client.send(form.bytes + std::string(kSmuggled));
      const Response response = client.response();
      EXPECT_EQ(response.status, form.status);
      EXPECT_TRUE(equal_ignoring_case(response.field("Connection"), "close"));
      EXPECT_TRUE(client.closes());
    } catch (const std::exception& problem) {
      ADD_FAILURE() << problem.what();
    }
    EXPECT_EQ(proxy.origin.request_count(), 0U);
  }
  EXPECT_EQ(proxy.get().status, 200);
}

// The head is right and may be forwarded, the body breaks: no complete request may reach the
// server.
void expect_body_refused(const std::vector<Refused>& forms) {
  for (const Refused& form : forms) {
    SCOPED_TRACE(form.name);
    std::atomic<bool> complete = false;
    const Proxy proxy([&](OriginExchange& exchange) {
      exchange.read_body();
      complete = true;
      exchange.respond("ok");
    });
    try {
      RawClient client = proxy.connect();
      client.send(head("Transfer-Encoding: chunked\r\n") + form.bytes + std::string(kSmuggled));
      EXPECT_EQ(client.response().status, 400);
      EXPECT_TRUE(client.closes());
    } catch (const std::exception& problem) {
      ADD_FAILURE() << problem.what();
    }
    EXPECT_FALSE(complete);
    for (const std::string& bytes : proxy.origin.received())
      EXPECT_EQ(bytes.find("smuggled"), std::string::npos);
  }
}

}  // namespace

TEST(Smuggling, RefusesAmbiguousLengths) {
  expect_refused({
      {"length and coding",
       head("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n"},
      {"coding and length",
       head("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n") + "0\r\n\r\n"},
      {"differing lengths", head("Content-Length: 0\r\nContent-Length: 4\r\n")},
      {"repeated length", head("Content-Length: 0\r\nContent-Length: 0\r\n")},
      {"list of lengths", head("Content-Length: 0, 0\r\n")},
      {"sign", head("Content-Length: +0\r\n")},
      {"negative", head("Content-Length: -1\r\n")},
      {"hexadecimal", head("Content-Length: 0x0\r\n")},
      {"empty", head("Content-Length: \r\n")},
      {"with text", head("Content-Length: 0a\r\n")},
      {"two numbers", head("Content-Length: 0 0\r\n")},
      {"overflow of 64 bits", head("Content-Length: 18446744073709551616\r\n")},
      {"quoted", head("Content-Length: \"0\"\r\n")},
  });
}

TEST(Smuggling, RefusesUnknownAndMisplacedCodings) {
  // An unknown coding may be answered with 501 as well (RFC 9112 section 6.1); the contract says
  // 400.
  expect_refused({
      {"unknown", head("Transfer-Encoding: foo\r\n")},
      {"identity", head("Transfer-Encoding: identity\r\n")},
      {"gzip", head("Transfer-Encoding: gzip, chunked\r\n")},
      {"chunked not last", head("Transfer-Encoding: chunked, gzip\r\n")},
      {"chunked twice", head("Transfer-Encoding: chunked, chunked\r\n")},
      {"two fields", head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
      {"identity beside", head("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")},
      {"prefix", head("Transfer-Encoding: xchunked\r\n")},
      {"quoted", head("Transfer-Encoding: \"chunked\"\r\n")},
      {"vertical tab", head("Transfer-Encoding: \vchunked\r\n")},
      {"parameter", head("Transfer-Encoding: chunked;a=b\r\n")},
      {"empty", head("Transfer-Encoding: \r\n")},
      {"in HTTP/1.0", head("Transfer-Encoding: chunked\r\n", "POST / HTTP/1.0") + "0\r\n\r\n"},
  });
}

TEST(Smuggling, RefusesBrokenFieldLines) {
  using namespace std::string_literals;
  expect_refused({
      {"space before the colon", head("Content-Length : 0\r\n")},
      {"tab before the colon", head("Content-Length\t: 0\r\n")},
      {"folded", head("X-A: 1\r\n 2\r\n")},
      {"folded with a tab", head("X-A: 1\r\n\t2\r\n")},
      {"space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
      {"no colon", head("X-A\r\n")},
      {"empty name", head(": 1\r\n")},
      {"NUL in a value", head("X-A: 1\0002\r\n"s)},
      {"NUL in a name", head("X-\0A: 1\r\n"s)},
      {"bare CR in a value", head("X-A: 1\r2\r\n")},
      {"bare LF ends a line", head("X-A: 1\nX-B: 2\r\n")},
      {"bare LF ends the head", "GET / HTTP/1.1\r\nHost: a\r\n\n"},
      {"bare LF everywhere", "GET / HTTP/1.1\nHost: a\n\n"},
      {"control character", head("X-A: 1\x01\r\n")},
      {"DEL", head("X-A: 1\x7f\r\n")},
      {"bracket in a name", head("X[A]: 1\r\n")},
      {"byte beyond ASCII in a name", head("X-\xc3\xa9: 1\r\n")},
      {"underscore in a name", head("X_A: 1\r\n")},
  });
}

TEST(Smuggling, RefusesBrokenRequestLines) {
  using namespace std::string_literals;
  expect_refused({
      {"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"tab", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"leading space", " GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"trailing space", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
      {"no version", "GET /\r\nHost: a\r\n\r\n"},
      {"lower case version", "GET / http/1.1\r\nHost: a\r\n\r\n"},
      {"version with two digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n"},
      {"method with a colon", "GE:T / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"s},
      {"byte beyond ASCII", with_target("/\xc3\xa9")},
      {"fragment", with_target("/a#b")},
      {"no slash", with_target("a")},
      {"asterisk with GET", with_target("*")},
      {"HTTP/2 without its preface", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"half of a preface", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 505},
      {"HTTP/3.0", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505},
  });
}

TEST(Smuggling, RefusesWrongHosts) {
  expect_refused({
      {"no Host", "GET / HTTP/1.1\r\n\r\n"},
      {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
      {"two Hosts beside an absolute target",
       "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
      {"list", with_host("a, b")},
      {"space", with_host("a b")},
      {"user", with_host("user@a")},
      {"slash", with_host("a/b")},
      {"question mark", with_host("a?b")},
      {"hash", with_host("a#b")},
      {"backslash", with_host("a\\b")},
      {"text as port", with_host("a:b")},
      {"port beyond", with_host("a:65536")},
      {"two ports", with_host("a:1:2")},
      {"open bracket", with_host("[::1")},
      {"no address in brackets", with_host("[a]")},
      {"user in the target", with_target("http://user@a/")},
      {"no authority in the target", with_target("http:///a")},
  });
}

TEST(Smuggling, RefusesPathsThatClimb) {
  expect_refused({
      {"above the root", with_target("/../a")},
      {"encoded", with_target("/%2e%2e/a")},
      {"half encoded", with_target("/a/.%2E/../../b")},
      {"bad escape", with_target("/%zz")},
      {"cut escape", with_target("/a%2")},
      {"encoded NUL", with_target("/a%00")},
      {"encoded control character", with_target("/a%0a")},
  });
}

TEST(Smuggling, TakesTheCorrectFormsBesideTheRefusedOnes) {
  const std::vector<std::string> forms = {
      head("Content-Length: 0\r\n"),
      head("Content-Length: 000\r\n"),
      head("Content-Length:0\r\n"),
      head("Content-Length: \t0 \r\n"),
      head("Transfer-Encoding: chunked\r\n") + "0\r\n\r\n",
      head("Transfer-Encoding: Chunked\r\n") + "0\r\n\r\n",
      head("Transfer-Encoding: chunked\r\n") + "00000\r\n\r\n",
      head("Transfer-Encoding: chunked\r\n") + "A\r\n0123456789\r\n0\r\n\r\n",
      head("Transfer-Encoding: chunked\r\n") + "a;x\r\n0123456789\r\n0\r\n\r\n",
      head("X-A:\r\n"),
      head("X-A: \xc3\xa9\r\n"),
      with_host("a:8080"),
      with_host("[::1]:80"),
      with_host("A.Example."),
      with_target("/a/../b"),
      with_target("/a%20b?c=%zz"),
      with_target("/a//b/./c"),
  };
  const Proxy proxy;
  RawClient client = proxy.connect();
  for (const std::string& form : forms) {
    SCOPED_TRACE(form);
    client.send(form);
    EXPECT_EQ(client.response().status, 200);
  }
  EXPECT_EQ(proxy.origin.request_count(), forms.size());
}

TEST(Smuggling, RefusesBrokenChunks) {
  expect_body_refused({
      {"no number", "x\r\n"},
      {"sign", "+1\r\na\r\n0\r\n\r\n"},
      {"negative", "-1\r\n"},
      {"prefix", "0x1\r\na\r\n0\r\n\r\n"},
      {"empty size", "\r\n0\r\n\r\n"},
      {"space before the size", " 1\r\na\r\n0\r\n\r\n"},
      {"overflow of 64 bits", "10000000000000000\r\na"},
      {"all ones", "ffffffffffffffff\r\na"},
      {"size ends with LF", "1\na\r\n0\r\n\r\n"},
      {"chunk without its end", "1\r\nab\r\n0\r\n\r\n"},
      {"chunk ends with LF", "1\r\na\n0\r\n\r\n"},
      {"CR in an extension", "1;a\rb\r\na\r\n0\r\n\r\n"},
      {"LF in an extension", "1;a\nb\r\na\r\n0\r\n\r\n"},
      {"trailer with a space before the colon", "0\r\nX-A : 1\r\n\r\n"},
      {"folded trailer", "0\r\nX-A: 1\r\n 2\r\n\r\n"},
      {"trailer ends with LF", "0\r\nX-A: 1\n\r\n"},
  });
}

TEST(Smuggling, TellsTheLogThatTheRequestWasMalformed) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
  EXPECT_EQ(client.response().status, 400);
  EXPECT_EQ(proxy.daemon.wait_access_why("malformed_request").status(), 400);
}

TEST(Smuggling, DropsBytesBehindALastRequest) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + std::string(kSmuggled));
  EXPECT_EQ(client.response().status, 200);
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(proxy.origin.request_count(), 1U);
}

TEST(Smuggling, AnswersNothingToAConnectionThatSendsNothing) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.stream().half_close();
  EXPECT_TRUE(client.closes());
}

}  // namespace revproxyd::testing

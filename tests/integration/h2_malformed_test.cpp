// Requests that HTTP/2 carries well but that are none: refused before they become HTTP/1.1.

#include <gtest/gtest.h>

#include "tests/support/h2_proxy.h"

namespace revproxyd::testing {

namespace {

h2::Fields with(h2::Fields fields, const std::string& name, const std::string& value) {
  fields.emplace_back(name, value);
  return fields;
}

h2::Fields without(h2::Fields fields, std::string_view name) {
  std::erase_if(fields, [&](const auto& field) { return field.first == name; });
  return fields;
}

h2::Fields changed(h2::Fields fields, std::string_view name, const std::string& value) {
  for (auto& field : fields) {
    if (field.first == name) field.second = value;
  }
  return fields;
}

// A malformed request is a stream error (RFC 9113 section 8.1.1), before which an answer may come;
// it never gets to the server, and the connection serves on.
void expect_malformed(const H2Proxy& proxy, const std::vector<h2::Fields>& requests) {
  for (const h2::Fields& fields : requests) {
    SCOPED_TRACE(fields.back().first + ": " + fields.back().second);
    const std::size_t before = proxy.origin.request_count();
    H2Client client = proxy.connect();
    const H2Message answer = client.request(fields);
    EXPECT_TRUE(answer.reset == h2::kProtocolError || answer.status() == 400)
        << "status " << answer.status();
    EXPECT_EQ(proxy.origin.request_count(), before);
    EXPECT_EQ(client.get("/after").status(), 200);
  }
}

h2::Fields usual(const H2Proxy& proxy) { return proxy.connect().fields("GET", "/"); }

}  // namespace

TEST(H2Malformed, ContentOtherThanItsLengthIsAStreamError) {
  const H2Proxy proxy;
  for (const char* content : {"abc", "abcdefg"}) {
    SCOPED_TRACE(content);
    H2Client client = proxy.connect();
    const std::uint32_t stream =
        client.open(client.fields("POST", "/", {{"content-length", "5"}}), false);
    client.send(h2::data(stream, content, true));
    EXPECT_EQ(client.reset_code(stream), h2::kProtocolError);
    EXPECT_EQ(client.get("/after").status(), 200);
  }
}

TEST(H2Malformed, RefusesFieldsOfConnections) {
  const H2Proxy proxy;
  const h2::Fields get = usual(proxy);
  expect_malformed(proxy, {with(get, "connection", "close"), with(get, "keep-alive", "timeout=5"),
                           with(get, "proxy-connection", "keep-alive"),
                           with(get, "transfer-encoding", "chunked"), with(get, "upgrade", "h2c")});
}

TEST(H2Malformed, RefusesTeOtherThanTrailers) {
  const H2Proxy proxy;
  const h2::Fields get = usual(proxy);
  expect_malformed(proxy, {with(get, "te", "gzip"), with(get, "te", "trailers, gzip")});
  H2Client client = proxy.connect();
  EXPECT_EQ(client.get("/", {{"te", "trailers"}}).status(), 200);
}

TEST(H2Malformed, RefusesNamesThatAreNone) {
  const H2Proxy proxy;
  const h2::Fields get = usual(proxy);
  expect_malformed(proxy, {with(get, "X-Upper", "1"), with(get, "", "1"), with(get, "a b", "1"),
                           with(get, "a:b", "1"), with(get, "a\r\nb", "1"),
                           with(get, std::string("a\0b", 3), "1"), with(get, "a\x80", "1")});
}

TEST(H2Malformed, RefusesUnderscoresInNames) {
  const H2Proxy proxy;
  H2Client client = proxy.connect();
  EXPECT_EQ(client.get("/", {{"x_a", "1"}}).status(), 400);
  EXPECT_EQ(proxy.origin.request_count(), 0U);
  EXPECT_EQ(client.get("/", {{"x-a", "1"}}).status(), 200);
}

TEST(H2Malformed, RefusesControlCharactersInValues) {
  const H2Proxy proxy;
  const h2::Fields get = usual(proxy);
  expect_malformed(proxy, {with(get, "x-a", std::string("a\0b", 3)), with(get, "x-a", "a\rb"),
                           with(get, "x-a", "a\nb"), with(get, "x-a", "a\r\nX-Smuggled: 1"),
                           with(get, "x-a", " a"), with(get, "x-a", "a "), with(get, "x-a", "a\t"),
                           changed(get, ":path", "/ HTTP/1.1\r\nX: 1"),
                           changed(get, ":path", "/a b"), changed(get, ":authority", "a\r\nX: 1"),
                           changed(get, ":method", "GET / HTTP/1.1\r\n")});
}

TEST(H2Malformed, RefusesPseudoFieldsThatAreMissing) {
  const H2Proxy proxy;
  const h2::Fields get = usual(proxy);
  expect_malformed(proxy, {without(get, ":method"), without(get, ":scheme"), without(get, ":path"),
                           without(get, ":authority")});
}

TEST(H2Malformed, RefusesPseudoFieldsThatAreEmpty) {
  const H2Proxy proxy;
  const h2::Fields get = usual(proxy);
  expect_malformed(proxy, {changed(get, ":path", ""), changed(get, ":method", ""),
                           changed(get, ":scheme", ""), changed(get, ":authority", "")});
}

TEST(H2Malformed, RefusesPseudoFieldsThatRepeat) {
  const H2Proxy proxy;
  const h2::Fields get = usual(proxy);
  expect_malformed(proxy, {with(get, ":method", "GET"), with(get, ":scheme", "http"),
                           with(get, ":path", "/"), with(get, ":authority", "test")});
}

TEST(H2Malformed, RefusesPseudoFieldsThatAreUnknownOrOutOfPlace) {
  const H2Proxy proxy;
  const h2::Fields get = usual(proxy);
  expect_malformed(proxy, {with(get, ":unknown", "1"), with(get, ":status", "200"),
                           with(with(without(get, ":path"), "x-a", "1"), ":path", "/"),
                           with(get, ":protocol", "websocket")});
}

TEST(H2Malformed, RefusesPseudoFieldsInTrailers) {
  const H2Proxy proxy;
  H2Client client = proxy.connect();
  const std::uint32_t stream = client.open(client.fields("POST", "/"), false);
  client.send(h2::data(stream, "abc")).send(h2::headers(stream, {{":path", "/"}}));
  const auto code = client.reset_code(stream);
  EXPECT_TRUE(code == h2::kProtocolError || client.state().message(stream).status() == 400);
  EXPECT_EQ(client.get("/after").status(), 200);
}

TEST(H2Malformed, RefusesHostOtherThanAuthority) {
  const H2Proxy proxy;
  H2Client client = proxy.connect();
  EXPECT_EQ(client.get("/", {{"host", "other"}}).status(), 400);
  EXPECT_EQ(proxy.origin.request_count(), 0U);
  EXPECT_EQ(client.get("/", {{"host", "test"}}).status(), 200);
  EXPECT_EQ(proxy.origin.request().count("Host"), 1U);
}

TEST(H2Malformed, TakesHostInPlaceOfAuthority) {
  const H2Proxy proxy;
  H2Client client = proxy.connect();
  const h2::Fields fields = with(without(client.fields("GET", "/"), ":authority"), "host", "test");
  EXPECT_EQ(client.request(fields).status(), 200);
  EXPECT_EQ(proxy.origin.request().field("Host"), "test");
}

// RFC 9113 section 3.4.
TEST(H2Malformed, APrefaceThatIsNoneHasAGoaway) {
  const Daemon daemon(
      "listeners: [ { name: web, address: '127.0.0.1:0', protocols: [h2] } ]\n"
      "routes: [ { respond: { body: x } } ]\n");
  RawClient client(daemon.port());
  client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  const std::string goaway =
      h2::frame(h2::kGoaway, 0, 0, std::string(7, '\0') + static_cast<char>(h2::kProtocolError));
  std::string all;
  for (std::string more = client.stream().receive(); !more.empty();
       more = client.stream().receive())
    all += more;
  EXPECT_NE(all.find(goaway), std::string::npos);
}

TEST(H2Malformed, RefusesTargetsThatAreNoPaths) {
  const H2Proxy proxy;
  const h2::Fields get = usual(proxy);
  expect_malformed(proxy, {changed(get, ":path", "http://test/"), changed(get, ":path", "a"),
                           changed(get, ":path", "*"), changed(get, ":scheme", "ftp")});
}

}  // namespace revproxyd::testing

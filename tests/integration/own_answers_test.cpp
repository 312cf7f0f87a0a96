// The answers that the proxy makes itself: status, body, Proxy-Status (RFC 9209), request id, and
// nothing about the inside.

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

/// A port of the loopback address on which nobody listens.
std::string dead_url() {
  Origin origin;
  origin.stop();
  return origin.url();
}

}  // namespace

TEST(OwnAnswers, CarryTheReasonInProxyStatus) {
  const Daemon daemon(forward_to(dead_url()));
  const Response response = fetch(daemon.port());
  EXPECT_EQ(response.status, 502);
  EXPECT_NE(response.field("Proxy-Status").find("error=connection_refused"), std::string::npos)
      << response.head;
}

TEST(OwnAnswers, AreTextUnlessJsonIsPreferred) {
  const Daemon daemon(forward_to(dead_url()));
  const Response text = fetch(daemon.port(), "/", "Accept: text/html, application/json;q=0.5\r\n");
  EXPECT_TRUE(text.field("Content-Type").starts_with("text/plain")) << text.head;
  const Response json = fetch(daemon.port(), "/", "Accept: application/json\r\n");
  EXPECT_TRUE(json.field("Content-Type").starts_with("application/json")) << json.head;
  EXPECT_TRUE(json.body.starts_with("{")) << json.body;
  EXPECT_NE(json.body.find("502"), std::string::npos) << json.body;
}

TEST(OwnAnswers, CarryTheIdOfTheRequest) {
  const Daemon daemon(forward_to(dead_url(), "trusted_proxies: [ 127.0.0.1 ]\n"));
  const Response response = fetch(daemon.port(), "/", "X-Request-Id: id-of-this-one\r\n");
  EXPECT_NE(response.body.find("id-of-this-one"), std::string::npos) << response.body;
}

TEST(OwnAnswers, NameNoAddressOfTheInside) {
  const std::string url = dead_url();
  const Daemon daemon(forward_to(url));
  for (const char* accept : {"*/*", "application/json"}) {
    const Response response = fetch(daemon.port(), "/", "Accept: " + std::string(accept) + "\r\n");
    const std::string port = url.substr(url.rfind(':') + 1);
    EXPECT_EQ((response.head + response.body).find(port), std::string::npos)
        << response.head << response.body;
    EXPECT_EQ((response.head + response.body).find("127.0.0.1"), std::string::npos);
  }
}

TEST(OwnAnswers, HaveNoBodyForHead) {
  const Daemon daemon(forward_to(dead_url()));
  RawClient client(daemon.port());
  client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.response("HEAD").status, 502);
  EXPECT_EQ(client.get("/").status, 502);
}

TEST(OwnAnswers, KeepTheConnectionWhereTheRequestWasSound) {
  const Daemon daemon(std::string(kPlainListener) +
                      "routes: [ { host: a.example, respond: { body: a } } ]\n");
  RawClient client(daemon.port());
  EXPECT_EQ(client.get("/").status, 404);
  EXPECT_EQ(client.get("/").status, 404);
}

TEST(OwnAnswers, CountAsFromTheProxyInTheLog) {
  const std::string url = dead_url();
  const Daemon daemon(forward_to(url));
  EXPECT_EQ(fetch(daemon.port(), "/x").status, 502);
  const AccessEntry entry = daemon.wait_access_of("/x");
  EXPECT_EQ(entry.why(), "refused");
  EXPECT_EQ(entry.text("server"), url);
}

}  // namespace revproxyd::testing

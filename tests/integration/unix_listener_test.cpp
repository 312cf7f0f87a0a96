// Clients on a UNIX socket have no address: who they are, and what a rule that goes by addresses
// does with them.

#include <sys/stat.h>

#include <vector>

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

/// A daemon that listens at a path only, before an origin.
struct AtAPath {
  explicit AtAPath(const std::string& keys = "", const std::string& more = "")
      : daemon("listeners: [ { name: web, address: 'unix:" + path + "'" + keys +
               " } ]\nroutes: [ { name: all, to: '" + origin.url() + "' } ]\n" + more) {}

  RawClient connect() const { return RawClient::unix_socket(path); }
  /// What the server gets of a request with these fields.
  Request forwarded(const std::string& fields) const {
    RawClient client = connect();
    EXPECT_EQ(client.get("/", fields).status, 200);
    return origin.request(origin.request_count() - 1);
  }

  TempDir directory;
  std::string path = directory.file("proxy.sock");
  Origin origin;
  Daemon daemon;
};

constexpr const char* kClaims =
    "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n";

}  // namespace

TEST(UnixListener, ItsFileIsForOwnerAndGroup) {
  const AtAPath proxy;
  struct stat status {};
  ASSERT_EQ(::stat(proxy.path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0660U);
}

TEST(UnixListener, ATrustedPeerNamesTheClient) {
  const AtAPath proxy("", "trusted_proxies: unix\n");
  const Request request = proxy.forwarded(kClaims);
  // The peer has no address to append.
  EXPECT_EQ(request.field("X-Forwarded-For"), "203.0.113.9");
  EXPECT_EQ(request.field("X-Real-IP"), "203.0.113.9");
  EXPECT_EQ(request.field("X-Forwarded-Proto"), "https");
  EXPECT_EQ(request.field("X-Forwarded-Port"), "443");
  EXPECT_EQ(proxy.daemon.wait_access_of("/").text("client"), "203.0.113.9");
}

TEST(UnixListener, ATrustedPeerThatNamesNobodyIsTheClient) {
  const AtAPath proxy("", "trusted_proxies: [ unix ]\n");
  EXPECT_FALSE(proxy.forwarded("").has("X-Real-IP"));
  EXPECT_EQ(proxy.daemon.wait_access_of("/").text("client"), "unix");
}

// A range of all addresses is still one of addresses.
TEST(UnixListener, APeerIsNotTrustedUnlessItIsSaid) {
  const AtAPath proxy("", "trusted_proxies: [ 0.0.0.0/0, '::/0' ]\n");
  const Request request = proxy.forwarded(kClaims);
  for (const char* name : {"X-Forwarded-For", "X-Real-IP", "X-Forwarded-Port"})
    EXPECT_FALSE(request.has(name)) << name;
  EXPECT_EQ(request.field("X-Forwarded-Proto"), "http");
  EXPECT_EQ(proxy.daemon.wait_access_of("/").text("client"), "unix");
}

TEST(UnixListener, TrustInUnixSocketsIsNoneInAddresses) {
  const Proxy proxy("trusted_proxies: [ unix ]\n");
  EXPECT_EQ(proxy.get("/", kClaims).status, 200);
  EXPECT_EQ(proxy.origin.request().field("X-Forwarded-For"), "127.0.0.1");
}

TEST(UnixListener, TakesThePeersOfAReload) {
  AtAPath proxy;
  RawClient client = proxy.connect();
  client.get("/", kClaims);
  EXPECT_FALSE(proxy.origin.request(0).has("X-Real-IP"));
  ASSERT_TRUE(proxy.daemon.reload("listeners: [ { name: web, address: 'unix:" + proxy.path +
                                  "' } ]\nroutes: [ { to: '" + proxy.origin.url() +
                                  "' } ]\ntrusted_proxies: unix\n"));
  client.get("/", kClaims);
  EXPECT_EQ(proxy.origin.request(1).field("X-Real-IP"), "203.0.113.9");
}

TEST(UnixListener, TakesTheProxyHeaderOfItsPeers) {
  const AtAPath proxy(", proxy_protocol: { from: unix }");
  RawClient client = proxy.connect();
  client.send("PROXY TCP4 203.0.113.9 192.0.2.1 1234 443\r\n");
  EXPECT_EQ(client.get("/").status, 200);
  EXPECT_EQ(proxy.origin.request().field("X-Forwarded-For"), "203.0.113.9");
  EXPECT_EQ(proxy.origin.request().field("X-Forwarded-Port"), "443");
  RawClient without = proxy.connect();
  without.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(without.last_words(), "");
  EXPECT_EQ(proxy.origin.request_count(), 1U);
}

// Whoever comes has the same address, none: one client would take the room of all.
TEST(UnixListener, TheLimitOfOneClientIsNotThatOfAll) {
  const AtAPath proxy("", "limits: { connections_per_client: 2 }\n");
  std::vector<RawClient> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(proxy.connect());
    EXPECT_EQ(clients.back().get("/").status, 200);
  }
}

TEST(UnixListener, TheLimitOfAllHolds) {
  const AtAPath proxy("", "limits: { connections: 2, connections_per_client: 1 }\nworkers: 1\n");
  std::vector<RawClient> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(proxy.connect());
    EXPECT_EQ(clients.back().get("/").status, 200);
  }
  RawClient third = proxy.connect();
  EXPECT_NE(third.last_words().find(" 503 "), std::string::npos);
}

TEST(UnixListener, HashByAddressDrawsAServerForItsClients) {
  const TempDir directory;
  const std::string path = directory.file("proxy.sock");
  const Origin one("one");
  const Origin other("other");
  const Daemon daemon("listeners: [ { name: web, address: 'unix:" + path +
                      "' } ]\nroutes: [ { to: app } ]\nupstreams: { app: { balance: hash, servers: "
                      "[ { url: '" +
                      one.url() + "' }, { url: '" + other.url() + "' } ] } }\n");
  RawClient client = RawClient::unix_socket(path);
  // That all go to one server is as likely as 40 heads in a row.
  for (int i = 0; i < 40; ++i) EXPECT_EQ(client.get("/").status, 200);
  EXPECT_GT(one.request_count(), 0U);
  EXPECT_GT(other.request_count(), 0U);
}

}  // namespace revproxyd::testing

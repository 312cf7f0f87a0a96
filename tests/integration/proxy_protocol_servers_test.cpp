// The PROXY protocol to servers: what stands in front of which connection, whatever is spoken on
// it.

#include <algorithm>
#include <mutex>

#include <gtest/gtest.h>

#include "tests/support/h2_upstream.h"

namespace revproxyd::testing {

namespace {

using namespace std::string_literals;

constexpr Milliseconds kGlance{5};

// A server that takes the header off each connection and passes the rest on to another server.
class BehindHeaders {
 public:
  explicit BehindHeaders(std::uint16_t port)
      : origin_([this, port](OriginExchange& exchange) { relay(exchange.stream(), port); }, raw()) {
  }

  std::string url(const std::string& scheme) const { return scheme + "://" + origin_.address(); }
  std::vector<std::string> headers() const {
    const std::lock_guard lock(mutex_);
    return headers_;
  }

 private:
  static OriginOptions raw() {
    OriginOptions options;
    options.raw = true;
    return options;
  }

  static std::string exactly(Stream& stream, std::size_t count) {
    std::string bytes;
    while (bytes.size() < count) {
      const std::string more = stream.receive(count - bytes.size());
      if (more.empty()) throw Disconnected("within the header");
      bytes += more;
    }
    return bytes;
  }

  static std::string read_header(Stream& stream) {
    std::string header = exactly(stream, 1);
    if (header == "P") {
      while (!header.ends_with("\r\n")) header += exactly(stream, 1);
      return header;
    }
    header += exactly(stream, 15);
    const auto high = static_cast<unsigned char>(header[14]);
    const auto low = static_cast<unsigned char>(header[15]);
    return header + exactly(stream, high * std::size_t{256} + low);
  }

  void relay(Stream& outer, std::uint16_t port) {
    std::string header = read_header(outer);
    {
      const std::lock_guard lock(mutex_);
      headers_.push_back(std::move(header));
    }
    RawClient inner(port);
    while (pass(outer, inner.stream()) && pass(inner.stream(), outer)) {
    }
  }

  // False at the end.
  static bool pass(Stream& from, Stream& to) {
    if (!from.readable(kGlance)) return true;
    const std::string bytes = from.receive();
    if (!bytes.empty()) to.send(bytes);
    return !bytes.empty();
  }

  mutable std::mutex mutex_;
  std::vector<std::string> headers_;
  Origin origin_;  // last: its threads use all of this
};

// The source address in a header of either version, of IPv4.
std::string source_of(const std::string& header) {
  if (header.starts_with("PROXY TCP4 ")) return header.substr(11, header.find(' ', 11) - 11);
  if (header.size() != 28 || header.substr(12, 4) != "\x21\x11\x00\x0c"s) return "?";
  std::string text;
  for (std::size_t at = 16; at < 20; ++at)
    text += (text.empty() ? "" : ".") + std::to_string(static_cast<unsigned char>(header[at]));
  return text;
}

constexpr const char* kVersions[] = {"v1", "v2"};

// A server that answers every connection once and ends it; what came first is in received().
struct Listening {
  Origin origin{[](OriginExchange& exchange) {
                  exchange.reader().until("Host");
                  exchange.reader().until("\r\n\r\n");
                  exchange.send(response_text("ok"));
                  exchange.close();
                },
                [] {
                  OriginOptions options;
                  options.raw = true;
                  return options;
                }()};
  std::string first() const { return origin.received().front(); }
};

}  // namespace

TEST(ProxyProtocolToServers, StandsInFrontOfTls) {
  for (const std::string version : kVersions) {
    SCOPED_TRACE(version);
    Certificates authority;
    OriginOptions options;
    options.tls = ServerTls{authority.issue_for({"127.0.0.1"}), {}};
    const Origin server([](OriginExchange& exchange) { exchange.respond("secret"); }, options);
    const BehindHeaders front(server.port());
    const Daemon daemon(balance_over(
        {front.url("https")},
        "proxy_protocol: " + version + ", tls: { ca: '" + authority.authority_file() + "' }"));
    EXPECT_EQ(RawClient::from("127.0.0.5", daemon.port()).get("/").body, "secret");
    ASSERT_EQ(front.headers().size(), 1U);
    EXPECT_EQ(source_of(front.headers().front()), "127.0.0.5");
  }
}

TEST(ProxyProtocolToServers, GivesEachRequestAConnectionAlsoOverHttp2) {
  for (const std::string version : kVersions) {
    SCOPED_TRACE(version);
    H2Origin server;
    // Answered only once both are there, so that they are under way at once.
    server.set_script([&](const H2Request& request) {
      server.wait_requests(2);
      request->respond("ok");
    });
    const BehindHeaders front(server.port());
    const Daemon daemon(
        balance_over({front.url("h2c")}, "proxy_protocol: " + version, "workers: 1\n"));
    RawClient one = RawClient::from("127.0.0.5", daemon.port());
    RawClient two = RawClient::from("127.0.0.6", daemon.port());
    one.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    ASSERT_TRUE(server.wait_requests(1));
    two.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    EXPECT_EQ(one.response().status, 200);
    EXPECT_EQ(two.response().status, 200);
    EXPECT_EQ(one.get("/").status, 200);
    ASSERT_EQ(front.headers().size(), 3U);
    EXPECT_EQ(source_of(front.headers()[0]), "127.0.0.5");
    EXPECT_EQ(source_of(front.headers()[1]), "127.0.0.6");
    EXPECT_EQ(source_of(front.headers()[2]), "127.0.0.5");
  }
}

TEST(ProxyProtocolToServers, KeepsTheStreamsOfOneHttp2ConnectionApart) {
  const Origin server;
  const BehindHeaders front(server.port());
  const Daemon daemon(balance_over({front.url("http")}, "proxy_protocol: v1",
                                   "workers: 1\ntrusted_proxies: [ 127.0.0.1 ]\n"));
  H2Client client(daemon.port());
  const std::uint32_t one =
      client.open(client.fields("GET", "/", {{"x-forwarded-for", "203.0.113.1"}}));
  const std::uint32_t two =
      client.open(client.fields("GET", "/", {{"x-forwarded-for", "203.0.113.2"}}));
  EXPECT_EQ(client.response(one).status(), 200);
  EXPECT_EQ(client.response(two).status(), 200);
  std::vector<std::string> sources;
  for (const std::string& header : front.headers()) sources.push_back(source_of(header));
  std::sort(sources.begin(), sources.end());
  EXPECT_EQ(sources, (std::vector<std::string>{"203.0.113.1", "203.0.113.2"}));
}

TEST(ProxyProtocolToServers, StandsInFrontOfAWebSocket) {
  OriginOptions options;
  options.raw = true;
  const Origin server(
      [](OriginExchange& exchange) {
        exchange.reader().until("\r\n\r\n");
        exchange.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: "
            "websocket\r\n\r\n");
        exchange.send("echo " + exchange.reader().bytes(5));
      },
      options);
  const BehindHeaders front(server.port());
  const Daemon daemon(balance_over({front.url("http")}, "proxy_protocol: v2"));
  RawClient client = RawClient::from("127.0.0.5", daemon.port());
  client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
  EXPECT_EQ(client.response_head().status, 101);
  client.send("hello");
  EXPECT_EQ(client.bytes(10), "echo hello");
  ASSERT_EQ(front.headers().size(), 1U);
  EXPECT_EQ(source_of(front.headers().front()), "127.0.0.5");
}

TEST(ProxyProtocolToServers, IsWrittenAgainForAnotherTry) {
  OriginOptions options;
  options.raw = true;
  const Origin broken(
      [](OriginExchange& exchange) {
        exchange.reader().until("Host");
        exchange.reset();
      },
      options);
  const Origin server;
  const BehindHeaders front(server.port());
  const Daemon daemon(
      balance_over({broken.url(), front.url("http")}, "balance: first, proxy_protocol: v1"));
  EXPECT_EQ(RawClient::from("127.0.0.5", daemon.port()).get("/").status, 200);
  ASSERT_EQ(front.headers().size(), 1U);
  EXPECT_TRUE(broken.received().front().starts_with(front.headers().front()));
  EXPECT_EQ(source_of(front.headers().front()), "127.0.0.5");
}

TEST(ProxyProtocolToServers, SaysLocalForHealthChecks) {
  OriginOptions options;
  options.raw = true;
  const Origin origin(
      [](OriginExchange& exchange) {
        const std::string header = exchange.reader().bytes(16);
        const bool local = header.substr(12) == "\x20\x00\x00\x00"s;
        if (!local) exchange.reader().bytes(12);
        const std::string head = exchange.reader().until("\r\n\r\n");
        const bool check = head.find("revproxyd-health-check") != std::string::npos;
        exchange.send(response_text("", check == local ? 200 : 400));
        exchange.close();
      },
      options);
  const Daemon daemon(balance_over(
      {origin.url()},
      "proxy_protocol: v2, health_check: { interval: 100ms, rise: 1, fall: 1, expect: 200 }"));
  ASSERT_TRUE(wait_until([&] { return origin.connections() >= 4; }));
  EXPECT_EQ(fetch(daemon.port()).status, 200);
}

TEST(ProxyProtocolToServers, NamesClientsOfIpv6) {
  const Listening server;
  const Daemon daemon(
      "listeners: [ { name: web, address: '[::1]:0' } ]\nroutes: [ { to: app } ]\n"
      "upstreams: { app: { proxy_protocol: v1, servers: [ { url: '" +
      server.origin.url() + "' } ] } }\n");
  EXPECT_EQ(RawClient::ipv6(daemon.port()).get("/").status, 200);
  EXPECT_TRUE(server.first().starts_with("PROXY TCP6 ::1 ::1 ")) << server.first();
}

TEST(ProxyProtocolToServers, CannotNameClientsOfAUnixSocket) {
  const TempDir directory;
  for (const std::string version : kVersions) {
    const Listening server;
    const std::string path = directory.file(version + ".sock");
    const Daemon daemon("listeners: [ { name: web, address: 'unix:" + path +
                        "' } ]\nroutes: [ { to: app } ]\nupstreams: { app: { proxy_protocol: " +
                        version + ", servers: [ { url: '" + server.origin.url() + "' } ] } }\n");
    EXPECT_EQ(RawClient::unix_socket(path).get("/").status, 200);
    // A connection of somebody's all the same, and so no LOCAL.
    const std::string expected =
        version == "v1" ? "PROXY UNKNOWN\r\n"s : "\r\n\r\n\0\r\nQUIT\n\x21\x00\x00\x00"s;
    EXPECT_EQ(server.first().substr(0, expected.size()), expected);
    EXPECT_EQ(server.first().substr(expected.size(), 4), "GET ");
  }
}

}  // namespace revproxyd::testing

// What the versions of HTTP owe each other: the old ones in front of servers of HTTP/2, and many
// clients of any over few connections.

#include <functional>
#include <mutex>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/h2_proxy.h"
#include "tests/support/h2_upstream.h"

namespace revproxyd::testing {

namespace {

constexpr std::size_t kClients = 1000;

/// Of the daemon while `load` holds its streams.
std::size_t growth_kib(const Daemon& daemon, const std::function<void()>& load) {
  const std::size_t before = daemon.rss_kib();
  load();
  const std::size_t after = daemon.rss_kib();
  return after > before ? after - before : 0;
}

/// All requests are held until so many are there.
class Rendezvous {
 public:
  explicit Rendezvous(std::size_t count) : count_(count) {}
  void meet(const H2Request& request) {
    std::vector<H2Request> all;
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(request);
      if (waiting_.size() == count_) all.swap(waiting_);
    }
    for (const H2Request& one : all) one->respond("together");
  }

 private:
  const std::size_t count_;
  std::mutex mutex_;
  std::vector<H2Request> waiting_;
};

/// Listeners `web` and `tls`; paths /h1, /h1s, /h2c and /h2 lead to the server by that version,
/// with TLS and without.
std::string in_every_way(const Daemon& server) {
  const auto address = [&](const std::string& listener) {
    return "127.0.0.1:" + std::to_string(server.port(listener));
  };
  const std::string tls = "timeouts: { connect: 30s }, tls: { insecure_skip_verify: true }";
  return "listeners: [ { name: web, address: '127.0.0.1:0' }, { name: tls, address: "
         "'127.0.0.1:0', tls: internal } ]\nupstreams:\n"
         "  h1: { servers: [ { url: 'http://" +
         address("web") + "' } ] }\n  h2c: { servers: [ { url: 'h2c://" + address("web") +
         "' } ] }\n  h1s: { protocol: http/1.1, servers: [ { url: 'https://" + address("tls") +
         "' } ], " + tls + " }\n  h2: { protocol: h2, servers: [ { url: 'https://" +
         address("tls") + "' } ], " + tls +
         " }\nroutes:\n"
         "  - { match: { path: /h1 }, to: h1 }\n  - { match: { path: /h1s }, to: h1s }\n"
         "  - { match: { path: /h2c }, to: h2c }\n  - { match: { path: /h2 }, to: h2 }\n";
}

// With time for clients that are many.
H2UpstreamOptions on_reader() {
  H2UpstreamOptions options;
  options.more = "timeouts: { header: 60s }\n";
  options.origin.on_reader = true;
  return options;
}

}  // namespace

// The old ones.

TEST(Versions, Http09IsRefusedClearly) {
  const Proxy proxy;
  for (const char* request : {"GET /\r\n\r\n", "GET / \r\nHost: a\r\n\r\n"}) {
    RawClient client = proxy.connect();
    client.send(request);
    EXPECT_EQ(client.response().status, 400) << request;
    EXPECT_TRUE(client.closes()) << request;
  }
  RawClient client = proxy.connect();
  client.send("GET / HTTP/0.9\r\n\r\n");
  EXPECT_EQ(client.response().status, 505);
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(proxy.origin.request_count(), 0U);
}

TEST(Versions, Http09IsRefusedWithoutAWaitForMore) {
  // Its request is this line and nothing else: whoever sends it waits for the answer now.
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send("GET /\r\n");
  EXPECT_EQ(client.response().status, 400);
  EXPECT_TRUE(client.closes());
}

TEST(Versions, Http10KeepsItsConnectionInFrontOfAServerOfHttp2) {
  const H2Upstream proxy(H2Upstream::echo);
  RawClient client = proxy.connect();
  for (const char* path : {"/one", "/two"}) {
    client.send(
        "POST " + std::string(path) +
        " HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc");
    const Response response = client.response();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "POST " + std::string(path) + " abc");
    EXPECT_TRUE(equal_ignoring_case(response.field("Connection"), "keep-alive"));
    EXPECT_FALSE(response.chunked);
  }
  EXPECT_EQ(proxy.origin.connections(), 1U);
}

TEST(Versions, Http10GetsNoChunksNoTrailersAndNoInterimAnswers) {
  const H2Upstream proxy([](const H2Request& request) {
    request->interim(103, {{"link", "</a.css>"}});
    request->head(200);
    request->data("abc");
    request->trailers({{"x-sum", "1"}});
  });
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.0\r\nHost: test\r\n\r\n");
  const Response response = client.response();
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.until_close);
  EXPECT_EQ(response.body, "abc");
}

// Many over few.

TEST(Versions, AThousandClientsAtOnceShareAHandfulOfConnections) {
  Rendezvous all(kClients);
  const H2Upstream proxy([&](const H2Request& request) { all.meet(request); }, on_reader());
  std::vector<RawClient> clients = ask_at_once(proxy.daemon.port(), kClients);
  for (RawClient& client : clients) ASSERT_EQ(client.response().body, "together");
  // A hundred requests on each, and one for each worker that is not full.
  EXPECT_LE(proxy.origin.connections(), kClients / 100 + 2);
}

TEST(Versions, AThousandKeptClientsInTurnShareOneConnectionOfEachWorker) {
  const H2Upstream proxy([](const H2Request& request) { request->respond("ok"); }, on_reader());
  std::vector<RawClient> clients;
  for (std::size_t i = 0; i < kClients; ++i) clients.emplace_back(proxy.daemon.port());
  for (int round = 0; round < 2; ++round) {
    for (RawClient& client : clients) ASSERT_EQ(client.get("/").body, "ok");
  }
  EXPECT_LE(proxy.origin.connections(), 2U);
}

// Where hundreds of requests are under way, an answer may overtake the work for its request.
TEST(Versions, EveryPairServesHundredsOfStreamsWithoutAFailure) {
  const Daemon server(
      "listeners: [ { name: web, address: '127.0.0.1:0' }, { name: tls, address: '127.0.0.1:0', "
      "tls: internal } ]\nlimits: { requests_per_connection: 0 }\n"
      "routes: [ { respond: { body: ok } } ]\n");
  const Daemon daemon(in_every_way(server));
  for (const std::string client : {"web", "web --h1", "tls", "tls --h1"}) {
    for (const std::string version : {"h1", "h1s", "h2c", "h2"}) {
      const std::string listener = client.substr(0, 3);
      std::vector<std::string> command{
          "h2load", "-n2000", "-c8", "-m32",
          (listener == "tls" ? "https://127.0.0.1:" : "http://127.0.0.1:") +
              std::to_string(daemon.port(listener)) + "/" + version};
      if (client != listener) command.insert(command.begin() + 1, "--h1");
      const CommandResult result = run_command(command, 6 * kPatience);
      EXPECT_NE(result.out.find("2000 succeeded, 0 failed, 0 errored, 0 timeout"),
                std::string::npos)
          << client << " to " << version << "\n"
          << result.out;
    }
  }
}

// A connection that ends while requests are on their way to it is no try of its server.
TEST(Versions, AServerThatTakesOneRequestAConnectionLosesNone) {
  const Daemon server(
      "listeners: [ { name: web, address: '127.0.0.1:0' }, { name: tls, address: '127.0.0.1:0', "
      "tls: internal } ]\nlimits: { requests_per_connection: 1 }\n"
      "routes: [ { respond: { body: ok } } ]\n");
  const Daemon daemon("workers: 1\n" + in_every_way(server));
  const std::string url = "http://127.0.0.1:" + std::to_string(daemon.port("web")) + "/h2";
  const CommandResult result =
      run_command({"h2load", "-n3000", "-c200", "-m4", url}, 6 * kPatience);
  EXPECT_NE(result.out.find("3000 succeeded, 0 failed, 0 errored, 0 timeout"), std::string::npos)
      << result.out;
}

// Memory of what is slow.

TEST(Versions, AnswersThatNobodyReadsHoldLittleMemory) {
  constexpr std::size_t kStreams = 100;
  constexpr std::size_t kSize = 5'000'000;
  Gate done;
  const H2Proxy proxy([&](OriginExchange& exchange) {
    if (exchange.request().target == "/warm") return exchange.respond("warm");
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kSize) + "\r\n\r\n");
    const std::string piece(64 * 1024, 'x');
    while (!done.is_open()) exchange.stream().send_some(piece, Milliseconds(50));
    exchange.close();
  });
  H2ClientOptions options;
  options.settings = {{h2::kInitialWindowSize, 0}};
  H2Client client = proxy.connect(options);
  EXPECT_EQ(proxy.connect().get("/warm").status(), 200);
  const std::size_t growth = growth_kib(proxy.daemon, [&] {
    std::vector<std::uint32_t> streams;
    for (std::size_t i = 0; i < kStreams; ++i)
      streams.push_back(client.open(client.fields("GET", "/much")));
    for (const std::uint32_t stream : streams)
      EXPECT_EQ(client.response_head(stream).status(), 200);
    EXPECT_TRUE(client.round_trip());
  });
  EXPECT_EQ(proxy.connect().get("/warm").status(), 200) << "others are served";
  done.open();
  // A piece of each, of the 500 MB that there are.
  if (!sanitized()) {
    EXPECT_LT(growth, kStreams * 128);
  }
}

TEST(Versions, UploadsThatNobodyTakesHoldLittleMemory) {
  constexpr std::size_t kStreams = 50;
  Gate done;
  H2OriginOptions closed;
  closed.settings = {{h2::kInitialWindowSize, 0}};
  H2UpstreamOptions options;
  options.origin = closed;
  const H2Upstream proxy([&](const H2Request&) { done.wait(3 * kPatience); }, options);
  H2Client client = proxy.connect_h2();
  ASSERT_TRUE(client.round_trip());
  const std::size_t growth = growth_kib(proxy.daemon, [&] {
    for (std::size_t i = 0; i < kStreams; ++i) {
      const std::uint32_t stream = client.open(client.fields("POST", "/much"), false);
      // All that it may send at once.
      const std::size_t window = client.state().window(stream);
      if (window != 0) client.send_body(stream, std::string(window, 'u'), false);
    }
    EXPECT_TRUE(client.round_trip());
  });
  done.open();
  if (!sanitized()) {
    EXPECT_LT(growth, kStreams * 256);
  }
}

}  // namespace revproxyd::testing

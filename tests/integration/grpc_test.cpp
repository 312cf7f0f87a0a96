// gRPC through the daemon with the clients and servers of python3-grpcio, and what the proxy itself
// says to calls.

#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr const char* kPython = "/usr/bin/python3";
constexpr const char* kScripts = REVPROXYD_SOURCE_DIR "/tests/support/grpc/";

/// A server of every kind of call, in a process of its own.
class GrpcServer {
 public:
  explicit GrpcServer(std::vector<std::string> more = {}) {
    const std::string ready = directory_.file("port");
    std::vector<std::string> command{kPython, std::string(kScripts) + "server.py", ready};
    command.insert(command.end(), more.begin(), more.end());
    const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    pid_ = start_process(command, nothing, nothing, 2);
    ::close(nothing);
    wait_until([&] { return !read_file(ready).empty(); });
    port_ = read_file(ready);
  }
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;
  ~GrpcServer() { wait_process(pid_, Milliseconds(0)); }

  const std::string& port() const noexcept { return port_; }

 private:
  TempDir directory_;
  int pid_ = -1;
  std::string port_;
};

// The listeners and routes over `url`; nobody serves down.Service.
std::string calls_to(const std::string& url) {
  return "listeners:\n"
         "  - { name: web, address: '127.0.0.1:0', protocols: [h2] }\n"
         "  - { name: tls, address: '127.0.0.1:0', protocols: [h2], tls: internal }\n"
         "upstreams:\n"
         "  calls: { servers: [ { url: '" +
         url +
         "' } ] }\n"
         "  down: { servers: [ { url: 'h2c://127.0.0.1:1' } ] }\n"
         "routes:\n"
         "  - { path: '/test.Calls/**', to: calls }\n"
         "  - { path: '/grpc.health.v1.Health/**', to: calls }\n"
         "  - { path: '/small.Service/**', to: calls, limits: { max_body: 1KiB } }\n"
         "  - { path: '/down.Service/**', to: down }\n";
}

/// The client's checks over the listener `web` or `tls`.
CommandResult run_client(const Daemon& daemon, const std::string& listener,
                         const std::vector<std::string>& checks = {}) {
  std::vector<std::string> command{kPython, std::string(kScripts) + "client.py",
                                   listener == "tls" ? "tls" : "plain",
                                   "127.0.0.1:" + std::to_string(daemon.port(listener))};
  command.insert(command.end(), checks.begin(), checks.end());
  return run_command(command, Milliseconds(110000));
}

class Grpc : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(run_command({kPython, "-c", "import grpc"}).status, 0)
        << "this test needs the package python3-grpcio";
  }
};

std::string call(std::string_view more) {
  return "POST /test.Calls/Unary HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n" +
         std::string(more) + "\r\n";
}

}  // namespace

TEST_F(Grpc, EveryKindOfCallPassesWithoutTls) {
  const GrpcServer server;
  const Daemon daemon(calls_to("h2c://127.0.0.1:" + server.port()));
  const CommandResult result = run_client(daemon, "web");
  EXPECT_EQ(result.status, 0) << result.out;
}

TEST_F(Grpc, EveryKindOfCallPassesUnderTls) {
  const GrpcServer server;
  const Daemon daemon(calls_to("h2c://127.0.0.1:" + server.port()));
  const CommandResult result = run_client(daemon, "tls");
  EXPECT_EQ(result.status, 0) << result.out;
}

TEST_F(Grpc, CallsReachAServerUnderTls) {
  Certificates authority;
  const Certificate certificate = authority.issue_for({"localhost"});
  const GrpcServer server({certificate.cert_file, certificate.key_file});
  const Daemon daemon(
      "listeners: [ { name: web, address: '127.0.0.1:0', protocols: [h2] } ]\n"
      "upstreams: { calls: { servers: [ { url: 'https://127.0.0.1:" +
      server.port() + "' } ], tls: { ca: '" + authority.authority_file() +
      "', server_name: localhost } } }\nroutes: [ { to: calls } ]\n");
  const CommandResult result =
      run_client(daemon, "web", {"unary", "bidirectional", "metadata", "cancel"});
  EXPECT_EQ(result.status, 0) << result.out;
}

TEST_F(Grpc, OwnErrorsOfTheProxyReachTheClientAsStatuses) {
  const GrpcServer server;
  const Daemon daemon(calls_to("h2c://127.0.0.1:" + server.port()));
  const CommandResult result =
      run_client(daemon, "web",
                 {"proxy_without_backend", "proxy_without_route", "proxy_with_a_limit", "unary"});
  EXPECT_EQ(result.status, 0) << result.out;
  for (const char* why : {"refused", "no_route", "body_too_large"})
    EXPECT_EQ(daemon.wait_access_why(why).status(), 200) << why;
}

// What follows needs no client of its own: the answers are the same for a call over HTTP/1.1.

TEST(GrpcAnswers, ACallThatIsNotAnsweredInTimeEndsWithTheStatusOfGrpc) {
  Gate left;
  const Proxy proxy([&left](OriginExchange& exchange) {
    EXPECT_EQ(exchange.request().field("grpc-timeout"), "200m");
    if (exchange.peer_closes()) left.open();
  });
  RawClient client = proxy.connect();
  client.send(call("grpc-timeout: 200m\r\nContent-Length: 0\r\n"));
  const Response response = client.response();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.field("grpc-status"), "4");
  EXPECT_EQ(response.field("Content-Type"), "application/grpc");
  EXPECT_EQ(response.body, "");
  EXPECT_TRUE(left.wait()) << "the server is told";
  EXPECT_EQ(proxy.daemon.wait_access_why("deadline_exceeded").status(), 200);
}

TEST(GrpcAnswers, ACallWhoseAnswerHasBegunIsCutOffInTime) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send(
        "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n");
    exchange.peer_closes();
  });
  RawClient client = proxy.connect();
  client.send(call("grpc-timeout: 200m\r\nContent-Length: 0\r\n"));
  EXPECT_EQ(client.response_head().status, 200);
  EXPECT_EQ(client.last_words(), "3\r\nabc\r\n") << "the break is to be seen";
  EXPECT_EQ(proxy.daemon.wait_access_why("deadline_exceeded").status(), 200);
}

TEST(GrpcAnswers, ACallMayBeSilentLongerThanOtherRequests) {
  const Proxy proxy(answer_ok, "timeouts: { body: 200ms, tunnel: 10s }\n");
  RawClient client = proxy.connect();
  client.send(call("Content-Length: 3\r\n") + "a");
  RawClient other = proxy.connect();
  other.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
  EXPECT_EQ(other.response().status, 408);
  client.send("bc");
  EXPECT_EQ(client.response().status, 200);
}

}  // namespace revproxyd::testing

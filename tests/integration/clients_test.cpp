// Real clients through the daemon: curl, openssl s_client, and a WebSocket client and server of
// Python.

#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr const char* kPython = "/usr/bin/python3";

/// The daemon with a plain listener and one under TLS for a.example.
struct Served {
  Certificates authority;
  Certificate certificate = authority.issue_for({"a.example"});
  Origin origin{[](OriginExchange& exchange) {
    const std::string body = exchange.read_body();
    exchange.respond(exchange.request().method + " " + exchange.request().target + " " +
                     std::to_string(body.size()));
  }};
  Daemon daemon{
      "listeners: [ { name: web, address: '127.0.0.1:0' }, { name: tls, address: '127.0.0.1:0', "
      "tls: {} } ]\ncertificates: [ { hosts: "
      "a.example, cert: " +
      certificate.cert_file + ", key: " + certificate.key_file + " } ]\nroutes: [ { to: '" +
      origin.url() + "' } ]\n"};

  std::string plain() const { return "http://127.0.0.1:" + std::to_string(daemon.port("web")); }
  std::string secure() const { return "https://a.example:" + std::to_string(daemon.port("tls")); }

  /// curl over TLS, verified.
  CommandResult curl(std::vector<std::string> arguments) const {
    const std::string resolve = "a.example:" + std::to_string(daemon.port("tls")) + ":127.0.0.1";
    std::vector<std::string> all{
        "curl", "-sS", "-m", "20", "--cacert", authority.authority_file(), "--resolve", resolve};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_command(all);
  }
};

// Serves WebSockets on 127.0.0.1, writes its port into the file, and echoes.
constexpr std::string_view kServer = R"(
import asyncio, os, sys
import websockets
async def echo(socket, path=None):
    async for message in socket:
        await socket.send(message)
async def main():
    async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as server:
        with open(sys.argv[1] + ".new", "w") as out:
            out.write(str(server.sockets[0].getsockname()[1]))
        os.rename(sys.argv[1] + ".new", sys.argv[1])
        await asyncio.Future()
asyncio.run(main())
)";

constexpr std::string_view kClient = R"(
import asyncio, ssl, sys
import websockets
async def main():
    context = None
    if sys.argv[1].startswith("wss"):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    async with websockets.connect(sys.argv[1], ssl=context, max_size=None) as socket:
        for message in ["hello", "", b"\x00\xff" * 10, "x" * 1000000]:
            await socket.send(message)
            assert await socket.recv() == message
        await (await socket.ping())
    print("all echoed")
asyncio.run(main())
)";

/// The server above, in a process of its own.
class WebSocketServer {
 public:
  explicit WebSocketServer(const TempDir& directory) {
    const std::string script = directory.file("server.py");
    const std::string ready = directory.file("port");
    write_file(script, kServer);
    const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    pid_ = start_process({kPython, script, ready}, nothing, nothing, 2);
    ::close(nothing);
    wait_until([&] { return !read_file(ready).empty(); });
    port_ = read_file(ready);
  }
  WebSocketServer(const WebSocketServer&) = delete;
  WebSocketServer& operator=(const WebSocketServer&) = delete;
  ~WebSocketServer() { wait_process(pid_, Milliseconds(0)); }

  const std::string& port() const noexcept { return port_; }

 private:
  int pid_ = -1;
  std::string port_;
};

}  // namespace

TEST(Clients, CurlOverHttp) {
  const Served served;
  const CommandResult got =
      run_command({"curl", "-sS", served.plain() + "/a", served.plain() + "/b?c"});
  EXPECT_EQ(got.status, 0);
  EXPECT_EQ(got.out, "GET /a 0GET /b?c 0");
}

TEST(Clients, CurlOverHttpsVerified) {
  const Served served;
  const CommandResult got =
      served.curl({served.secure() + "/a", "-w", " %{http_version} %{ssl_verify_result}"});
  EXPECT_EQ(got.status, 0) << got.out;
  EXPECT_EQ(got.out, "GET /a 0 2 0");
}

TEST(Clients, CurlUploadsWithContinueAndChunks) {
  const Served served;
  const TempDir directory;
  const std::string file = directory.file("upload");
  write_file(file, std::string(3000000, 'u'));
  EXPECT_EQ(served.curl({"-T", file, served.secure() + "/up"}).out, "PUT /up 3000000");
  EXPECT_EQ(served
                .curl({"-X", "POST", "-H", "Transfer-Encoding: chunked", "--data-binary",
                       "@" + file, served.secure() + "/up"})
                .out,
            "POST /up 3000000");
}

TEST(Clients, CurlThatOffersNoHttp2StaysWithHttp11) {
  const Served served;
  const CommandResult got =
      served.curl({"--http1.1", served.secure() + "/a", "-w", " %{http_version}"});
  EXPECT_EQ(got.out, "GET /a 0 1.1");
  // Over plain HTTP curl asks for h2c, which is not spoken and does no harm.
  EXPECT_EQ(run_command({"curl", "-sS", "--http2", served.plain() + "/a"}).out, "GET /a 0");
}

TEST(Clients, CurlOfHttp10AndHead) {
  const Served served;
  EXPECT_EQ(run_command({"curl", "-sS", "--http1.0", served.plain() + "/old"}).out, "GET /old 0");
  const CommandResult head = run_command({"curl", "-sSI", served.plain() + "/head"});
  EXPECT_TRUE(head.out.starts_with("HTTP/1.1 200")) << head.out;
}

TEST(Clients, OpensslSeesTheChainTheProtocolAndTheAlpn) {
  const Served served;
  const CommandResult got = run_command(
      {"openssl", "s_client", "-connect", "127.0.0.1:" + std::to_string(served.daemon.port("tls")),
       "-servername", "a.example", "-CAfile", served.authority.authority_file(),
       "-verify_return_error", "-alpn", "http/1.1"});
  EXPECT_NE(got.out.find("Verify return code: 0 (ok)"), std::string::npos) << got.out;
  EXPECT_NE(got.out.find("TLSv1.3"), std::string::npos) << got.out;
  EXPECT_NE(got.out.find("ALPN protocol: http/1.1"), std::string::npos) << got.out;
}

TEST(Clients, WebSocketsOverHttpAndHttps) {
  ASSERT_EQ(run_command({kPython, "-c", "import websockets"}).status, 0)
      << "this test needs the package python3-websockets";
  const TempDir directory;
  const WebSocketServer server(directory);
  ASSERT_FALSE(server.port().empty());
  const Daemon daemon(
      "listeners: [ { name: web, address: '127.0.0.1:0' }, { name: tls, address: '127.0.0.1:0', "
      "tls: internal } ]\nroutes: [ { to: "
      "'http://127.0.0.1:" +
      server.port() + "' } ]\n");
  const std::string script = directory.file("client.py");
  write_file(script, kClient);
  for (const std::string& url : {"ws://127.0.0.1:" + std::to_string(daemon.port("web")) + "/",
                                 "wss://localhost:" + std::to_string(daemon.port("tls")) + "/"}) {
    const CommandResult result = run_command({kPython, script, url});
    EXPECT_EQ(result.status, 0) << url << "\n" << result.out;
    EXPECT_NE(result.out.find("all echoed"), std::string::npos);
  }
}

}  // namespace revproxyd::testing

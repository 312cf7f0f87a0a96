// WebSocket over HTTP/2 (RFC 8441) to servers that speak HTTP/1.1.

#include <fcntl.h>
#include <unistd.h>

#include <array>

#include <gtest/gtest.h>

#include "tests/support/h2_proxy.h"
#include "tests/support/h2_upstream.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kSwitch =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n";

h2::Fields handshake(const H2Client& client, const std::string& path = "/chat",
                     const std::string& protocol = "websocket") {
  return client.fields("CONNECT", path,
                       {{":protocol", protocol},
                        {"sec-websocket-version", "13"},
                        {"sec-websocket-protocol", "chat"},
                        {"origin", "http://test"}});
}

// Switches, and echoes until the other side ends.
void echo(OriginExchange& exchange) {
  if (!exchange.request().has("Upgrade")) return exchange.respond("plain");
  exchange.send(kSwitch);
  for (;;) {
    const std::string bytes = exchange.reader().has_buffered() ? exchange.reader().take_buffered()
                                                               : exchange.stream().receive();
    if (bytes.empty()) break;
    exchange.send(bytes);
  }
  exchange.close();
}

bool comes(H2Client& client, std::uint32_t stream, std::string_view body) {
  return client.read_until(
      [&](const H2State& state) { return state.message(stream).body == body; });
}

/// A masked frame of a client with text (RFC 6455 section 5.2), shorter than 126 bytes.
std::string text_frame(std::string_view text, unsigned char opcode = 1) {
  std::string out{static_cast<char>(0x80 | opcode), static_cast<char>(0x80 | text.size())};
  const std::string mask = "\x12\x34\x56\x78";
  out += mask;
  for (std::size_t i = 0; i < text.size(); ++i)
    out += static_cast<char>(text[i] ^ mask[i % mask.size()]);
  return out;
}

}  // namespace

TEST(H2WebSocket, IsAnnounced) {
  const H2Proxy proxy(echo);
  H2Client client = proxy.connect_tls();
  ASSERT_TRUE(client.read_until([](const H2State& state) { return state.settings_came(); }));
  EXPECT_EQ(client.state().setting(h2::kEnableConnectProtocol), 1U);
}

TEST(H2WebSocket, TheServerSeesTheHandshakeOfHttp11) {
  const H2Proxy proxy(echo);
  H2Client client = proxy.connect();
  const std::uint32_t stream = client.open(handshake(client, "/chat?room=1"), false);
  const H2Message answer = client.response_head(stream);
  EXPECT_EQ(answer.status(), 200);
  EXPECT_FALSE(answer.ended);
  EXPECT_EQ(answer.field("sec-websocket-protocol"), "chat");
  for (const char* name : {"upgrade", "connection", "sec-websocket-accept", "content-length"})
    EXPECT_FALSE(answer.has(name)) << name;
  const Request request = proxy.origin.request();
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.target, "/chat?room=1");
  EXPECT_EQ(request.version, "HTTP/1.1");
  EXPECT_EQ(request.field("Host"), "test");
  EXPECT_EQ(request.field("Upgrade"), "websocket");
  EXPECT_TRUE(equal_ignoring_case(request.field("Connection"), "upgrade"));
  EXPECT_EQ(request.field("Sec-WebSocket-Key").size(), 24U);
  EXPECT_EQ(request.count("Sec-WebSocket-Key"), 1U);
  EXPECT_EQ(request.field("Sec-WebSocket-Version"), "13");
  EXPECT_EQ(request.field("Sec-WebSocket-Protocol"), "chat");
  EXPECT_EQ(request.field("Origin"), "http://test");
  EXPECT_FALSE(request.has("Transfer-Encoding"));
  EXPECT_FALSE(request.has("Content-Length"));
}

TEST(H2WebSocket, EveryHandshakeHasAKeyOfItsOwn) {
  const H2Proxy proxy(echo);
  H2Client client = proxy.connect();
  for (int i = 0; i < 2; ++i) client.response_head(client.open(handshake(client), false));
  EXPECT_NE(proxy.origin.request(0).field("Sec-WebSocket-Key"),
            proxy.origin.request(1).field("Sec-WebSocket-Key"));
}

TEST(H2WebSocket, CarriesBytesBothWaysOverCleartextAndTls) {
  const H2Proxy proxy(echo);
  H2Client clear = proxy.connect();
  H2Client tls = proxy.connect_tls();
  for (H2Client* client : {&clear, &tls}) {
    const std::uint32_t stream = client->open(handshake(*client), false);
    EXPECT_EQ(client->response_head(stream).status(), 200);
    std::string all;
    for (const char* word : {"first", "other", "again"}) {
      client->send_body(stream, word, false);
      all += word;
      EXPECT_TRUE(comes(*client, stream, all));
    }
  }
}

TEST(H2WebSocket, KeepsBytesThatComeWithTheHandshakeOfTheClient) {
  const H2Proxy proxy(echo);
  H2Client client = proxy.connect();
  const std::uint32_t stream = client.next_stream();
  client.send(h2::headers(stream, handshake(client), h2::kEndHeaders) + h2::data(stream, "early"));
  EXPECT_EQ(client.response_head(stream).status(), 200);
  EXPECT_TRUE(comes(client, stream, "early"));
}

TEST(H2WebSocket, BytesOfTheClientWaitForTheSwitch) {
  // A server that has not switched would take them for its next request.
  Gate sent;
  std::string before;
  const H2Proxy proxy([&](OriginExchange& exchange) {
    sent.wait();
    if (exchange.stream().readable(Milliseconds(200))) before = "bytes";
    exchange.respond("no", 403);
  });
  H2Client client = proxy.connect();
  const std::uint32_t stream = client.open(handshake(client), false);
  client.send_body(stream, "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n", false);
  client.round_trip();
  sent.open();
  EXPECT_EQ(client.response(stream).status(), 403);
  EXPECT_EQ(before, "");
  EXPECT_EQ(client.get("/after").status(), 403);
  EXPECT_EQ(proxy.origin.request(1).target, "/after");
}

TEST(H2WebSocket, KeepsBytesThatComeWithTheAnswerOfTheServer) {
  const H2Proxy proxy([](OriginExchange& exchange) {
    exchange.send(std::string(kSwitch) + "welcome");
    exchange.peer_closes();
    exchange.close();
  });
  H2Client client = proxy.connect();
  const std::uint32_t stream = client.open(handshake(client), false);
  EXPECT_TRUE(comes(client, stream, "welcome"));
}

TEST(H2WebSocket, CarriesMuchBothWaysAtOnce) {
  const H2Proxy proxy(echo);
  H2Client client = proxy.connect();
  const std::uint32_t stream = client.open(handshake(client), false);
  EXPECT_EQ(client.response_head(stream).status(), 200);
  std::string block(4 * 1024 * 1024, 'b');
  for (std::size_t i = 0; i < block.size(); i += 7) block[i] = static_cast<char>('a' + i % 26);
  client.send_body(stream, block, false);
  EXPECT_TRUE(comes(client, stream, block));
}

// Ends.

TEST(H2WebSocket, TheServersEndIsTheClients) {
  const H2Proxy proxy([](OriginExchange& exchange) {
    exchange.send(std::string(kSwitch) + "bye");
    exchange.close();
  });
  H2Client client = proxy.connect();
  const H2Message answer = client.response(client.open(handshake(client), false));
  EXPECT_EQ(answer.body, "bye");
  EXPECT_TRUE(answer.ended);
  EXPECT_FALSE(proxy.daemon.wait_access_of("/chat").has("why"));
  EXPECT_TRUE(client.round_trip()) << "the connection goes on";
}

TEST(H2WebSocket, TheClientsEndIsTheServers) {
  Gate ended;
  const H2Proxy proxy([&](OriginExchange& exchange) {
    exchange.send(kSwitch);
    EXPECT_EQ(exchange.reader().bytes(3), "bye");
    if (exchange.peer_closes()) ended.open();
    exchange.close();
  });
  H2Client client = proxy.connect();
  const std::uint32_t stream = client.open(handshake(client), false);
  EXPECT_EQ(client.response_head(stream).status(), 200);
  client.send_body(stream, "bye", true);
  EXPECT_TRUE(ended.wait());
  client.read_until([&](const H2State& state) {
    return state.message(stream).ended || state.message(stream).reset;
  });
  EXPECT_TRUE(client.round_trip());
}

// As browsers close: the frame with the closing handshake ends the stream (RFC 8441 section 5).
TEST(H2WebSocket, BringsWhatTheServerSaysToTheClientsEnd) {
  const H2Proxy proxy([&](OriginExchange& exchange) {
    exchange.send(kSwitch);
    EXPECT_EQ(exchange.reader().bytes(3), "bye");
    EXPECT_TRUE(exchange.peer_closes());
    exchange.send("good bye");
    exchange.close();
  });
  for (H2Client& client : std::array{proxy.connect(), proxy.connect_tls()}) {
    const std::uint32_t stream = client.open(handshake(client), false);
    EXPECT_EQ(client.response_head(stream).status(), 200);
    client.send_body(stream, "bye", true);
    EXPECT_TRUE(
        client.read_until([&](const H2State& state) { return state.message(stream).ended; }));
    EXPECT_EQ(client.state().message(stream).body, "good bye");
  }
}

TEST(H2WebSocket, AResetIsTheEndForTheServer) {
  Gate ended;
  const H2Proxy proxy([&](OriginExchange& exchange) {
    exchange.send(kSwitch);
    if (exchange.peer_closes()) ended.open();
    exchange.close();
  });
  H2Client client = proxy.connect();
  const std::uint32_t stream = client.open(handshake(client), false);
  EXPECT_EQ(client.response_head(stream).status(), 200);
  client.send(h2::rst_stream(stream, h2::kCancel));
  EXPECT_TRUE(ended.wait());
  EXPECT_TRUE(client.round_trip());
}

TEST(H2WebSocket, AResetOfTheServerBreaksTheStream) {
  const H2Proxy proxy([&](OriginExchange& exchange) {
    exchange.send(kSwitch);
    exchange.reader().bytes(1);
    exchange.reset();
  });
  H2Client client = proxy.connect();
  const std::uint32_t stream = client.open(handshake(client), false);
  EXPECT_EQ(client.response_head(stream).status(), 200);
  client.send_body(stream, "x", false);
  // RFC 8441 section 5.1: RST of TCP is RST_STREAM.
  EXPECT_TRUE(client.response(stream).reset);
  EXPECT_TRUE(client.round_trip());
}

TEST(H2WebSocket, SilentTunnelsAreCut) {
  Gate ended;
  const H2Proxy proxy(
      [&](OriginExchange& exchange) {
        exchange.send(kSwitch);
        if (exchange.peer_closes()) ended.open();
        exchange.close();
      },
      "timeouts: { tunnel: 500ms, body: 100ms, keepalive: 100ms }\n");
  H2Client client = proxy.connect();
  const std::uint32_t stream = client.open(handshake(client), false);
  EXPECT_EQ(client.response_head(stream).status(), 200);
  const Stopwatch watch;
  const H2Message answer = client.response(stream);
  EXPECT_TRUE(answer.ended || answer.reset);
  EXPECT_GE(watch.elapsed(), Milliseconds(400)) << "no other limit runs";
  EXPECT_TRUE(ended.wait());
  EXPECT_EQ(proxy.daemon.wait_access_of("/chat").why(), "tunnel_timeout");
}

TEST(H2WebSocket, ManyTunnelsShareAConnection) {
  const H2Proxy proxy(echo);
  H2Client client = proxy.connect();
  std::vector<std::uint32_t> streams;
  for (int i = 0; i < 50; ++i) streams.push_back(client.open(handshake(client), false));
  for (std::size_t i = 0; i < streams.size(); ++i) {
    EXPECT_EQ(client.response_head(streams[i]).status(), 200);
    client.send_body(streams[i], "word " + std::to_string(i), false);
  }
  for (std::size_t i = 0; i < streams.size(); ++i)
    EXPECT_TRUE(comes(client, streams[i], "word " + std::to_string(i)));
  EXPECT_EQ(client.get("/beside").body, "plain");
}

TEST(H2WebSocket, ATunnelThatIsNotReadHoldsNoOther) {
  const H2Proxy proxy([](OriginExchange& exchange) {
    if (exchange.request().target != "/flood") return echo(exchange);
    exchange.send(kSwitch);
    const std::string block(65536, 'f');
    for (int i = 0; i < 200; ++i) {
      if (exchange.stream().send_some(block, Milliseconds(100)) == 0) break;
    }
    exchange.peer_closes();
    exchange.close();
  });
  H2ClientOptions options;
  options.state.give_window = false;
  options.settings = {{h2::kInitialWindowSize, 10000}};
  H2Client client = proxy.connect(options);
  const std::uint32_t held = client.open(handshake(client, "/flood"), false);
  ASSERT_TRUE(client.read_until(
      [&](const H2State& state) { return state.message(held).body.size() == 10000; }));
  const std::uint32_t other = client.open(handshake(client), false);
  EXPECT_EQ(client.response_head(other).status(), 200);
  client.send_body(other, "word", false);
  EXPECT_TRUE(comes(client, other, "word"));
  client.send(h2::rst_stream(held, h2::kCancel));
  EXPECT_TRUE(client.round_trip());
}

// What does not become a tunnel.

TEST(H2WebSocket, RelaysTheRefusalOfTheServer) {
  const H2Proxy proxy([](OriginExchange& exchange) { exchange.respond("no", 403); });
  H2Client client = proxy.connect();
  const H2Message answer = client.response(client.open(handshake(client), false));
  EXPECT_EQ(answer.status(), 403);
  EXPECT_EQ(answer.body, "no");
  EXPECT_TRUE(client.round_trip());
}

TEST(H2WebSocket, AServerThatDoesNotSwitchOpensNoTunnel) {
  // 200 would tell the client that its tunnel is open (RFC 8441 section 5).
  const H2Proxy proxy([](OriginExchange& exchange) { exchange.respond("an ordinary page"); });
  H2Client client = proxy.connect();
  const H2Message answer = client.response(client.open(handshake(client), false));
  EXPECT_TRUE(answer.reset || answer.status() >= 300) << answer.status();
  EXPECT_TRUE(client.round_trip());
}

TEST(H2WebSocket, ARouteThatDoesNotAllowItOpensNoTunnel) {
  const Origin origin(echo);
  const Daemon daemon(std::string(kPlainListener) + "routes: [ { upgrade: [irc], to: '" +
                      origin.url() + "' } ]\n");
  H2Client client(daemon.port());
  const H2Message answer = client.response(client.open(handshake(client), false));
  EXPECT_TRUE(answer.reset || answer.status() >= 300) << answer.status();
  for (const Request& request : origin.requests()) EXPECT_FALSE(request.has("Upgrade"));
  EXPECT_TRUE(client.round_trip());
}

TEST(H2WebSocket, AServerOfHttp2OpensNoTunnel) {
  const H2Upstream proxy([](const H2Request& request) { request->respond("plain"); });
  H2Client client = proxy.connect_h2();
  const H2Message answer = client.response(client.open(handshake(client), false));
  EXPECT_TRUE(answer.reset || answer.status() >= 300) << answer.status();
  EXPECT_TRUE(client.round_trip());
}

TEST(H2WebSocket, RoutesThatAnswerThemselvesOpenNoTunnel) {
  const Daemon daemon(std::string(kPlainListener) +
                      "routes: [ { path: /own, respond: { status: 200, body: own } }, { path: "
                      "/moved, redirect: { to: /own } } ]\n");
  H2Client client(daemon.port());
  const H2Message own = client.response(client.open(handshake(client, "/own"), false));
  EXPECT_TRUE(own.reset || own.status() >= 300) << own.status();
  EXPECT_EQ(client.response(client.open(handshake(client, "/moved"), false)).status(), 308);
  EXPECT_EQ(client.response(client.open(handshake(client, "/none"), false)).status(), 404);
}

TEST(H2WebSocket, ProtocolsThatNobodyKnowsAreRefused) {
  const H2Proxy proxy(echo);
  H2Client client = proxy.connect();
  for (const char* protocol : {"connect-udp", "h2c", "web socket", "x\r\ny"}) {
    SCOPED_TRACE(protocol);
    const H2Message answer =
        client.response(client.open(handshake(client, "/chat", protocol), false));
    EXPECT_TRUE(answer.reset || answer.status() >= 400) << answer.status();
  }
  for (const Request& request : proxy.origin.requests()) EXPECT_FALSE(request.has("Upgrade"));
  EXPECT_TRUE(client.round_trip());
}

TEST(H2WebSocket, PseudoFieldsThatDoNotFitAreRefused) {
  const H2Proxy proxy(echo);
  H2Client client = proxy.connect();
  const std::vector<h2::Fields> rows{
      {{":method", "GET"},
       {":scheme", "http"},
       {":authority", "test"},
       {":path", "/"},
       {":protocol", "websocket"}},
      {{":method", "CONNECT"}, {":authority", "test"}, {":path", "/"}, {":protocol", "websocket"}},
      {{":method", "CONNECT"},
       {":scheme", "http"},
       {":authority", "test"},
       {":protocol", "websocket"}},
      {{":method", "CONNECT"},
       {":scheme", "http"},
       {":authority", "test"},
       {":path", "/"},
       {":protocol", ""}},
      {{":method", "CONNECT"}, {":scheme", "http"}, {":authority", "test"}, {":path", "/"}},
  };
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const H2Message answer = client.response(client.open(rows[i], false));
    EXPECT_TRUE(answer.reset || answer.status() >= 400) << i << ": " << answer.status();
  }
  EXPECT_EQ(proxy.origin.request_count(), 0U);
}

// A server that knows the protocol.

TEST(H2WebSocket, ARealServerAnswers) {
  constexpr const char* kPython = "/usr/bin/python3";
  if (run_command({kPython, "-c", "import websockets"}).status != 0)
    GTEST_SKIP() << "there is no python3-websockets";
  TempDir directory;
  write_file(directory.file("server.py"),
             "import asyncio, os, sys, websockets\n"
             "async def echo(socket, *_):\n"
             "    async for text in socket:\n"
             "        await socket.send('echo ' + text)\n"
             "async def main():\n"
             "    async with websockets.serve(echo, '127.0.0.1', 0) as server:\n"
             "        with open(sys.argv[1] + '.new', 'w') as file:\n"
             "            file.write(str(server.sockets[0].getsockname()[1]))\n"
             "        os.rename(sys.argv[1] + '.new', sys.argv[1])\n"
             "        await asyncio.Future()\n"
             "asyncio.run(main())\n");
  const std::string ready = directory.file("port");
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const int pid = start_process({kPython, directory.file("server.py"), ready}, nothing, nothing, 2);
  ::close(nothing);
  ASSERT_TRUE(wait_until([&] { return !read_file(ready).empty(); }));
  {
    const Daemon daemon(forward_to("http://127.0.0.1:" + read_file(ready)));
    H2Client client(daemon.port());
    const std::uint32_t stream =
        client.open(client.fields("CONNECT", "/",
                                  {{":protocol", "websocket"}, {"sec-websocket-version", "13"}}),
                    false);
    EXPECT_EQ(client.response_head(stream).status(), 200);
    client.send_body(stream, text_frame("hello"), false);
    EXPECT_TRUE(comes(client, stream,
                      "\x81\x0a"
                      "echo hello"));
    client.send_body(stream, text_frame("\x03\xe8", 8), false);
    EXPECT_TRUE(client.response(stream).ended) << "closed in order";
  }
  wait_process(pid, Milliseconds(0));
}

}  // namespace revproxyd::testing

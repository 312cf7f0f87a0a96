// Reloads under connections of HTTP/2: no request is lost, what is under way goes on.

#include <gtest/gtest.h>

#include "tests/support/h2_load.h"
#include "tests/support/h2_upstream.h"

namespace revproxyd::testing {

namespace {

constexpr int kReloads = 12;

std::string listeners(std::string_view more = {}) {
  return "listeners: [ { name: web, address: '127.0.0.1:0' }, { name: tls, address: '127.0.0.1:0', "
         "tls: internal }" +
         std::string(more) + " ]\n";
}

std::string route(const std::string& action) { return "routes: [ { " + action + " } ]\n"; }

/// Routes that change at every step: their names, what they do, and how the server is reached.
std::string step(int number, const std::string& url) {
  switch (number % 3) {
    case 0: return route("name: direct, to: '" + url + "'");
    case 1:
      return "upstreams: { app: { servers: [ { url: '" + url +
             "' } ], timeouts: { idle: " + std::to_string(60 + number) + "s } } }\n" +
             route("path: '/**', to: app");
    default: return route("name: own, respond: { body: ok }");
  }
}

/// Answers `/held` only when the gate is open.
OriginScript held_by(Gate& gate) {
  return [&gate](OriginExchange& exchange) {
    if (exchange.request().target == "/held") gate.wait(3 * kPatience);
    exchange.respond("from the server");
  };
}

void echo_frames(OriginExchange& exchange) {
  exchange.send(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  for (std::string bytes = exchange.stream().receive(); !bytes.empty();
       bytes = exchange.stream().receive())
    exchange.send(bytes);
  exchange.close();
}

std::uint32_t open_tunnel(H2Client& client) {
  EXPECT_TRUE(client.read_until([](const H2State& state) { return state.settings_came(); }));
  const std::uint32_t stream =
      client.open(client.fields("CONNECT", "/tunnel", {{":protocol", "websocket"}}), false);
  EXPECT_EQ(client.response_head(stream).status(), 200);
  return stream;
}

bool comes(H2Client& client, std::uint32_t stream, const std::string& body) {
  return client.read_until(
      [&](const H2State& state) { return state.message(stream).body == body; });
}

}  // namespace

TEST(H2Reload, FailsNoRequestUnderLoad) {
  const Origin origin([](OriginExchange& exchange) {
    exchange.read_body();
    exchange.respond("ok");
  });
  Daemon daemon(listeners() + step(0, origin.url()));
  const std::uint16_t web = daemon.port("web");
  const std::uint16_t tls = daemon.port("tls");
  H2Load load({{.port = web},
               {.port = web, .depth = 40},
               {.port = web, .requests = 20},
               {.port = web, .depth = 3, .body = "content"},
               {.port = tls, .tls = ClientTls()},
               {.port = tls, .tls = ClientTls(), .requests = 20, .body = "content"}});
  for (int i = 1; i <= kReloads; ++i) {
    ASSERT_TRUE(load.wait_more(100)) << load.report();
    const std::string_view more = i % 2 == 1 ? ", { name: more, address: '127.0.0.1:0' }" : "";
    ASSERT_TRUE(daemon.reload(listeners(more) + step(i, origin.url())));
  }
  ASSERT_TRUE(load.wait_more(100)) << load.report();
  load.stop();
  EXPECT_EQ(load.failed() + load.refused(), 0U) << load.report();
  EXPECT_EQ(daemon.port("web"), web);
}

TEST(H2Reload, AListenerThatGoesLosesNoRequest) {
  const Origin origin;
  const std::string routes = step(0, origin.url());
  Daemon daemon(listeners() + routes);
  for (int i = 0; i < 4; ++i) {
    const std::string name = "more" + std::to_string(i);
    ASSERT_TRUE(
        daemon.reload(listeners(", { name: " + name + ", address: '127.0.0.1:0' }") + routes));
    const std::uint16_t port = daemon.port(name);
    H2Load load({{.port = port, .until_gone = true},
                 {.port = port, .depth = 40, .until_gone = true},
                 {.port = port, .depth = 4, .requests = 8, .until_gone = true},
                 {.port = port, .depth = 4, .body = "content", .until_gone = true},
                 {.port = daemon.port("web")}});
    ASSERT_TRUE(load.wait_more(100)) << load.report();
    ASSERT_TRUE(daemon.reload(listeners() + routes));
    EXPECT_TRUE(wait_until([&] { return refuses(port); }));
    ASSERT_TRUE(load.wait_more(100)) << load.report();
    load.stop();
    EXPECT_EQ(load.failed(), 0U) << load.report();
  }
}

TEST(H2Reload, AListenerThatGoesSendsItsClientsAway) {
  Gate finish;
  const Origin origin(held_by(finish));
  const std::string routes = step(0, origin.url());
  Daemon daemon(listeners(", { name: more, address: '127.0.0.1:0' }") + routes);
  H2Client stays(daemon.port("web"));
  H2Client goes(daemon.port("more"));
  EXPECT_EQ(stays.get("/").status(), 200);
  const std::uint32_t held = goes.open(goes.fields("GET", "/held"));
  ASSERT_TRUE(origin.wait_requests(2));
  ASSERT_TRUE(daemon.reload(listeners() + routes));
  EXPECT_TRUE(goes.read_until([](const H2State& state) { return state.goaway().has_value(); }));
  finish.open();
  EXPECT_EQ(goes.response(held).body, "from the server");
  EXPECT_TRUE(goes.closes());
  EXPECT_TRUE(goes.state().goaway() && goes.state().goaway()->code == h2::kNoError);
  EXPECT_EQ(stays.get("/").status(), 200);
  EXPECT_FALSE(stays.state().goaway());
}

TEST(H2Reload, AListenerThatChangesSendsItsClientsAway) {
  Gate finish;
  const Origin origin(held_by(finish));
  const std::string routes = step(0, origin.url());
  Daemon daemon(listeners() + routes);
  H2Client client(daemon.port("tls"), ClientTls());
  const std::uint32_t held = client.open(client.fields("GET", "/held"));
  ASSERT_TRUE(origin.wait_requests(1));
  ASSERT_TRUE(daemon.reload(listeners() + routes + "limits: { h2_streams: 10 }\n"));
  EXPECT_TRUE(client.read_until([](const H2State& state) { return state.goaway().has_value(); }));
  finish.open();
  EXPECT_EQ(client.response(held).body, "from the server");
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(H2Client(daemon.port("tls"), ClientTls()).get("/").body, "from the server");
}

TEST(H2Reload, ConnectionsOfListenersThatStayGoOnUnderTheNewRoutes) {
  Gate finish;
  const Origin origin(held_by(finish));
  Daemon daemon(listeners() + step(0, origin.url()));
  H2Client clear(daemon.port("web"));
  H2Client tls(daemon.port("tls"), ClientTls());
  std::vector<std::uint32_t> held;
  for (H2Client* client : {&clear, &tls})
    held.push_back(client->open(client->fields("GET", "/held")));
  ASSERT_TRUE(origin.wait_requests(2));
  ASSERT_TRUE(daemon.reload(listeners() + route("respond: { body: new }")));
  for (H2Client* client : {&clear, &tls}) EXPECT_EQ(client->get("/").body, "new");
  finish.open();
  EXPECT_EQ(clear.response(held[0]).body, "from the server");
  EXPECT_EQ(tls.response(held[1]).body, "from the server");
  for (H2Client* client : {&clear, &tls}) {
    EXPECT_EQ(client->get("/").body, "new");
    EXPECT_FALSE(client->state().goaway());
  }
}

TEST(H2Reload, TunnelsGoOn) {
  const Origin origin(echo_frames);
  Daemon daemon(listeners() + step(0, origin.url()));
  H2Client client(daemon.port("web"));
  const std::uint32_t stream = open_tunnel(client);
  std::string all;
  for (int i = 1; i <= 4; ++i) {
    ASSERT_TRUE(daemon.reload(listeners() + step(i, origin.url())));
    client.send_body(stream, "more ", false);
    all += "more ";
    EXPECT_TRUE(comes(client, stream, all)) << i;
  }
}

TEST(H2Reload, CallsOfGrpcGoOn) {
  H2Origin origin([](const H2Request& request) {
    request->head(200, {{"content-type", "application/grpc"}});
    std::size_t answered = 0;
    while (request->wait([&](const H2Message& message) {
      return message.body.size() > answered || message.ended;
    })) {
      const std::string all = request->request().body;
      if (all.size() == answered) break;
      request->data(all.substr(answered));
      answered = all.size();
    }
    request->trailers({{"grpc-status", "0"}});
  });
  Daemon daemon(listeners() + step(0, origin.url()));
  H2Client client(daemon.port("tls"), ClientTls());
  const std::uint32_t stream =
      client.open(client.fields("POST", "/test.Calls/Chat",
                                {{"content-type", "application/grpc"}, {"te", "trailers"}}),
                  false);
  std::string all;
  for (int i = 1; i <= 4; ++i) {
    client.send_body(stream, "message ", false);
    all += "message ";
    EXPECT_TRUE(comes(client, stream, all)) << i;
    ASSERT_TRUE(daemon.reload(listeners() + step(i, origin.url())));
  }
  client.send_body(stream, {}, true);
  const H2Message answer = client.response(stream);
  EXPECT_EQ(answer.body, all);
  EXPECT_EQ(answer.trailer("grpc-status"), "0");
}

TEST(H2Reload, StreamsWhoseRouteIsGoneEndAfterTheirTimeAndNoOthers) {
  const Origin origin(echo_frames);
  const std::string end = "shutdown: { drain: 5s, streams: 500ms }\n";
  Daemon daemon(listeners() + step(0, origin.url()) + end);
  H2Client client(daemon.port("web"));
  const std::uint32_t stream = open_tunnel(client);
  const Stopwatch watch;
  ASSERT_TRUE(daemon.reload(listeners() + step(2, origin.url()) + end));
  EXPECT_EQ(client.get("/").body, "ok");
  EXPECT_TRUE(client.reset_code(stream).has_value());
  EXPECT_GE(watch.elapsed(), Milliseconds(450));
  EXPECT_EQ(daemon.wait_access_of("/tunnel").why(), "drain_timeout");
  EXPECT_EQ(client.get("/").body, "ok") << "the connection goes on";
  EXPECT_FALSE(client.state().goaway());
}

}  // namespace revproxyd::testing

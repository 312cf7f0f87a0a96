// Reloads: all or nothing, and no request pays for them.

#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include <gtest/gtest.h>

#include "tests/support/load.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kHandshake =
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
constexpr std::string_view kSwitch =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

std::string responding(const std::string& body) {
  return std::string(kPlainListener) + "routes: [ { respond: { body: '" + body + "' } } ]\n";
}

std::string two_listeners(const std::string& to) {
  return "listeners: [ { name: web, address: '127.0.0.1:0' }, { name: tls, address: '127.0.0.1:0', "
         "tls: internal } ]\n"
         "routes: [ { to: '" +
         to + "' } ]\n";
}

}  // namespace

TEST(Reload, FailsNoRequestUnderLoad) {
  const Origin origin;
  const std::string config = two_listeners(origin.url());
  Daemon daemon(config);
  const ClientTls tls;
  const std::uint16_t plain = daemon.port("web");
  const std::uint16_t secure = daemon.port("tls");
  Load load({{plain, true, {}, "/"},
             {plain, false, {}, "/"},
             {secure, true, tls, "/"},
             {secure, false, tls, "/"}});
  const int reloads = sanitized() ? 40 : 200;
  for (int i = 0; i < reloads; ++i) {
    ASSERT_TRUE(load.wait_more(40));
    // A different file each time, so that nothing can be skipped as unchanged.
    ASSERT_TRUE(
        daemon.reload(config + "timeouts: { keepalive: " + std::to_string(60 + i) + "s }\n"));
  }
  ASSERT_TRUE(load.wait_more(50));
  load.stop();
  std::printf("%d reloads beside %zu requests, %zu failed\n", reloads, load.done(), load.failed());
  EXPECT_EQ(load.failed(), 0U) << load.failures();
  EXPECT_EQ(daemon.port("web"), plain);
}

TEST(Reload, KeepsKeptConnectionsOfClientsAndServers) {
  const Origin origin;
  const std::string config = forward_to(origin.url(), "workers: 1\n");
  Daemon daemon(config);
  RawClient client(daemon.port());
  EXPECT_EQ(client.get("/").body, "ok");
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(daemon.reload());
    EXPECT_EQ(client.get("/").body, "ok");
  }
  EXPECT_EQ(origin.connections(), 1U);
}

TEST(Reload, TakesUpTheNewRoutesAtTheNextRequest) {
  Daemon daemon(responding("old"));
  RawClient kept(daemon.port());
  EXPECT_EQ(kept.get("/").body, "old");
  ASSERT_TRUE(daemon.reload(responding("new")));
  EXPECT_EQ(kept.get("/").body, "new");
  EXPECT_EQ(fetch(daemon.port()).body, "new");
}

TEST(Reload, KeptConnectionsAreTrustedAsTheNewConfigurationSays) {
  const Origin origin;
  const std::string config = forward_to(origin.url());
  const std::string trusting = config + "trusted_proxies: [ 127.0.0.1 ]\n";
  constexpr std::string_view kClaims =
      "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Request-Id: given\r\n";
  Daemon daemon(trusting);
  RawClient kept(daemon.port());
  const auto forwarded = [&] {
    EXPECT_EQ(kept.get("/", kClaims).status, 200);
    return origin.request(origin.request_count() - 1);
  };
  EXPECT_EQ(forwarded().field("X-Forwarded-For"), "203.0.113.9, 127.0.0.1");
  ASSERT_TRUE(daemon.reload(config));
  const Request distrusted = forwarded();
  EXPECT_EQ(distrusted.field("X-Forwarded-For"), "127.0.0.1");
  EXPECT_EQ(distrusted.field("X-Forwarded-Proto"), "http");
  EXPECT_NE(distrusted.field("X-Request-Id"), "given");
  ASSERT_TRUE(daemon.reload(trusting));
  EXPECT_EQ(forwarded().field("X-Forwarded-For"), "203.0.113.9, 127.0.0.1");
  EXPECT_EQ(origin.connections(), 1U);
}

TEST(Reload, AsksClientsOfAListenerThatChangedToConnectAgain) {
  const std::string tight = "limits: { header_bytes: 4KiB }\n";
  Daemon daemon(responding("old"));
  RawClient kept(daemon.port());
  EXPECT_FALSE(kept.get("/").has("Connection"));
  ASSERT_TRUE(daemon.reload(responding("new") + tight));
  // Not before it is told, since its next request may be on its way.
  const Response last = kept.get("/");
  EXPECT_EQ(last.body, "new");
  EXPECT_EQ(last.field("Connection"), "close");
  EXPECT_TRUE(kept.closes());
  RawClient again(daemon.port());
  EXPECT_FALSE(again.get("/").has("Connection"));
}

TEST(Reload, RefusesABadFileAndKeepsServing) {
  Daemon daemon(responding("old"));
  EXPECT_FALSE(
      daemon.reload(std::string(kPlainListener) + "routes: [ { respnd: { body: new } } ]\n"));
  EXPECT_EQ(fetch(daemon.port()).body, "old");
  EXPECT_NE(daemon.log().find("respnd"), std::string::npos);
  EXPECT_TRUE(daemon.reload(responding("new")));
  EXPECT_EQ(fetch(daemon.port()).body, "new");
}

TEST(Reload, RefusesAFileThatIsGone) {
  Daemon daemon(responding("old"));
  std::filesystem::remove(daemon.config_file());
  EXPECT_FALSE(daemon.reload());
  EXPECT_EQ(fetch(daemon.port()).body, "old");
}

TEST(Reload, RefusesListenersThatCannotBeBoundAsAWhole) {
  const Origin holder;
  Daemon daemon(responding("old"));
  EXPECT_FALSE(
      daemon.reload("listeners: [ { name: web, address: '127.0.0.1:0' }, { name: more, address: '" +
                    holder.address() + "' } ]\nroutes: [ { respond: { body: new } } ]\n"));
  EXPECT_EQ(fetch(daemon.port("web")).body, "old");
}

TEST(Reload, BindsNothingWhenALogCannotBeOpened) {
  const TempDir directory;
  const int watch = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  ASSERT_GE(::inotify_add_watch(watch, directory.path().c_str(), IN_CREATE), 0);
  Daemon daemon(responding("old"));
  for (const std::string log : {"access_log", "log"}) {
    EXPECT_FALSE(daemon.reload("listeners: [ { address: 'unix:" + directory.file("web.sock") +
                               "' } ]\nroutes: [ { respond: { body: new } } ]\n" + log +
                               ": { path: " + directory.file("none/log") + " }\n"));
  }
  std::array<char, 4096> events;
  EXPECT_LT(::read(watch, events.data(), events.size()), 0) << "there was a socket";
  ::close(watch);
  EXPECT_EQ(fetch(daemon.port()).body, "old");
}

TEST(Reload, OpensAndClosesListeners) {
  Daemon daemon(responding("one"));
  const std::uint16_t web = daemon.port("web");
  ASSERT_TRUE(
      daemon.reload("listeners: [ { name: web, address: '127.0.0.1:0' }, { name: more, address: "
                    "'127.0.0.2:0' } ]\nroutes: [ { respond: { body: two } } ]\n"));
  const std::uint16_t more = daemon.port("more");
  EXPECT_EQ(fetch(web).body, "two");
  const CommandResult got =
      run_command({"curl", "-s", "http://127.0.0.2:" + std::to_string(more) + "/"});
  EXPECT_EQ(got.out, "two");
  ASSERT_TRUE(daemon.reload(responding("three")));
  EXPECT_EQ(fetch(web).body, "three");
  EXPECT_TRUE(wait_until([&] {
    return run_command({"curl", "-s", "-m", "2", "http://127.0.0.2:" + std::to_string(more) + "/"})
               .status == 7;
  }));
}

TEST(Reload, LetsDownloadsGoOnUnderTheOldRoutes) {
  Gate go_on;
  const Origin origin([&](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
    go_on.wait();
    exchange.send("full");
  });
  Daemon daemon(forward_to(origin.url()));
  RawClient download(daemon.port());
  download.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(download.response_head().status, 200);
  EXPECT_EQ(download.bytes(4), "half");
  ASSERT_TRUE(daemon.reload(responding("new")));
  EXPECT_EQ(fetch(daemon.port()).body, "new");
  go_on.open();
  EXPECT_EQ(download.bytes(4), "full");
  EXPECT_EQ(download.get("/").body, "new");
}

TEST(Reload, LetsRequestsUnderWayFinish) {
  Gate answer;
  const Origin origin([&](OriginExchange& exchange) {
    answer.wait();
    exchange.respond("from the old server");
  });
  Daemon daemon(forward_to(origin.url()));
  RawClient client(daemon.port());
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(origin.wait_requests(1));
  ASSERT_TRUE(daemon.reload(responding("new")));
  answer.open();
  EXPECT_EQ(client.response().body, "from the old server");
}

TEST(Reload, LetsTunnelsGoOn) {
  const Origin origin([](OriginExchange& exchange) {
    exchange.send(kSwitch);
    for (std::string bytes = exchange.stream().receive(); !bytes.empty();
         bytes = exchange.stream().receive())
      exchange.send(bytes);
    exchange.close();
  });
  Daemon daemon(forward_to(origin.url()));
  RawClient client(daemon.port());
  client.send(kHandshake);
  EXPECT_EQ(client.response().status, 101);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(daemon.reload(responding("new")));
    client.send("x");
    EXPECT_EQ(client.bytes(1), "x");
  }
}

TEST(Reload, KeepsTheHealthOfServersThatStay) {
  std::atomic<int> asked = 0;
  const Origin sick([&](OriginExchange& exchange) {
    if (exchange.request().target == "/healthz") return exchange.respond("", 500);
    ++asked;
    exchange.respond("sick");
  });
  const Origin well("well");
  const std::string config = balance_over(
      {sick.url(), well.url()}, "health_check: { path: /healthz, interval: 200ms, fall: 1 }");
  Daemon daemon(config);
  ASSERT_TRUE(wait_until([&] {
    const int before = asked;
    for (int i = 0; i < 4; ++i) fetch(daemon.port());
    return asked == before;
  }));
  const int before = asked;
  ASSERT_TRUE(daemon.reload(config + "timeouts: { keepalive: 61s }\n"));
  for (int i = 0; i < 8; ++i) EXPECT_EQ(fetch(daemon.port()).body, "well");
  EXPECT_EQ(asked, before);
}

TEST(Reload, OneCheckAfterItDecidesNothingAboutServersThatWereChecked) {
  std::atomic<bool> well = false;
  std::atomic<int> good = 0;
  const Origin origin([&](OriginExchange& exchange) {
    if (exchange.request().target != "/healthz") return exchange.respond("served");
    exchange.respond("", well ? 200 : 500);
    if (well) ++good;
  });
  const auto config = [&](int attempts) {
    return balance_over({origin.url()},
                        "retry: { attempts: " + std::to_string(attempts) +
                            " }, health_check: { path: /healthz, interval: 1h, rise: 2 }");
  };
  Daemon daemon(config(1));
  ASSERT_TRUE(wait_until([&] { return fetch(daemon.port()).status == 503; }));
  well = true;
  for (int i = 1; i < 4; ++i) {
    ASSERT_TRUE(daemon.reload(config(1 + i)));
    ASSERT_TRUE(wait_until([&] { return good == i; }));
    EXPECT_EQ(fetch(daemon.port()).status, 503);
  }
  EXPECT_EQ(daemon.log().find("is up"), std::string::npos);
}

// Nobody would ever find out that it is well again.
TEST(Reload, AServerThatIsNotCheckedAnyMoreIsNotDownAnyMore) {
  const Origin sick([](OriginExchange& exchange) {
    if (exchange.request().target == "/healthz") return exchange.respond("", 500);
    exchange.respond("served");
  });
  Daemon daemon(balance_over(
      {sick.url()}, "health_check: { path: /healthz, interval: 100ms, timeout: 200ms, fall: 1 }"));
  ASSERT_TRUE(wait_until([&] { return fetch(daemon.port()).status == 503; }));
  ASSERT_TRUE(daemon.reload(balance_over({sick.url()})));
  EXPECT_EQ(fetch(daemon.port()).body, "served");
}

TEST(Reload, RefusesACertificateThatCannotBeRead) {
  const TempDir directory;
  const std::string missing = directory.file("missing.pem");
  Daemon daemon(responding("old"));
  daemon.write_config(
      "listeners: [ { name: web, address: '127.0.0.1:0', tls: {} } ]\n"
      "certificates: [ { hosts: a.example, cert: " +
      missing + ", key: " + missing + " } ]\nroutes: [ { respond: {} } ]\n");
  const CommandResult refused = daemon.ctl("reload");
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.out.find(missing), std::string::npos) << refused.out;
  EXPECT_EQ(fetch(daemon.port()).body, "old");
}

TEST(Reload, CtlWaitsForTheVerdict) {
  Daemon daemon(responding("old"));
  daemon.write_config(responding("new"));
  EXPECT_EQ(daemon.ctl("reload").status, 0);
  EXPECT_EQ(fetch(daemon.port()).body, "new");
  daemon.write_config("nonsense: 1\n");
  const CommandResult refused = daemon.ctl("reload");
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.out.find("nonsense"), std::string::npos) << refused.out;
  EXPECT_EQ(fetch(daemon.port()).body, "new");
}

TEST(Reload, WhatCtlSaidIsInForceForTheNextConnection) {
  Daemon daemon(responding("0") + "workers: 2\n");
  for (int i = 1; i <= 20; ++i) {
    const std::string body = std::to_string(i);
    daemon.write_config(responding(body) + "workers: 2\n");
    ASSERT_EQ(daemon.ctl("reload").status, 0);
    for (int connection = 0; connection < 4; ++connection)
      ASSERT_EQ(fetch(daemon.port()).body, body);
  }
}

TEST(Reload, CtlFailsWithoutADaemon) {
  const TempDir directory;
  EXPECT_NE(run_revproxyd({"ctl", "reload", "--socket", directory.file("none.sock")}).status, 0);
}

TEST(Reload, CtlTakesTheSocketFromTheFileThatTheDaemonReads) {
  const Daemon daemon(responding("x"));
  EXPECT_EQ(run_revproxyd({"ctl", "reload", "-c", daemon.config_file()}).status, 0);
  daemon.wait_log("reload 2: ok");
  const TempDir directory;
  const std::string bad = directory.file("bad.yaml");
  write_file(bad, "nonsense: [\n");
  const CommandResult refused = run_revproxyd({"ctl", "reload", "-c", bad});
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.out.find("'[' is never closed"), std::string::npos) << refused.out;
}

TEST(Reload, CtlRefusesUnknownVerbs) {
  const Daemon daemon(responding("x"));
  EXPECT_NE(daemon.ctl("explode").status, 0);
  EXPECT_EQ(fetch(daemon.port()).body, "x");
}

TEST(Reload, WarnsEachTimeThatWorkersAndAdminNeedARestart) {
  const std::string config = responding("x") + "workers: 1\n";
  Daemon daemon(config);
  const std::string other = responding("x") + "workers: 2\nadmin: { socket: '" +
                            daemon.directory().file("other.sock") + "' }\n";
  for (int i = 0; i < 2; ++i) {
    const std::size_t from = daemon.log_lines();
    ASSERT_TRUE(daemon.reload(other));
    daemon.wait_log("warning: a change of workers needs a restart", from, Milliseconds(1));
    daemon.wait_log("warning: a change of admin needs a restart", from, Milliseconds(1));
  }
  ASSERT_TRUE(daemon.reload(config));
  EXPECT_LT(daemon.log().rfind("needs a restart"), daemon.log().rfind("reload 3: ok"));
}

TEST(Reload, TheAdminSocketIsForOwnerAndGroupOnly) {
  const Daemon daemon(responding("x"));
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(daemon.admin_socket()).permissions() & perms::others_all,
            perms::none);
}

TEST(Reload, MakesSocketsAnewWhoseFilesWereRemoved) {
  const TempDir directory;
  const std::string path = directory.file("web.sock");
  Daemon daemon("listeners: [ { name: web, address: 'unix:" + path +
                "' } ]\nroutes: [ { respond: { body: here } } ]\n");
  RawClient kept = RawClient::unix_socket(path);
  EXPECT_EQ(kept.get("/").body, "here");
  std::filesystem::remove(path);
  std::filesystem::remove(daemon.admin_socket());
  daemon.wait_log(path + ": the file of the socket was removed");
  daemon.wait_log("admin socket " + daemon.admin_socket() + ": its file was removed");
  ASSERT_TRUE(daemon.reload());
  EXPECT_EQ(RawClient::unix_socket(path).get("/").body, "here");
  EXPECT_EQ(daemon.ctl("status").status, 0);
  EXPECT_EQ(kept.get("/").body, "here");
}

TEST(Reload, AListenerKeepsItsSocketHoweverItsPathIsWritten) {
  const TempDir directory;
  const auto at = [&](const std::string& name) {
    return "listeners: [ { name: web, address: 'unix:" + directory.file(name) + "' } ]\n";
  };
  Daemon daemon(at("a.sock") + "routes: [ { respond: { body: x } } ]\n");
  for (const char* written : {"/a.sock", "./a.sock", "a.sock"}) {
    EXPECT_TRUE(daemon.reload(at(written) + "routes: [ { respond: { body: y } } ]\n")) << written;
    EXPECT_EQ(RawClient::unix_socket(directory.file("a.sock")).get("/").body, "y");
  }
}

TEST(Reload, MakesSocketsAnewAfterOneThatWasRefused) {
  const TempDir directory;
  const Origin holder;
  const std::string path = directory.file("web.sock");
  const std::string routes = "routes: [ { respond: { body: here } } ]\n";
  const std::string web = "{ name: web, address: 'unix:" + path + "' }";
  Daemon daemon("listeners: [ " + web + " ]\n" + routes);
  std::filesystem::remove(path);
  EXPECT_FALSE(daemon.reload("listeners: [ " + web + ", { name: other, address: '" +
                             holder.address() + "' } ]\n" + routes));
  EXPECT_TRUE(wait_until([&] { return !std::filesystem::exists(path); })) << "nobody is behind it";
  ASSERT_TRUE(daemon.reload("listeners: [ " + web + " ]\n" + routes));
  EXPECT_EQ(RawClient::unix_socket(path).get("/").body, "here");
}

TEST(Reload, UsrOneOpensTheAccessLogAgain) {
  const Daemon daemon(responding("x"));
  fetch(daemon.port(), "/before");
  daemon.wait_access_of("/before");
  const std::string moved = daemon.directory().file("access.log.1");
  std::filesystem::rename(daemon.access_log_file(), moved);
  daemon.signal(SIGUSR1);
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(daemon.access_log_file()); }));
  fetch(daemon.port(), "/after");
  daemon.wait_access_of("/after");
  EXPECT_EQ(read_file(moved).find("/after"), std::string::npos);
}

TEST(Reload, ConnectionsOfTheOldConfigurationTakeNoPlaceFromTheNewOne) {
  const Origin origin;
  const auto config = [&](const std::string& settings) {
    return std::string(kPlainListener) + "upstreams: { app: { servers: [ { url: '" + origin.url() +
           "', max_connections: 1 } ], " + settings + " } }\nroutes: [ { to: app } ]\nworkers: 1\n";
  };
  Daemon daemon(config("timeouts: { idle: 60s }"));
  EXPECT_EQ(fetch(daemon.port()).status, 200);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(daemon.reload(config("timeouts: { idle: " + std::to_string(61 + i) + "s }")));
    EXPECT_EQ(fetch(daemon.port()).status, 200);
  }
}

TEST(Reload, EndsTunnelsWhoseRouteIsGoneAfterTheirTime) {
  const Origin origin([](OriginExchange& exchange) {
    exchange.send(kSwitch);
    exchange.peer_closes();
    exchange.close();
  });
  const std::string end = "shutdown: { drain: 1s, streams: 700ms }\n";
  Daemon daemon(forward_to(origin.url(), end));
  RawClient client(daemon.port());
  client.send(kHandshake);
  EXPECT_EQ(client.response().status, 101);
  ASSERT_TRUE(daemon.reload(forward_to(origin.url(), end + "timeouts: { keepalive: 61s }\n")));
  EXPECT_TRUE(client.stays_quiet(Milliseconds(1500))) << "the route is still there";
  ASSERT_TRUE(daemon.reload(responding("new") + end));
  EXPECT_TRUE(client.closes(Milliseconds(6000)));
}

TEST(Reload, AnswersWhatHasNoAnswerWhenTheTimeOfItsRouteIsOver) {
  Gate never;
  const Origin origin([&](OriginExchange&) { never.wait(Milliseconds(30000)); });
  const std::string end = "shutdown: { streams: 500ms }\n";
  Daemon daemon(forward_to(origin.url(), end));
  RawClient client(daemon.port());
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(origin.wait_requests(1));
  ASSERT_TRUE(daemon.reload(responding("new") + end));
  EXPECT_EQ(client.response().status, 503);
  EXPECT_EQ(daemon.wait_access_of("/").why(), "drain_timeout");
  never.open();
}

}  // namespace revproxyd::testing

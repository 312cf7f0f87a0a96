// Many of everything. The numbers are small here; tests/bench/bulk.sh asks for the full ones.

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/certificates.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kHandshake =
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
constexpr std::string_view kSwitch =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
constexpr std::size_t kWebSockets = 4;
constexpr std::size_t kDownloads = 4;
constexpr std::size_t kGrowthKib = 6 * 1024;

int asked(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

// A download gives a piece for each byte that the test writes to `pieces`.
struct Trickle {
  void step() {
    const std::lock_guard lock(mutex);
    ++given;
    changed.notify_all();
  }
  bool wait(std::size_t piece) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(60), [&] { return given >= piece; });
  }
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t given = 0;
};

void serve(OriginExchange& exchange, Trickle& trickle, std::size_t pieces) {
  if (exchange.request().target == "/ws") {
    exchange.send(kSwitch);
    for (std::string bytes = exchange.stream().receive(); !bytes.empty();
         bytes = exchange.stream().receive())
      exchange.send(bytes);
    return exchange.close();
  }
  if (exchange.request().target != "/file") return exchange.respond("ok");
  exchange.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(pieces) + "\r\n\r\n");
  for (std::size_t piece = 1; piece <= pieces && trickle.wait(piece); ++piece) exchange.send("x");
}

struct Open {
  Open(std::uint16_t port) {
    for (std::size_t i = 0; i < kWebSockets; ++i) {
      tunnels.emplace_back(port);
      tunnels.back().send(kHandshake);
      EXPECT_EQ(tunnels.back().response().status, 101);
    }
    for (std::size_t i = 0; i < kDownloads; ++i) {
      downloads.emplace_back(port);
      downloads.back().send("GET /file HTTP/1.1\r\nHost: a\r\n\r\n");
      downloads.back().until("\r\n\r\n");
    }
  }
  void step() {
    for (RawClient& tunnel : tunnels) {
      tunnel.send("ping");
      EXPECT_EQ(tunnel.bytes(4), "ping");
    }
    for (RawClient& download : downloads) EXPECT_EQ(download.bytes(1), "x");
  }
  std::deque<RawClient> tunnels;
  std::deque<RawClient> downloads;
};

}  // namespace

TEST(Bulk, ReloadsCloseNothingAndKeepNoMemory) {
  const int reloads = asked("REVPROXYD_RELOADS", 60);
  const Milliseconds pause(asked("REVPROXYD_RELOAD_PAUSE_MS", 0));
  Trickle trickle;
  const Origin origin([&](OriginExchange& exchange) {
    serve(exchange, trickle, static_cast<std::size_t>(reloads));
  });
  const auto config = [&](int i) {
    return forward_to(origin.url(),
                      "timeouts: { tunnel: 1h, keepalive: " + std::to_string(60 + i % 2) + "s }\n");
  };
  Daemon daemon(config(0));
  Open open(daemon.port());
  std::size_t before = 0;
  for (int i = 1; i <= reloads; ++i) {
    daemon.write_config(config(i));
    ASSERT_EQ(daemon.ctl("reload").status, 0);
    trickle.step();
    open.step();
    ASSERT_EQ(fetch(daemon.port()).body, "ok");
    if (i == reloads / 3) before = daemon.rss_kib();
    if (pause.count() != 0) std::this_thread::sleep_for(pause);
  }
  const std::size_t after = daemon.rss_kib();
  std::printf("%d reloads: %zu KiB after a third, %zu KiB at the end\n", reloads, before, after);
  if (sanitized()) return;
  EXPECT_LT(after, before + kGrowthKib);
}

TEST(Bulk, ManyHostsWithCertificatesStartAndReload) {
  const int hosts = asked("REVPROXYD_HOSTS", 300);
  Certificates authority;
  std::string certificates = "certificates:\n";
  for (int i = 0; i < hosts; ++i) {
    const Certificate one = authority.issue_for({"h" + std::to_string(i) + ".example"});
    certificates += "  - { cert: '" + one.cert_file + "', key: '" + one.key_file + "' }\n";
  }
  const auto config = [&](const std::string& changed) {
    std::string text = "listeners: [ { name: tls, address: '127.0.0.1:0', tls: {} } ]\nroutes:\n";
    for (int i = 0; i < hosts; ++i) {
      text += "  - { name: r" + std::to_string(i) + ", host: h" + std::to_string(i) +
              ".example, respond: { body: '" + (i == 0 ? changed : "x") + "' } }\n";
    }
    return text + certificates;
  };
  const Stopwatch start;
  Daemon daemon(config("old"));
  const auto started = start.elapsed();
  const ClientTls first{.sni = "h0.example"};
  const auto body = [&] {
    RawClient client(daemon.port(), first);
    client.send("GET / HTTP/1.1\r\nHost: h0.example\r\n\r\n");
    return client.response().body;
  };
  EXPECT_EQ(body(), "old");
  daemon.write_config(config("new"));
  const Stopwatch reload;
  ASSERT_EQ(daemon.ctl("reload").status, 0);
  const auto reloaded = reload.elapsed();
  EXPECT_EQ(body(), "new");
  std::printf("%d hosts: start %lld ms, reload of a changed route %lld ms, %zu KiB\n", hosts,
              static_cast<long long>(started.count()), static_cast<long long>(reloaded.count()),
              daemon.rss_kib());
}

}  // namespace revproxyd::testing

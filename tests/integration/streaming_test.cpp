// Bodies stream in constant memory, both ways, and at the pace of the slower side.

#include <sys/socket.h>

#include <thread>

#include <gtest/gtest.h>

#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::size_t kBlock = 64 * 1024;
constexpr std::size_t kBlocks = 4096;  // 256 MiB in all
constexpr std::size_t kMiB = 1024 * 1024;
constexpr std::size_t kGrowthKib = 32 * 1024;
constexpr std::string_view kNoLimit = "limits: { max_body: 0 }\n";

void send_blocks(OriginExchange& exchange, std::size_t count) {
  exchange.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(count * kBlock) +
                "\r\n\r\n");
  const std::string block(kBlock, 'd');
  for (std::size_t i = 0; i < count; ++i) exchange.send(block);
}

std::size_t read_blocks(RawClient& client, std::size_t count) {
  std::size_t got = 0;
  while (got < count * kBlock) {
    const std::string bytes = client.stream().receive(kBlock);
    if (bytes.empty()) break;
    got += bytes.size();
  }
  return got;
}

}  // namespace

TEST(Streaming, DownloadsOfAnySizeHoldLittleMemory) {
  const Proxy proxy([](OriginExchange& exchange) {
    if (exchange.request().target == "/small") return exchange.respond("ok");
    send_blocks(exchange, kBlocks);
  });
  EXPECT_EQ(proxy.get("/small").status, 200);
  const std::size_t before = proxy.daemon.rss_kib();
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  client.until("\r\n\r\n");
  std::size_t most = 0;
  std::size_t body = 0;
  while (body < kBlocks * kBlock) {
    const std::size_t size = client.bytes(std::min(kBlock, kBlocks * kBlock - body)).size();
    body += size;
    if (body % (32 * kMiB) < kBlock) most = std::max(most, proxy.daemon.rss_kib());
  }
  EXPECT_EQ(body, kBlocks * kBlock);
  if (!sanitized()) {
    EXPECT_LT(most, before + kGrowthKib);
  }
}

TEST(Streaming, UploadsOfAnySizeHoldLittleMemory) {
  const Proxy proxy(
      [](OriginExchange& exchange) {
        const std::size_t size =
            exchange.request().has("Content-Length") ? exchange.discard_body() : 0;
        exchange.respond(std::to_string(size));
      },
      kNoLimit);
  EXPECT_EQ(proxy.get().status, 200);
  const std::size_t before = proxy.daemon.rss_kib();
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(kBlocks * kBlock) +
              "\r\n\r\n");
  const std::string block(kBlock, 'u');
  std::size_t most = 0;
  for (std::size_t i = 0; i < kBlocks; ++i) {
    client.send(block);
    if (i % 512 == 0) most = std::max(most, proxy.daemon.rss_kib());
  }
  EXPECT_EQ(client.response().body, std::to_string(kBlocks * kBlock));
  if (!sanitized()) {
    EXPECT_LT(most, before + kGrowthKib);
  }
}

TEST(Streaming, SlowReadersHoldBackTheServer) {
  std::atomic<std::size_t> sent = 0;
  Gate stop;
  const Proxy proxy([&](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    const std::string block(kBlock, 'd');
    while (!stop.is_open()) sent += exchange.stream().send_some(block, Milliseconds(50));
    exchange.close();
  });
  const std::size_t before = proxy.daemon.rss_kib();
  RawClient client = RawClient::slow_reader(proxy.daemon.port());
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.response_head().status, 200);
  // Once the buffers of the kernel are full nothing moves any more.
  std::size_t last = 1;
  EXPECT_TRUE(wait_until([&] {
    const std::size_t now = sent;
    const bool still = now == last;
    last = now;
    std::this_thread::sleep_for(Milliseconds(300));  // the time in which nothing may move
    return still && sent == now;
  }));
  EXPECT_LT(sent, 64 * kMiB);
  if (!sanitized()) {
    EXPECT_LT(proxy.daemon.rss_kib(), before + kGrowthKib);
  }
  stop.open();
}

// A server that reads the head of a request and nothing behind it, and has little room for that.
struct Unreading {
  ~Unreading() { stop.open(); }
  Gate stop;
  Origin origin{[this](OriginExchange& exchange) {
                  stop.wait(Milliseconds(20000));
                  exchange.close();
                },
                little_room()};
  static OriginOptions little_room() {
    OriginOptions options;
    options.receive_buffer = 4096;
    return options;
  }
};

TEST(Streaming, SlowServersHoldBackTheClient) {
  const Unreading server;
  const Daemon daemon(forward_to(server.origin.url(), kNoLimit));
  RawClient client(daemon.port());
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
  const std::string block(kBlock, 'u');
  std::size_t sent = 0;
  while (sent < 64 * kMiB) {
    const std::size_t took = client.stream().send_some(block, Milliseconds(500));
    if (took == 0) break;
    sent += took;
  }
  EXPECT_LT(sent, 64 * kMiB);
}

TEST(Streaming, EventsPassAtOnce) {
  Gate first;
  Gate second;
  const Proxy proxy([&](OriginExchange& exchange) {
    exchange.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    exchange.send("9\r\ndata: 1\n\n\r\n");
    first.wait();
    exchange.send("9\r\ndata: 2\n\n\r\n");
    second.wait();
    exchange.send("0\r\n\r\n");
  });
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
  EXPECT_EQ(client.response_head().status, 200);
  client.until("data: 1\n\n");
  first.open();
  client.until("data: 2\n\n");
  second.open();
  client.until("0\r\n\r\n");
}

TEST(Streaming, HeadsPassBeforeTheirBodies) {
  Gate seen;
  const Proxy proxy([&](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    seen.wait();
    exchange.send("body");
  });
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.response_head().status, 200);
  seen.open();
  EXPECT_EQ(client.bytes(4), "body");
}

TEST(Streaming, UploadsPassAtOnce) {
  Gate got;
  const Proxy proxy([&](OriginExchange& exchange) {
    exchange.reader().until("first");
    got.open();
    exchange.reader().until("0\r\n\r\n");
    exchange.respond("ok");
    exchange.close();
  });
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
  EXPECT_TRUE(got.wait());
  client.send("0\r\n\r\n");
  EXPECT_EQ(client.response().status, 200);
}

TEST(Streaming, AClientThatLeavesCancelsItsRequest) {
  Gate cancelled;
  const Proxy proxy([&](OriginExchange& exchange) {
    if (exchange.peer_closes()) cancelled.open();
    exchange.close();
  });
  {
    RawClient client = proxy.connect();
    client.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(proxy.origin.wait_requests(1));
  }
  EXPECT_TRUE(cancelled.wait(Milliseconds(3000)));
  const AccessEntry entry = proxy.daemon.wait_access_of("/left");
  EXPECT_EQ(entry.why(), "client_gone");
  EXPECT_EQ(entry.status(), 499);
}

TEST(Streaming, AClientThatResetsInsideTheAnswerCancelsItsRequest) {
  Gate cancelled;
  const Proxy proxy([&](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegin");
    if (exchange.peer_closes()) cancelled.open();
    exchange.close();
  });
  RawClient client = proxy.connect();
  client.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.response_head().status, 200);
  EXPECT_EQ(client.bytes(5), "begin");
  client.stream().reset();
  EXPECT_TRUE(cancelled.wait(Milliseconds(3000)));
  EXPECT_EQ(proxy.daemon.wait_access_of("/left").why(), "client_gone");
}

TEST(Streaming, AClientThatLeavesInsideItsUploadCancelsIt) {
  Gate cancelled;
  const Proxy proxy([&](OriginExchange& exchange) {
    if (exchange.peer_closes()) cancelled.open();
    exchange.close();
  });
  {
    RawClient client = proxy.connect();
    client.send("POST /left HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbegin");
    ASSERT_TRUE(proxy.origin.wait_requests(1));
  }
  EXPECT_TRUE(cancelled.wait(Milliseconds(3000)));
  EXPECT_EQ(proxy.daemon.wait_access_of("/left").why(), "client_gone");
}

TEST(Streaming, AClientThatLeavesInsideALongUploadCancelsIt) {
  for (const bool reset : {false, true}) {
    Gate cancelled;
    const Proxy proxy([&](OriginExchange& exchange) {
      if (exchange.peer_closes()) cancelled.open();
      exchange.close();
    });
    RawClient client = proxy.connect();
    client.send("POST /left HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" +
                std::string(300000, 'x'));
    ASSERT_TRUE(proxy.origin.wait_requests(1));
    if (reset) client.stream().reset();
    client.stream().close();
    EXPECT_TRUE(cancelled.wait(Milliseconds(3000)));
    EXPECT_EQ(proxy.daemon.wait_access_of("/left").why(), "client_gone");
  }
}

TEST(Streaming, AClientThatResetsInsideItsUploadIsGoneAndNoServerIsToBlame) {
  const Proxy proxy([&](OriginExchange& exchange) {
    exchange.peer_closes();
    exchange.close();
  });
  RawClient client = proxy.connect();
  client.send("POST /left HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" +
              std::string(50000, 'x'));
  ASSERT_TRUE(proxy.origin.wait_requests(1));
  client.stream().reset();
  const AccessEntry entry = proxy.daemon.wait_access_of("/left");
  EXPECT_EQ(entry.status(), 499);
  EXPECT_EQ(entry.why(), "client_gone");
}

TEST(Streaming, SmallRequestsAreServedBesideAHugeDownload) {
  const Proxy proxy(
      [](OriginExchange& exchange) {
        if (exchange.request().target == "/small") return exchange.respond("ok");
        send_blocks(exchange, kBlocks);
      },
      "workers: 1\n");
  RawClient huge = proxy.connect();
  huge.send("GET /huge HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(huge.response_head().status, 200);
  std::atomic<bool> done = false;
  std::jthread reader([&] {
    try {
      read_blocks(huge, kBlocks - 2);
    } catch (const std::exception&) {
      // Judged by the small requests alone.
    }
    done = true;
  });
  RawClient small = proxy.connect();
  Milliseconds longest{0};
  int served = 0;
  for (; served < 50 && !done; ++served) {
    const Stopwatch watch;
    EXPECT_EQ(small.get("/small").status, 200);
    longest = std::max(longest, watch.elapsed());
  }
  EXPECT_GT(served, 0);
  EXPECT_LT(longest, Milliseconds(1500));
  huge.stream().interrupt();
}

TEST(Streaming, AnswersThatFillABufferExactlyPassAtOnce) {
  for (const std::size_t total : {4094U, 4095U, 4096U, 4097U, 8192U, 16384U, 65536U}) {
    SCOPED_TRACE(total);
    Gate seen;
    const Proxy proxy([&](OriginExchange& exchange) {
      const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFF\r\n";
      exchange.send(head + std::string(total - head.size(), 'a'));
      seen.wait();
      exchange.send(std::string(0xFFFF - (total - head.size()), 'b') + "\r\n0\r\n\r\n");
    });
    RawClient client = proxy.connect();
    const Stopwatch watch;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(client.response_head().status, 200);
    client.until("aaaa");
    EXPECT_LT(watch.elapsed(), Milliseconds(5000));
    seen.open();
    client.until("0\r\n\r\n");
  }
}

TEST(Streaming, UploadsThatFillABufferExactlyPassAtOnce) {
  for (const std::size_t total : {4095U, 4096U, 4097U, 16384U}) {
    SCOPED_TRACE(total);
    const Proxy proxy;
    RawClient client = proxy.connect();
    const std::string head =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFF\r\n";
    client.send(head + std::string(total - head.size(), 'a'));
    EXPECT_TRUE(proxy.origin.wait_requests(1, Milliseconds(5000)));
    client.send(std::string(0xFFFF - (total - head.size()), 'b') + "\r\n0\r\n\r\n");
    EXPECT_EQ(client.response().status, 200);
  }
}

TEST(Streaming, EventsThatAreWrittenInPiecesAreNeverLate) {
  constexpr int kEvents = 40;
  std::atomic<int> seen = 0;
  const Proxy proxy([&](OriginExchange& exchange) {
    exchange.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < kEvents; ++i) {
      exchange.send("5\r\n").send("ev" + std::to_string(100 + i)).send("\r\n");
      if (!wait_until([&] { return seen > i; }, Milliseconds(3000))) return exchange.close();
    }
    exchange.send("0\r\n\r\n");
  });
  RawClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  for (int i = 0; i < kEvents; ++i) {
    client.until("ev" + std::to_string(100 + i));
    ++seen;
  }
  client.until("0\r\n\r\n");
}

// A server that takes nothing of an upload, and a client that leaves when it can send no more of
// it.
void leave_a_stalled_upload(bool tls, const std::string& framing) {
  const Unreading server;
  const std::string listener = std::string("listeners: [ { name: main, address: '127.0.0.1:0'") +
                               (tls ? ", tls: internal" : "") + " } ]\n";
  const Daemon daemon(listener + "routes: [ { to: '" + server.origin.url() + "' } ]\n" +
                      std::string(kNoLimit));
  {
    RawClient client = tls ? RawClient(daemon.port(), ClientTls{}) : RawClient(daemon.port());
    client.send("POST /left HTTP/1.1\r\nHost: a\r\n" + framing);
    const std::string block(kBlock, 'u');
    while (client.stream().send_some(block, Milliseconds(300)) != 0) {
    }
    // An orderly end would wait in the client's kernel behind what the proxy does not take.
    client.stream().reset();
  }
  // Long before timeouts.idle, which bounds the wait for the server.
  const AccessEntry entry = daemon.wait_access_of("/left");
  EXPECT_EQ(entry.why(), "client_gone");
  EXPECT_EQ(entry.status(), 499);
}

TEST(Streaming, AClientThatResetsAnUploadThatTheServerHoldsUpCancelsIt) {
  leave_a_stalled_upload(false, "Content-Length: 1000000000\r\n\r\n");
}

TEST(Streaming, AClientThatResetsAHeldUpUploadOverTlsCancelsIt) {
  leave_a_stalled_upload(true, "Content-Length: 1000000000\r\n\r\n");
}

TEST(Streaming, AClientThatResetsAHeldUpUploadInChunksCancelsIt) {
  leave_a_stalled_upload(false, "Transfer-Encoding: chunked\r\n\r\n3b9aca00\r\n");
}

TEST(Streaming, AClientThatEndsInsideItsUploadGetsNoMadeUpStatus) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.peer_closes();
    exchange.close();
  });
  RawClient client = proxy.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbegin");
  ASSERT_TRUE(proxy.origin.wait_requests(1));
  client.stream().half_close();
  EXPECT_EQ(client.last_words().find("499"), std::string::npos);
}

}  // namespace revproxyd::testing

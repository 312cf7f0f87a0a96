// What browsers, gRPC and download clients do often and may do: nothing of it counts against them.
// And what memory the others cost.

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/support/h2_abuse.h"

namespace revproxyd::testing {

namespace {

constexpr std::size_t kGrowthKib = 16 * 1024;

constexpr std::size_t kMessage = 20;

// Sends back each message as it comes.
void echo_messages(OriginExchange& exchange) {
  exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n");
  try {
    for (;;) exchange.send(exchange.reader().bytes(kMessage));
  } catch (const std::exception&) {
    exchange.close();
  }
}

// What the process has grown by while `act` runs and right after it.
template <typename Act>
std::size_t growth_kib(const Daemon& daemon, Act&& act) {
  const std::size_t before = daemon.rss_kib();
  act();
  const std::size_t after = daemon.rss_kib();
  const std::size_t growth = after > before ? after - before : 0;
  ::testing::Test::RecordProperty("growth_kib", std::to_string(growth));
  return growth;
}

}  // namespace

TEST(H2Conduct, SixtyCancelsOfABrowserAreNoOffence) {
  const AbusedProxy abused("");
  H2Client client = abused.connect();
  for (int page = 0; page < 6; ++page) {
    std::string cancels;
    for (int i = 0; i < 10; ++i) {
      const std::uint32_t stream = client.open(client.fields("GET", "/held"));
      cancels += h2::rst_stream(stream, h2::kCancel);
    }
    client.send(cancels);
    EXPECT_EQ(client.get("/page").status(), 200);
  }
  EXPECT_FALSE(client.state().goaway());
}

TEST(H2Conduct, PingsAndWindowUpdatesBesideSmallMessagesAreNoOffence) {
  const H2Proxy proxy(echo_messages);
  H2ClientOptions options;
  options.state.give_window = false;
  H2Client client = proxy.connect(options);
  const std::uint32_t stream =
      client.open(client.fields("POST", "/call", {{"content-length", "2000000"}}), false);
  const std::string message(kMessage, 'm');
  for (std::size_t i = 1; i <= 2000; ++i) {
    client.send(h2::data(stream, message) + h2::ping("12345678") +
                h2::window_update(i % 2 == 0 ? stream : 0, 40));
    ASSERT_TRUE(client.read_until([&](const H2State& state) {
      return state.message(stream).body.size() == i * message.size();
    })) << i;
  }
  EXPECT_FALSE(client.state().goaway());
  client.send(h2::rst_stream(stream, h2::kCancel));
  EXPECT_EQ(client.state().frames(h2::kPing), 2000U);
}

TEST(H2Conduct, SmallWindowUpdatesBesideALargeDownloadAreNoOffence) {
  constexpr std::size_t kBlocks = 800;
  constexpr std::size_t kBlock = 64 * 1024;  // 50 MiB in all
  constexpr std::uint32_t kStep = 16 * 1024;
  const H2Proxy proxy([](OriginExchange& exchange) {
    if (exchange.request().target == "/small") return exchange.respond("small");
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kBlocks * kBlock) +
                  "\r\n\r\n");
    const std::string block(kBlock, 'd');
    for (std::size_t i = 0; i < kBlocks; ++i) exchange.send(block);
  });
  H2ClientOptions options;
  options.state.give_window = false;
  H2Client client = proxy.connect(options);
  const std::uint32_t stream = client.open(client.fields("GET", "/"));
  std::size_t given = 0;
  while (!client.state().message(stream).ended) {
    ASSERT_TRUE(client.read_frame());
    const std::size_t got = client.state().message(stream).body.size();
    for (; given + kStep <= got; given += kStep)
      client.send(h2::window_update(stream, kStep) + h2::window_update(0, kStep));
  }
  EXPECT_EQ(client.state().message(stream).body.size(), kBlocks * kBlock);
  client.send(h2::window_update(0, kStep));
  EXPECT_EQ(client.get("/small").body, "small");
  EXPECT_FALSE(client.state().goaway());
}

TEST(H2Conduct, PingsThatNobodyReadsTheAnswersOfHoldLittleMemory) {
  const AbusedProxy abused("limits: { h2_resets: 0 }\n");
  EXPECT_EQ(abused.connect().get("/").status(), 200);
  std::string pings;
  for (int i = 0; i < 500; ++i) pings += h2::ping("12345678");
  const std::size_t growth = growth_kib(abused.proxy.daemon, [&] {
    for (int i = 0; i < 20; ++i) {
      H2Client client(RawClient::slow_reader(abused.proxy.daemon.port("web")));
      try {
        for (int k = 0; k < 200; ++k) {
          if (client.stream().send_some(pings, Milliseconds(20)) == 0) break;
        }
      } catch (const Disconnected&) {
        // It was cut off.
      }
    }
  });
  EXPECT_EQ(abused.connect().get("/").status(), 200);
  if (!sanitized()) {
    EXPECT_LT(growth, kGrowthKib);
  }
}

TEST(H2Conduct, RefusalsThatNobodyReadsHoldLittleMemory) {
  const AbusedProxy abused("limits: { h2_resets: 0 }\n");
  EXPECT_EQ(abused.connect().get("/").status(), 200);
  const std::size_t growth = growth_kib(abused.proxy.daemon, [&] {
    H2Client client(RawClient::slow_reader(abused.proxy.daemon.port("web")));
    std::string nonsense;
    for (int batch = 0; batch < 1200; ++batch) {
      nonsense.clear();
      for (int i = 0; i < 1000; ++i)
        nonsense += h2::headers(client.next_stream(), {{":method", "GET"}});
      if (client.stream().send_some(nonsense, Milliseconds(500)) < nonsense.size()) break;
    }
  });
  EXPECT_EQ(abused.connect().get("/").status(), 200);
  if (!sanitized()) {
    EXPECT_LT(growth, kGrowthKib);
  }
}

TEST(H2Conduct, TwentyThousandResetsHoldLittleMemory) {
  const AbusedProxy abused("limits: { h2_resets: 0, requests_per_connection: 0 }\n");
  EXPECT_EQ(abused.connect().get("/").status(), 200);
  const std::size_t growth = growth_kib(abused.proxy.daemon, [&] {
    H2Client client = abused.connect();
    for (int batch = 0; batch < 200; ++batch) {
      std::string bytes;
      for (int i = 0; i < 100; ++i) {
        const std::uint32_t stream = client.next_stream();
        bytes +=
            h2::headers(stream, client.fields("GET", "/")) + h2::rst_stream(stream, h2::kCancel);
      }
      client.send(bytes);
      ASSERT_TRUE(client.round_trip());
    }
  });
  EXPECT_EQ(abused.connect().get("/").status(), 200);
  if (!sanitized()) {
    EXPECT_LT(growth, kGrowthKib);
  }
}

TEST(H2Conduct, WindowsGivenBackForEachSmallEventAreNoOffence) {
  const H2Proxy proxy([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    for (int i = 0; i < 600; ++i) {
      exchange.send("data: x\n\n");
      std::this_thread::sleep_for(Milliseconds(2));
    }
    exchange.close();
  });
  H2Client client = proxy.connect();  // gives both windows back for every DATA frame
  EXPECT_EQ(client.get("/").body.size(), 5400U);
  EXPECT_FALSE(client.state().goaway());
}

}  // namespace revproxyd::testing

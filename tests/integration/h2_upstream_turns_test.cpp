// Several workers and a server that may have fewer connections than there are workers.

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/h2_upstream.h"

namespace revproxyd::testing {

namespace {

std::string one_connection(const H2Origin& origin, std::string_view queue_timeout) {
  return std::string(kPlainListener) +
         "workers: 2\n"
         "upstreams: { app: { servers: [ { url: '" +
         origin.url() +
         "', max_connections: 1 } ], limits: { queue_timeout: " + std::string(queue_timeout) +
         " } } }\nroutes: [ { to: app } ]\n";
}

/// `requests` in turn over one connection; how many were answered with 200.
std::size_t ask_in_turn(std::uint16_t port, std::size_t requests) {
  RawClient client(port);
  std::size_t good = 0;
  for (std::size_t i = 0; i < requests; ++i) {
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    if (client.response().status == 200) ++good;
  }
  return good;
}

}  // namespace

TEST(H2UpstreamTurns, UnderSteadyLoadTheConnectionGoesFromWorkerToWorker) {
  // The server takes its time, so that the connection is never idle by chance.
  H2Origin origin(
      [](const H2Request& request) {
        std::this_thread::sleep_for(Milliseconds(5));
        request->respond("ok");
      },
      {});
  const Daemon daemon(one_connection(origin, "3s"));
  constexpr std::size_t kClients = 16;
  constexpr std::size_t kRequests = 250;
  std::vector<std::size_t> good(kClients);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kClients; ++i)
    threads.emplace_back([&, i] { good[i] = ask_in_turn(daemon.port(), kRequests); });
  for (std::thread& thread : threads) thread.join();
  for (const std::size_t count : good) EXPECT_EQ(count, kRequests);
}

TEST(H2UpstreamTurns, RoomOnAConnectionGoesToThoseWhoCanUseIt) {
  Gate held;
  Gate end;
  H2OriginOptions options;
  options.settings = {{h2::kMaxConcurrentStreams, 2}};
  H2Origin origin(
      [&](const H2Request& request) {
        if (request->request().path() == "/long") {
          held.open();
          end.wait();
        }
        request->respond("ok");
      },
      options);
  const Daemon daemon(one_connection(origin, "2s"));
  RawClient slow(daemon.port());
  slow.send("GET /long HTTP/1.1\r\nHost: test\r\n\r\n");
  ASSERT_TRUE(held.wait());
  std::vector<RawClient> clients = ask_at_once(daemon.port(), 60);
  std::size_t good = 0;
  for (RawClient& client : clients) {
    const int status = client.response().status;
    EXPECT_TRUE(status == 200 || status == 503) << status;
    if (status == 200) ++good;
  }
  // About half of them are at the worker that has the connection.
  EXPECT_GE(good, 10U);
  end.open();
  EXPECT_EQ(slow.response().status, 200);
}

}  // namespace revproxyd::testing

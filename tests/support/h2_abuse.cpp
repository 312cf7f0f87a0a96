#include "tests/support/h2_abuse.h"

#include <gtest/gtest.h>

namespace revproxyd::testing {

namespace {

constexpr int kBatches = 200;

}  // namespace

AbusedProxy::AbusedProxy(std::string_view more)
    : proxy(
          [this](OriginExchange& exchange) {
            if (exchange.request().target == "/held") held.wait(Milliseconds(30000));
            H2Proxy::echo(exchange);
          },
          more) {}

std::uint32_t AbusedProxy::open_held(H2Client& client) const {
  const std::size_t before = proxy.origin.request_count();
  const std::uint32_t stream = client.open(client.fields("GET", "/held"));
  EXPECT_TRUE(proxy.origin.wait_requests(before + 1));
  return stream;
}

std::size_t failed_connections(const Daemon& daemon, const std::string& code) {
  const std::string stats = daemon.ctl("stats").out;
  const std::size_t object = stats.find("\"connections_failed\":{");
  if (object == std::string::npos) throw std::runtime_error("no connections_failed: " + stats);
  const std::string key = "\"" + code + "\":";
  const std::size_t at = stats.find(key, object);
  if (at == std::string::npos || at > stats.find('}', object)) return 0;
  return std::stoull(stats.substr(at + key.size()));
}

bool blamed(const Daemon& daemon, const std::string& code, std::size_t count) {
  std::size_t counted = 0;
  const bool reached =
      wait_until([&] { return (counted = failed_connections(daemon, code)) >= count; });
  EXPECT_EQ(counted, count) << daemon.ctl("stats").out;
  const std::string line = daemon.wait_log(code);
  EXPECT_NE(line.find("warn"), std::string::npos) << line;
  return reached;
}

bool provoke_goaway(H2Client& client, const Attack& attack) {
  for (int i = 0; i < kBatches && !client.state().goaway(); ++i) {
    attack(client);
    const std::uint32_t mark = client.open(client.fields("GET", "/mark"));
    const bool alive = client.read_until([&](const H2State& state) {
      return state.goaway() || state.message(mark).ended || state.message(mark).reset;
    });
    if (!alive) return false;
  }
  return client.state().goaway().has_value();
}

bool provoke_end(H2Client& client, const Attack& attack) {
  try {
    for (int i = 0; i < kBatches; ++i) {
      attack(client);
      if (client.closes(Milliseconds(5))) return true;
    }
  } catch (const Disconnected&) {
    return true;
  }
  return client.closes();
}

void expect_sent_away(const std::string& code, const Attack& attack) {
  expect_sent_away(code, attack, attack);
}

void expect_sent_away(const std::string& code, const Attack& attack, const Attack& further) {
  AbusedProxy abused;
  const Daemon& daemon = abused.proxy.daemon;
  H2Client other = abused.connect();
  EXPECT_EQ(other.get("/before").status(), 200);

  H2Client warned = abused.connect();
  const std::uint32_t under_way = abused.open_held(warned);
  ASSERT_TRUE(provoke_goaway(warned, attack));
  EXPECT_EQ(warned.goaway().code, h2::kEnhanceYourCalm);
  EXPECT_EQ(other.get("/meanwhile").status(), 200);

  H2Client stubborn = abused.connect();
  abused.open_held(stubborn);
  ASSERT_TRUE(provoke_goaway(stubborn, attack));
  EXPECT_EQ(stubborn.goaway().code, h2::kEnhanceYourCalm);
  EXPECT_TRUE(provoke_end(stubborn, further));
  EXPECT_TRUE(blamed(daemon, code));
  EXPECT_EQ(other.get("/then").status(), 200);

  EXPECT_FALSE(warned.state().message(under_way).reset);
  abused.release();
  EXPECT_EQ(warned.response(under_way).status(), 200);
  EXPECT_TRUE(warned.closes());
  EXPECT_TRUE(blamed(daemon, code, 2));
}

}  // namespace revproxyd::testing

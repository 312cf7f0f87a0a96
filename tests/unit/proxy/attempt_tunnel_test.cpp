// The tunnel that a 101 opens: bytes both ways, and what ends it.

#include <string>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tests/unit/proxy/relay_fixture.h"

namespace revproxyd::proxy {
namespace {

using std::chrono::seconds;

class TunnelRelay : public testing::Relay {
 protected:
  static constexpr std::string_view kUpgrade =
      "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
  static constexpr std::string_view kSwitching =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
  void open_tunnel() {
    request(kUpgrade);
    respond(kSwitching);
  }
};

TEST_F(TunnelRelay, OpensWith101AndCarriesWhatCameWithEitherHandshake) {
  request(std::string(kUpgrade) + "early");
  EXPECT_EQ(upload(), "") << "there is no tunnel yet";
  respond(std::string(kSwitching) + "hello");
  EXPECT_EQ(client.received(), std::string(kSwitching) + "hello");
  EXPECT_EQ(upload(), "early");
}

TEST_F(TunnelRelay, CarriesBytesBothWays) {
  open_tunnel();
  client_sends("ping");
  EXPECT_EQ(upload(), "ping");
  respond("pong");
  EXPECT_EQ(body(), "pong");
  EXPECT_FALSE(ended);
}

TEST_F(TunnelRelay, TheEndOfTheServerEndsItAfterItsLastBytes) {
  open_tunnel();
  origin.send("bye");
  origin.end();
  runner.settle();
  EXPECT_EQ(body(), "bye");
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::none);
}

TEST_F(TunnelRelay, TheEndOfTheClientIsTheServersToAnswer) {
  open_tunnel();
  client.send("bye");
  client.end();
  runner.settle();
  EXPECT_EQ(upload(), "bye");
  EXPECT_TRUE(origin.saw_end());
  EXPECT_FALSE(ended);
  origin.send("good bye");
  origin.end();
  runner.settle();
  EXPECT_EQ(body(), "good bye");
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::none);
  EXPECT_FALSE(server_is_kept());
}

TEST_F(TunnelRelay, AServerThatIsSilentToTheClientsEndIsEnded) {
  open_tunnel();
  client.end();
  runner.settle();
  runner.pass(limits::kTunnelEnd - seconds(1));
  EXPECT_FALSE(ended);
  runner.pass(seconds(1));
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::none);
}

TEST_F(TunnelRelay, SoIsOneThatHasNoRoomForTheClientsEnd) {
  open_tunnel();
  origin.take_end_with_room();
  origin.take_only(0);
  client.end();
  runner.settle();
  EXPECT_FALSE(origin.saw_end());
  runner.pass(limits::kTunnelEnd - seconds(1));
  EXPECT_FALSE(ended);
  runner.pass(seconds(1));
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::none);
}

TEST_F(TunnelRelay, AServerHasItsTimeFromTheClientsEndOn) {
  open_tunnel();
  origin.take_end_with_room();
  origin.take_only(0);
  client.end();
  runner.settle();
  runner.pass(limits::kTunnelEnd - seconds(2));
  origin.take_all();
  runner.settle();
  EXPECT_TRUE(origin.saw_end());
  runner.pass(limits::kTunnelEnd - seconds(1));
  EXPECT_FALSE(ended);
  respond("good bye");
  origin.end();
  runner.settle();
  EXPECT_EQ(body(), "good bye");
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::none);
}

TEST_F(TunnelRelay, SilenceEndsItAndBytesEitherWayKeepIt) {
  times.tunnel = seconds(100);
  open_tunnel();
  runner.pass(seconds(90));
  client_sends("ping");
  runner.pass(seconds(90));
  respond("pong");
  runner.pass(seconds(90));
  EXPECT_FALSE(ended);
  runner.pass(seconds(10));
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::tunnel_timeout);
}

// It may wait until the client takes what it has sent.
TEST_F(TunnelRelay, AServerThatTakesNothingWhileTheClientTakesNothingKeepsIt) {
  times.idle = seconds(10);
  open_tunnel();
  origin.take_only(0);
  client.take_only(0);
  client_sends("ping");
  respond("pong");
  runner.pass(seconds(25));
  client.take_all();
  origin.take_all();
  runner.settle();
  EXPECT_EQ(upload(), "ping");
  EXPECT_EQ(body(), "pong");
  EXPECT_FALSE(ended);
}

TEST_F(TunnelRelay, AServerThatNeitherTakesNorSendsEndsIt) {
  times.idle = seconds(10);
  open_tunnel();
  origin.take_only(0);
  client_sends("ping");
  runner.pass(seconds(12));
  EXPECT_TRUE(ended);
  EXPECT_EQ(outcome, Code::idle_timeout);
}

TEST_F(TunnelRelay, ARefusalIsAnOrdinaryAnswer) {
  request(kUpgrade);
  const std::string ok = "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 5\r\n\r\nhello";
  respond(ok);
  EXPECT_EQ(client.received(), ok);
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace revproxyd::proxy

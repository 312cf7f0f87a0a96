#include "app/gate.h"

#include <gtest/gtest.h>

namespace revproxyd::app {
namespace {

net::Address from(const char* host) { return *net::Address::ip(host, 1); }

TEST(Gate, CountsConnectionsUpToTheLimit) {
  Gate gate;
  EXPECT_EQ(gate.enter(from("192.0.2.1"), 2, 0), Code::none);
  EXPECT_EQ(gate.enter(from("192.0.2.1"), 2, 0), Code::none);
  EXPECT_EQ(gate.enter(from("192.0.2.2"), 2, 0), Code::connection_limit);
  EXPECT_EQ(gate.connections(), 2U);
  gate.leave(from("192.0.2.1"), 0);
  EXPECT_EQ(gate.enter(from("192.0.2.2"), 2, 0), Code::none);
}

TEST(Gate, CountsEveryAddressOfVersion4ByItself) {
  Gate gate;
  EXPECT_EQ(gate.enter(from("192.0.2.1"), 0, 1), Code::none);
  EXPECT_EQ(gate.enter(from("::ffff:192.0.2.1"), 0, 1), Code::client_connection_limit);
  EXPECT_EQ(gate.enter(from("192.0.2.2"), 0, 1), Code::none);
  gate.leave(from("192.0.2.1"), 1);
  EXPECT_EQ(gate.enter(from("192.0.2.1"), 0, 1), Code::none);
}

TEST(Gate, CountsANetworkOfVersion6AsOneClient) {
  Gate gate;
  EXPECT_EQ(gate.enter(from("2001:db8:0:1::1"), 0, 2), Code::none);
  EXPECT_EQ(gate.enter(from("2001:db8:0:1:2:3:4:5"), 0, 2), Code::none);
  EXPECT_EQ(gate.enter(from("2001:db8:0:1::ffff:1:2"), 0, 2), Code::client_connection_limit);
  EXPECT_EQ(gate.enter(from("2001:db8:0:2::1"), 0, 2), Code::none);
  gate.leave(from("2001:db8:0:1:2:3:4:5"), 2);
  EXPECT_EQ(gate.enter(from("2001:db8:0:1::6"), 0, 2), Code::none);
  EXPECT_EQ(gate.connections(), 3U);
}

TEST(Gate, HoldsNoClientWithoutAnAddressToTheLimitOfOne) {
  Gate gate;
  const net::Address local = *net::Address::unix_path("/run/x.sock");
  EXPECT_EQ(gate.enter(local, 2, 1), Code::none);
  EXPECT_EQ(gate.enter(local, 2, 1), Code::none);
  EXPECT_EQ(gate.enter(local, 2, 1), Code::connection_limit);
  gate.leave(local, 1);
  EXPECT_EQ(gate.connections(), 1U);
  EXPECT_EQ(gate.enter(from("::"), 2, 1), Code::none);
}

TEST(Gate, ForgetsWhoHasNeverEntered) {
  Gate gate;
  EXPECT_EQ(gate.enter(from("192.0.2.1"), 0, 0), Code::none);
  // The limit came with a reload, while it was connected.
  gate.leave(from("192.0.2.1"), 1);
  EXPECT_EQ(gate.enter(from("192.0.2.1"), 0, 1), Code::none);
}

}  // namespace
}  // namespace revproxyd::app

#include "net/address_order.h"

#include <gtest/gtest.h>

#include "revproxyd/net/descriptor.h"

namespace revproxyd::net {
namespace {

bool prefers(const char* v4, const char* v6) {
  return is_preferred(*Address::ip(v4, 0), *Address::ip(v6, 0));
}

bool has_v6_loopback() {
  const Descriptor socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const Address loopback = *Address::ip("::1", 0);
  return socket && ::bind(socket.get(), loopback.data(), loopback.size()) == 0;
}

TEST(AddressOrder, APrivateNetworkOfIpv6ComesAfterIpv4) {
  EXPECT_TRUE(prefers("127.0.0.1", "fd00::1"));
}

TEST(AddressOrder, Ipv6ComesFirstWhereNothingElseDecides) {
  if (!has_v6_loopback()) GTEST_SKIP() << "no IPv6 here";
  EXPECT_FALSE(prefers("127.0.0.1", "::1"));
}

}  // namespace
}  // namespace revproxyd::net

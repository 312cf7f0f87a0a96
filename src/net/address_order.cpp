#include "net/address_order.h"

#include <algorithm>
#include <compare>
#include <string_view>
#include <vector>

#include "revproxyd/net/descriptor.h"
#include "revproxyd/net/listener.h"

namespace revproxyd::net {

namespace {

struct Policy {
  Policy(std::string_view range, int rank, int mark)
      : prefix(*Cidr::parse(range)), precedence(rank), label(mark) {}
  Cidr prefix;
  int precedence;
  int label;
};

// RFC 6724 section 2.1, the longest prefix first.
const Policy& policy_of(const Address& address) {
  static const std::vector<Policy> table{
      {"::1", 50, 0},       {"::ffff:0:0/96", 35, 4}, {"::/96", 1, 3},
      {"2001::/32", 5, 5},  {"2002::/16", 30, 2},     {"3ffe::/16", 1, 12},
      {"fec0::/10", 1, 11}, {"fc00::/7", 3, 13},      {"::/0", 40, 1}};
  const auto found = std::ranges::find_if(
      table, [&](const Policy& policy) { return policy.prefix.contains(address); });
  return found != table.end() ? *found : table.back();
}

// RFC 6724 sections 3.1 and 3.2: loopback counts as link-local.
int scope_of(const Address& address) {
  static const std::vector<Cidr> link{*Cidr::parse("127.0.0.0/8"), *Cidr::parse("169.254.0.0/16"),
                                      *Cidr::parse("::1"), *Cidr::parse("fe80::/10")};
  static const std::vector<Cidr> site{*Cidr::parse("fec0::/10")};
  return contains(link, address) ? 0 : contains(site, address) ? 1 : 2;
}

// Where packets to `server` would come from; no IP when there is no way to it.
Address source_towards(Address server) {
  server.set_port(1);  // any: of UDP, connect() only looks the way up
  const Descriptor socket(::socket(server.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket || ::connect(socket.get(), server.data(), server.size()) != 0) return {};
  return local_address(socket.get());
}

// Less is better: rules 1, 2, 5 and 6. No precedence of IPv6 is that of IPv4, so that the others
// are never asked.
struct Rank {
  explicit Rank(const Address& server) : worth(-policy_of(server).precedence) {
    const Address source = source_towards(server);
    unusable = !source.is_ip();
    if (unusable) return;
    other_scope = scope_of(source) != scope_of(server);
    other_label = policy_of(source).label != policy_of(server).label;
  }
  bool unusable = true;
  bool other_scope = false;
  bool other_label = false;
  int worth;
  auto operator<=>(const Rank&) const = default;
};

}  // namespace

bool is_preferred(const Address& v4, const Address& v6) { return Rank(v4) < Rank(v6); }

}  // namespace revproxyd::net

#include "revproxyd/net/address.h"

#include <string>

#include <gtest/gtest.h>

#include "revproxyd/net/settings_types.h"

namespace revproxyd::net {
namespace {

TEST(Address, ReadsAndPrintsBothFamilies) {
  EXPECT_EQ(Address::ip("127.0.0.1", 80)->text(), "127.0.0.1:80");
  EXPECT_EQ(Address::ip("::1", 443)->text(), "[::1]:443");
  EXPECT_EQ(Address::ip("[2001:db8::1]", 1)->host(), "2001:db8::1");
  EXPECT_EQ(Address::ip("::ffff:10.0.0.1", 9)->text(), "10.0.0.1:9");
}

TEST(Address, OfNoFamilyIsEmpty) {
  EXPECT_EQ(Address().text(), "");
  EXPECT_EQ(Address().host(), "");
  EXPECT_EQ(Address().port(), 0);
  EXPECT_EQ(Address().bytes(), (std::array<std::uint8_t, 16>{}));
}

TEST(Address, RefusesNamesAndMalformedText) {
  for (const char* bad : {"", "localhost", "1.2.3", "1.2.3.256", "[1.2.3.4]", "[::1", "::1]",
                          "fe80::1%eth0", "01.2.3.4"})
    EXPECT_FALSE(Address::ip(bad, 1)) << bad;
  EXPECT_FALSE(Address::ip(std::string(300, '1'), 1));
}

TEST(Address, HoldsUnixPathsUpToTheKernelsLimit) {
  EXPECT_EQ(Address::unix_path("/run/x.sock")->text(), "unix:/run/x.sock");
  EXPECT_TRUE(Address::unix_path("/" + std::string(106, 'a')));
  EXPECT_FALSE(Address::unix_path("/" + std::string(107, 'a')));
  EXPECT_FALSE(Address::unix_path(""));
  EXPECT_FALSE(Address::unix_path(std::string("/a\0b", 4)));
}

TEST(Address, OfAUnixSocketHasNoBytes) {
  EXPECT_EQ(Address::unix_path("/a")->bytes(), (std::array<std::uint8_t, 16>{}));
}

TEST(Address, ComparesPortAndAddress) {
  EXPECT_EQ(*Address::ip("10.0.0.1", 1), *Address::ip("10.0.0.1", 1));
  EXPECT_FALSE(*Address::ip("10.0.0.1", 1) == *Address::ip("10.0.0.1", 2));
  EXPECT_EQ(*Address::ip("2001:db8::1", 1), *Address::ip("2001:db8::1", 1));
  EXPECT_FALSE(*Address::ip("2001:db8::1", 1) == *Address::ip("2001:db8::1", 2));
  EXPECT_FALSE(*Address::ip("2001:db8::1", 1) == *Address::ip("2001:db8::2", 1));
}

TEST(Address, ComparesTheScopeOfALinkLocalAddress) {
  const auto scoped = [](std::uint32_t scope) {
    sockaddr_in6 socket{};
    socket.sin6_family = AF_INET6;
    socket.sin6_addr = in6addr_loopback;
    socket.sin6_scope_id = scope;
    return Address(reinterpret_cast<const sockaddr*>(&socket), sizeof socket);
  };
  EXPECT_EQ(scoped(1), scoped(1));
  EXPECT_FALSE(scoped(1) == scoped(2));
}

TEST(Address, ComparesPathsOfUnixSockets) {
  sockaddr unnamed{};
  unnamed.sa_family = AF_UNIX;
  const Address nameless(&unnamed, sizeof(sa_family_t));
  EXPECT_EQ(*Address::unix_path("/a"), *Address::unix_path("/a"));
  EXPECT_FALSE(*Address::unix_path("/a") == *Address::unix_path("/b"));
  EXPECT_FALSE(*Address::unix_path("/a") == *Address::unix_path("/aa"));
  EXPECT_FALSE(*Address::unix_path("/a") == nameless);
  EXPECT_FALSE(nameless == *Address::unix_path("/a"));
  EXPECT_EQ(nameless, nameless);
}

TEST(Address, TakesAKernelAddress) {
  for (const char* host : {"10.1.2.3", "2001:db8::1"}) {
    const Address known = *Address::ip(host, 8080);
    EXPECT_EQ(Address(known.data(), known.size()), known);
  }
}

TEST(Address, RefusesAKernelAddressOfTheWrongSize) {
  EXPECT_EQ(Address(nullptr, 16).family(), AF_UNSPEC);
  sockaddr_storage storage{};
  const auto family_of = [&storage](int family, std::size_t size) {
    storage.ss_family = static_cast<sa_family_t>(family);
    return Address(reinterpret_cast<const sockaddr*>(&storage), static_cast<socklen_t>(size))
        .family();
  };
  EXPECT_EQ(family_of(AF_INET, 1), AF_UNSPEC);
  EXPECT_EQ(family_of(AF_INET, sizeof(sockaddr_in) - 1), AF_UNSPEC);
  EXPECT_EQ(family_of(AF_INET6, sizeof(sockaddr_in6) - 1), AF_UNSPEC);
  EXPECT_EQ(family_of(AF_UNIX, sizeof(sockaddr_un) + 1), AF_UNSPEC);
  for (const int family : {AF_INET, AF_INET6})
    EXPECT_EQ(family_of(family, sizeof storage + 1), AF_UNSPEC);
  EXPECT_EQ(family_of(AF_NETLINK, sizeof storage), AF_UNSPEC);
}

TEST(Cidr, ReadsRangesAndSingleAddresses) {
  EXPECT_EQ(Cidr::parse("10.0.0.0/8")->text(), "10.0.0.0/8");
  EXPECT_EQ(Cidr::parse("192.0.2.1")->text(), "192.0.2.1/32");
  EXPECT_EQ(Cidr::parse("2001:db8::/32")->text(), "2001:db8::/32");
  EXPECT_EQ(Cidr::parse("::/0")->text(), "::/0");
}

TEST(Cidr, RefusesHostBitsAndBadLengths) {
  for (const char* bad : {"", "10.0.0.1/8", "10.0.0.0/33", "::1/64", "::/129", "10.0.0.0/",
                          "10.0.0.0/8x", "10.0.0.0/08", "10.0.0.0/-1", "[::1]", "host/8"})
    EXPECT_FALSE(Cidr::parse(bad)) << bad;
}

TEST(Cidr, ContainsByPrefix) {
  const Cidr range = *Cidr::parse("10.64.0.0/10");
  EXPECT_TRUE(range.contains(*Address::ip("10.64.0.1", 1)));
  EXPECT_TRUE(range.contains(*Address::ip("10.127.255.255", 1)));
  EXPECT_TRUE(range.contains(*Address::ip("::ffff:10.64.0.1", 1)));
  EXPECT_FALSE(range.contains(*Address::ip("10.128.0.0", 1)));
  EXPECT_FALSE(range.contains(*Address::ip("10.63.255.255", 1)));
  EXPECT_FALSE(range.contains(*Address::ip("2001:db8::1", 1)));
  EXPECT_FALSE(range.contains(*Address::unix_path("/x")));
}

TEST(Cidr, KeepsTheFamiliesApartAtLengthZero) {
  EXPECT_TRUE(Cidr::parse("0.0.0.0/0")->contains(*Address::ip("8.8.8.8", 1)));
  EXPECT_FALSE(Cidr::parse("0.0.0.0/0")->contains(*Address::ip("::1", 1)));
  EXPECT_TRUE(Cidr::parse("::/0")->contains(*Address::ip("::1", 1)));
  EXPECT_FALSE(Cidr::parse("::/0")->contains(*Address::ip("8.8.8.8", 1)));
}

TEST(Peers, OnUnixSocketsAreNamedAllTogetherOrNotAtAll) {
  const sockaddr unnamed{AF_UNIX, {}};
  const std::vector<Address> locals{*Address::unix_path("/run/x.sock"),
                                    Address(&unnamed, sizeof(sa_family_t))};
  const Peers ranges{{*Cidr::parse("0.0.0.0/0"), *Cidr::parse("::/0")}, false};
  const Peers sockets{{}, true};
  for (const Address& local : locals) {
    EXPECT_FALSE(contains(ranges, local));
    EXPECT_TRUE(contains(sockets, local));
  }
  EXPECT_TRUE(contains(ranges, *Address::ip("192.0.2.1", 1)));
  EXPECT_FALSE(contains(sockets, *Address::ip("192.0.2.1", 1)));
  EXPECT_FALSE(contains(sockets, Address()));
  EXPECT_TRUE(Peers().empty());
  EXPECT_FALSE(sockets.empty());
  EXPECT_FALSE(ranges.empty());
}

TEST(Cidr, OfMappedAddressesHoldsThoseOfVersion4) {
  const Cidr range = *Cidr::parse("::ffff:10.0.0.0/104");
  EXPECT_TRUE(range.contains(*Address::ip("10.1.2.3", 1)));
  EXPECT_TRUE(range.contains(*Address::ip("::ffff:10.1.2.3", 1)));
  EXPECT_FALSE(range.contains(*Address::ip("11.1.2.3", 1)));
  EXPECT_FALSE(Cidr::parse("2001:db8::/104")->contains(*Address::ip("10.1.2.3", 1)));
}

TEST(BindAddress, TakesTheDocumentedForms) {
  EXPECT_EQ(parse_bind_address(":80").value->host, "");
  EXPECT_EQ(parse_bind_address("127.0.0.1:80").value->port, 80);
  EXPECT_EQ(parse_bind_address("[::1]:80").value->host, "::1");
  EXPECT_EQ(parse_bind_address("unix:/run/x.sock").value->path, "/run/x.sock");
  EXPECT_EQ(parse_bind_address("80").hint, "write \":80\"");
  EXPECT_EQ(parse_bind_address("[::ffff:127.0.0.1]:80").hint, "write \"127.0.0.1:80\"");
  for (const char* bad :
       {"", ":", ":65536", ":080", ":+80", ":80x", "127.0.0.1", "localhost:80", "::1:80", "*:80",
        "unix:x", "unix:", "[::1]", "[]:80", "[::1:80", "[127.0.0.1]:80"})
    EXPECT_FALSE(parse_bind_address(bad).value) << bad;
}

TEST(ServerUrl, TakesTheDocumentedForms) {
  EXPECT_EQ(parse_server_url("http://A.example/").value->text, "http://a.example");
  EXPECT_EQ(parse_server_url("https://a").value->port, 443);
  EXPECT_EQ(parse_server_url("http://[::1]:90").value->host, "::1");
  EXPECT_EQ(parse_server_url("unix:/run/x").value->path, "/run/x");
  EXPECT_EQ(parse_server_url("http://a/b").hint, "use add_prefix on the route");
  EXPECT_EQ(parse_server_url("http://a").value->scheme, Scheme::http);
  EXPECT_EQ(parse_server_url("https://a").value->scheme, Scheme::https);
  EXPECT_EQ(parse_server_url("unix:/run/x").value->scheme, Scheme::http);
  const ServerUrl cleartext = *parse_server_url("H2C://A.example/").value;
  EXPECT_EQ(cleartext.scheme, Scheme::h2c);
  EXPECT_EQ(cleartext.text, "h2c://a.example");
  EXPECT_EQ(cleartext.port, 80);
  EXPECT_EQ(parse_server_url("h2c://[::1]:90").value->port, 90);
  EXPECT_EQ(parse_server_url("http://shop_1.internal").value->host, "shop_1.internal");
  for (const char* bad : {"", "a", "a:80", "ftp://a", "http://", "http://a:0", "http://a:x",
                          "http://u@a", "http://a?b", "http://a b", "http://[a]", "http://a..b",
                          "http://a:080", "http://a/b/", "http://a//", "http://[::1", "http://[]"})
    EXPECT_FALSE(parse_server_url(bad).value) << bad;
}

// RFC 1034 section 3.1.
TEST(ServerUrl, ANameMayBeAbsolute) {
  EXPECT_EQ(parse_server_url("http://A.:80").value->host, "a.");
  EXPECT_EQ(parse_server_url("https://a.example.").value->text, "https://a.example.");
  for (const char* bad : {"http://.", "http://a..", "http://127.0.0.1.", "http://[::1]."})
    EXPECT_FALSE(parse_server_url(bad).value) << bad;
  EXPECT_FALSE(is_authority("a.")) << "that is a matter of the name service";
}

TEST(ServerUrl, ItsAuthorityIsHostAndUnusualPort) {
  EXPECT_EQ(parse_server_url("http://a").value->authority(), "a");
  EXPECT_EQ(parse_server_url("https://a").value->authority(), "a");
  EXPECT_EQ(parse_server_url("https://a:80").value->authority(), "a:80");
  EXPECT_EQ(parse_server_url("h2c://a:50051").value->authority(), "a:50051");
  EXPECT_EQ(parse_server_url("https://[::1]:80").value->authority(), "[::1]:80");
  EXPECT_EQ(parse_server_url("http://a.:81").value->authority(), "a:81");
  EXPECT_EQ(parse_server_url("unix:/run/x").value->authority(), "localhost");
}

TEST(ServerUrl, NamesAreHeldToTheLengthsOfTheDns) {
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'a');
  EXPECT_TRUE(is_host_name(longest));
  EXPECT_FALSE(is_host_name(longest + "a"));
  EXPECT_FALSE(is_host_name(label + "a"));
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "a b", "a*"})
    EXPECT_FALSE(is_host_name(bad));
}

TEST(UnixPath, IsAbsoluteWithoutBlanksAndFitsTheKernel) {
  const std::string longest = "/" + std::string(106, 'a');
  EXPECT_EQ(parse_bind_address("unix:" + longest).value->path, longest);
  EXPECT_EQ(parse_server_url("unix:" + longest).value->path, longest);
  for (const std::string& bad : {longest + "a", std::string("//a"), std::string("/a b"),
                                 std::string("/a,b"), std::string("/a\x7F"), std::string("a")}) {
    EXPECT_FALSE(parse_bind_address("unix:" + bad).value) << bad;
    EXPECT_FALSE(parse_server_url("unix:" + bad).value) << bad;
  }
}

}  // namespace
}  // namespace revproxyd::net

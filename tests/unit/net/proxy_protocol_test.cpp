#include "revproxyd/net/proxy_protocol.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "revproxyd/base/task_group.h"
#include "tests/support/loop_runner.h"
#include "tests/unit/net/sockets.h"

namespace revproxyd::net {
namespace {

using namespace std::string_literals;
using namespace std::chrono_literals;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

std::string v2(char command, char family, const std::string& block) {
  std::string out = kSignature + command + family;
  out += static_cast<char>(block.size() >> 8);
  out += static_cast<char>(block.size() & 0xFF);
  return out + block;
}

const std::string kV4Block = "\xC0\x00\x02\x01\xC6\x33\x64\x07\xC8\x22\x01\xBB"s;

struct Good {
  const char* what;
  std::string bytes;
  std::string source;  // empty: not relayed
  std::string destination;
};

std::vector<Good> good_headers() {
  const std::string v6 = std::string("\x20\x01\x0D\xB8", 4) + std::string(11, '\0') + "\x01";
  const std::string paths = "/a" + std::string(106, '\0') + "/b" + std::string(106, '\0');
  return {
      {"line of version 4", "PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\r\n", "192.0.2.1:51234",
       "198.51.100.7:443"},
      {"ends of the ranges", "PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n",
       "255.255.255.255:65535", "0.0.0.0:0"},
      {"line of version 6", "PROXY TCP6 2001:db8::1 ::1 1 2\r\n", "[2001:db8::1]:1", "[::1]:2"},
      {"unknown", "PROXY UNKNOWN\r\n", "", ""},
      {"unknown with words", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "", ""},
      {"longest line", "PROXY UNKNOWN " + std::string(kProxyLineLimit - 16, 'x') + "\r\n", "", ""},
      {"binary, version 4", v2('\x21', '\x11', kV4Block), "192.0.2.1:51234", "198.51.100.7:443"},
      {"binary, version 6", v2('\x21', '\x21', v6 + v6 + "\x00\x01\x00\x02"s), "[2001:db8::1]:1",
       "[2001:db8::1]:2"},
      {"binary, UNIX", v2('\x21', '\x31', paths), "unix:/a", "unix:/b"},
      {"binary with extensions", v2('\x21', '\x11', kV4Block + "\x04\x00\x02xy\x05\x00\x00"s),
       "192.0.2.1:51234", "198.51.100.7:443"},
      {"binary, local", v2('\x20', '\x00', ""), "", ""},
      {"binary, local with addresses", v2('\x20', '\x11', "any"), "", ""},
      {"binary, unspecified", v2('\x21', '\x00', "any"), "", ""},
      {"binary, datagrams", v2('\x21', '\x12', kV4Block), "", ""},
      {"largest binary", v2('\x21', '\x00', std::string(kProxyHeaderLimit - 16, 'x')), "", ""},
  };
}

TEST(ProxyProtocol, TakesEachFormAndLeavesWhatFollows) {
  for (const Good& good : good_headers()) {
    SCOPED_TRACE(good.what);
    const ProxyParse parsed = parse_proxy_header(good.bytes + "GET / HTTP/1.1\r\n");
    ASSERT_EQ(parsed.status, ProxyStatus::complete) << parsed.problem;
    EXPECT_EQ(parsed.header.size, good.bytes.size());
    EXPECT_EQ(parsed.header.relayed, !good.source.empty());
    EXPECT_EQ(parsed.header.source.text(), good.source);
    EXPECT_EQ(parsed.header.destination.text(), good.destination);
  }
}

TEST(ProxyProtocol, AsksForMoreAtEveryByteBeforeTheEnd) {
  for (const Good& good : good_headers()) {
    for (std::size_t length = 0; length < good.bytes.size(); ++length) {
      ASSERT_EQ(parse_proxy_header(Bytes(good.bytes).substr(0, length)).status,
                ProxyStatus::need_more)
          << good.what << ' ' << length;
    }
  }
}

TEST(ProxyProtocol, RefusesMalformedLines) {
  const std::vector<std::string> bad = {
      "GET / HTTP/1.1\r\n",
      "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
      "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
      "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
      "PROXY TCP4  1.2.3.4 1 2\r\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4\r\n",
      "PROXY TCP4\r\n",
      "PROXY \r\n",
      "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
      "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
      "PROXY UNKNOWNS\r\n",
      "PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n",
      "PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n",
      "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
      "PROXY TCP4 ::1 ::1 1 2\r\n",
      "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
      "PROXY TCP6 [::1] ::1 1 2\r\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4 1 +2\r\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rX",
      "PROXY TCP4 1.2.3.4\t1.2.3.4 1 2\r\n",
      "PROXY UNKNOWN \x7F\r\n",
      "PROXY UNKNOWN \0\r\n"s,
      "PROXY UNKNOWN " + std::string(kProxyLineLimit - 15, 'x') + "\r\n",
      "PROXY UNKNOWN " + std::string(kProxyLineLimit, 'x'),
  };
  for (const std::string& bytes : bad)
    EXPECT_EQ(parse_proxy_header(bytes).status, ProxyStatus::malformed) << bytes;
}

TEST(ProxyProtocol, RefusesMalformedBinaryHeaders) {
  const std::vector<std::string> bad = {
      "\r\n\r\n\0\r\nQUIT\r"s,
      v2('\x11', '\x11', kV4Block),                     // version 1 in binary
      v2('\x31', '\x11', kV4Block),                     // version 3
      v2('\x22', '\x11', kV4Block),                     // unknown command
      v2('\x21', '\x41', kV4Block),                     // unknown family
      v2('\x21', '\x13', kV4Block),                     // unknown transport
      v2('\x21', '\x11', kV4Block.substr(1)),           // too short for its addresses
      v2('\x21', '\x21', std::string(35, 'x')),         //
      v2('\x21', '\x31', std::string(215, 'x')),        //
      v2('\x21', '\x11', kV4Block + "\x04"),            // an extension without a length
      v2('\x21', '\x11', kV4Block + "\x04\x00"s),       //
      v2('\x21', '\x11', kV4Block + "\x04\x00\x02x"s),  // an extension longer than the rest
      v2('\x21', '\x00', std::string(kProxyHeaderLimit - 15, 'x')),  // one byte over the limit
  };
  for (const std::string& bytes : bad)
    EXPECT_EQ(parse_proxy_header(bytes).status, ProxyStatus::malformed)
        << testing::PrintToString(bytes);
}

TEST(ProxyProtocol, RefusesTheFirstByteThatCannotBeRight) {
  EXPECT_EQ(parse_proxy_header("G").status, ProxyStatus::malformed);
  EXPECT_EQ(parse_proxy_header("PROXZ").status, ProxyStatus::malformed);
  EXPECT_EQ(parse_proxy_header("\r\nX").status, ProxyStatus::malformed);
  EXPECT_EQ(parse_proxy_header(kSignature + '\x31').status, ProxyStatus::malformed);
  const std::string too_long = kSignature + "\x21\x11\xFF\xFF"s;
  EXPECT_EQ(parse_proxy_header(too_long).status, ProxyStatus::malformed);
}

std::string line(const Address& source, const Address& destination) {
  Buffer out;
  write_proxy_v1(source, destination, out);
  return std::string(out.held());
}

std::string binary(const Address& source, const Address& destination) {
  Buffer out;
  write_proxy_v2(source, destination, out);
  return std::string(out.held());
}

TEST(ProxyProtocol, WritesLines) {
  const Address v4 = *Address::ip("192.0.2.1", 51234);
  const Address mapped = *Address::ip("::ffff:192.0.2.9", 80);
  const Address v6 = *Address::ip("2001:db8::1", 443);
  EXPECT_EQ(line(v4, *Address::ip("198.51.100.7", 443)),
            "PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\r\n");
  EXPECT_EQ(line(v6, v6), "PROXY TCP6 2001:db8::1 2001:db8::1 443 443\r\n");
  EXPECT_EQ(line(mapped, v4), "PROXY TCP4 192.0.2.9 192.0.2.1 80 51234\r\n");
  EXPECT_EQ(line(v4, v6), "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 51234 443\r\n");
  EXPECT_EQ(line(Address(), Address()), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(line(*Address::unix_path("/a"), v4), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(line(v4, *Address::unix_path("/a")), "PROXY UNKNOWN\r\n");
}

TEST(ProxyProtocol, WritesNoLineLongerThanTheLimit) {
  const Address longest = *Address::ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
  const std::string written = line(longest, longest);
  EXPECT_EQ(written.size(), 104U);
  EXPECT_LE(written.size(), kProxyLineLimit);
  const ProxyParse parsed = parse_proxy_header(written);
  ASSERT_EQ(parsed.status, ProxyStatus::complete);
  EXPECT_TRUE(parsed.header.relayed);
  // A hop that was named by another proxy has no port.
  const Address portless = *Address::ip("192.0.2.1", 0);
  EXPECT_EQ(line(portless, portless), "PROXY TCP4 192.0.2.1 192.0.2.1 0 0\r\n");
  EXPECT_EQ(parse_proxy_header(line(portless, portless)).status, ProxyStatus::complete);
}

TEST(ProxyProtocol, WritesBinaryHeaders) {
  const Address v4 = *Address::ip("192.0.2.1", 51234);
  EXPECT_EQ(binary(v4, *Address::ip("198.51.100.7", 443)), v2('\x21', '\x11', kV4Block));
  EXPECT_EQ(binary(Address(), Address()), v2('\x20', '\x00', ""));
  EXPECT_EQ(binary(*Address::unix_path("/a"), v4), v2('\x21', '\x00', ""));
  EXPECT_EQ(binary(v4, *Address::unix_path("/a")), v2('\x21', '\x00', ""));
  const ProxyParse mixed = parse_proxy_header(binary(v4, *Address::ip("2001:db8::1", 443)));
  ASSERT_EQ(mixed.status, ProxyStatus::complete);
  EXPECT_EQ(mixed.header.source.family(), AF_INET6);
  EXPECT_EQ(mixed.header.source.host(), "192.0.2.1");
  const Address v6 = *Address::ip("2001:db8::1", 443);
  const ProxyParse other = parse_proxy_header(binary(v6, v4));
  ASSERT_EQ(other.status, ProxyStatus::complete);
  EXPECT_EQ(other.header.source.text(), "[2001:db8::1]:443");
  EXPECT_EQ(other.header.destination.host(), "192.0.2.1");
}

Task<std::string> read_header(Transport& transport) {
  auto header = co_await read_proxy_header(transport);
  if (!header) co_return std::string(name(header.error().code()));
  char rest[64];
  MutableBytes into(rest);
  auto got = co_await read_some(transport, into);
  co_return header->source.text() + "|" + std::string(rest, got ? *got : 0);
}

Task<void> keep_header(Transport& transport, std::string& out) {
  auto text = co_await read_header(transport);
  out = std::move(text);
}

TEST(ReadProxyHeader, TakesTheHeaderInPiecesAndLeavesTheRest) {
  const std::string header = v2('\x21', '\x11', kV4Block);
  revproxyd::test::LoopRunner runner;
  auto pair = test::tcp_pair();
  const auto transport = test::transport_over(pair.near);
  std::string out;
  TaskGroup group;
  group.spawn(keep_header(*transport, out));
  for (const char c : header) {
    test::send_text(pair.far.get(), std::string(1, c));
    runner.run_until([] { return false; }, 1ms);
  }
  test::send_text(pair.far.get(), "rest");
  EXPECT_TRUE(runner.run_until([&] { return group.size() == 0; }));
  EXPECT_EQ(out, "192.0.2.1:51234|rest");
}

TEST(ReadProxyHeader, TakesTheHeaderThatComesWithTheRestAndTheEnd) {
  revproxyd::test::LoopRunner runner;
  auto pair = test::tcp_pair();
  test::send_text(pair.far.get(), "PROXY UNKNOWN\r\nrest");
  pair.far.reset();
  const auto transport = test::transport_over(pair.near);
  EXPECT_EQ(runner.run(read_header(*transport)), "|rest");
}

TEST(ReadProxyHeader, NamesWhatWentWrong) {
  struct Case {
    const char* sent;
    const char* outcome;
  };
  for (const Case& c : {Case{"", "end_of_stream"}, Case{"PROXY TCP4 1.2", "proxy_header_invalid"},
                        Case{"GET / HTTP/1.1\r\n", "proxy_header_invalid"}}) {
    revproxyd::test::LoopRunner runner;
    auto pair = test::tcp_pair();
    const auto transport = test::transport_over(pair.near);
    test::send_text(pair.far.get(), c.sent);
    pair.far.reset();
    EXPECT_EQ(runner.run(read_header(*transport)), c.outcome) << c.sent;
  }
}

TEST(ReadProxyHeader, AResetIsToldAsSuch) {
  revproxyd::test::LoopRunner runner;
  auto pair = test::tcp_pair();
  const auto transport = test::transport_over(pair.near);
  const linger at_once{1, 0};
  ASSERT_EQ(::setsockopt(pair.far.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  pair.far.reset();
  EXPECT_EQ(runner.run(read_header(*transport)), "reset");
}

TEST(ReadProxyHeader, ASilentPeerRunsIntoTheReadDeadline) {
  revproxyd::test::LoopRunner runner;
  auto pair = test::tcp_pair();
  const auto transport = test::transport_over(pair.near);
  transport->readiness().read_deadline(30ms, Code::handshake_timeout);
  test::send_text(pair.far.get(), "PROXY ");
  EXPECT_EQ(runner.run(read_header(*transport)), "handshake_timeout");
}

}  // namespace
}  // namespace revproxyd::net

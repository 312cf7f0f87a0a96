#include "revproxyd/net/proxy_protocol.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>

namespace revproxyd::net {

namespace {

constexpr Bytes kLineStart = "PROXY ";
constexpr Bytes kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kFixedPart = 16;  // signature, version and command, family, length
constexpr std::size_t kUnixPath = 108;

// The lower half of the 13th byte, and the 14th byte (2.2).
enum Command : std::uint8_t { local = 0, proxy = 1 };
enum Family : std::uint8_t { unspecified = 0x00, tcp4 = 0x11, tcp6 = 0x21, unix_stream = 0x31 };

ProxyParse malformed(const char* problem) noexcept { return {ProxyStatus::malformed, {}, problem}; }

std::uint8_t byte_at(Bytes bytes, std::size_t index) noexcept {
  return static_cast<std::uint8_t>(bytes[index]);
}

std::uint16_t u16_at(Bytes bytes, std::size_t index) noexcept {
  return static_cast<std::uint16_t>(byte_at(bytes, index) << 8 | byte_at(bytes, index + 1));
}

/// True when one is the beginning of the other.
bool agree(Bytes bytes, Bytes expected) noexcept {
  const std::size_t size = std::min(bytes.size(), expected.size());
  return bytes.substr(0, size) == expected.substr(0, size);
}

// --- version 1

/// The text up to the next space, which is dropped as well; all of it when there is none.
Bytes take_word(Bytes& text) noexcept {
  const std::size_t end = text.find(' ');
  const Bytes word = text.substr(0, end);
  text = end == Bytes::npos ? Bytes() : text.substr(end + 1);
  return word;
}

std::optional<std::uint16_t> line_port(Bytes text) noexcept {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, port);
  return failure == std::errc() && rest == end ? std::optional(port) : std::nullopt;
}

std::optional<Address> line_address(Bytes text, Bytes port_text, int family) {
  const std::optional<std::uint16_t> port = line_port(port_text);
  if (!port || text.empty() || text.front() == '[') return std::nullopt;
  std::optional<Address> address = Address::ip(text, *port);
  return address && address->family() == family ? address : std::nullopt;
}

ProxyParse parse_line(Bytes line, std::size_t size) {
  ProxyParse out;
  out.status = ProxyStatus::complete;
  out.header.size = size;
  line.remove_prefix(kLineStart.size());
  const Bytes protocol = take_word(line);
  if (protocol == "UNKNOWN") return out;  // what follows it says nothing (2.1)
  if (protocol != "TCP4" && protocol != "TCP6")
    return malformed("unknown protocol in the PROXY line");
  // Four words and nothing behind them: a fifth would stand in the last one, which is then no port.
  const Bytes source = take_word(line);
  const Bytes destination = take_word(line);
  const Bytes source_port = take_word(line);
  const int family = protocol == "TCP4" ? AF_INET : AF_INET6;
  const std::optional<Address> from = line_address(source, source_port, family);
  const std::optional<Address> to = line_address(destination, line, family);
  if (!from || !to) return malformed("bad address or port in the PROXY line");
  out.header.relayed = true;
  out.header.source = *from;
  out.header.destination = *to;
  return out;
}

ProxyParse parse_v1(Bytes bytes) {
  if (bytes.size() <= kLineStart.size()) return {};
  const Bytes line = bytes.substr(0, kProxyLineLimit);
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  const auto end = std::find_if(line.begin(), line.end(), control);
  if (end == line.end())
    return line.size() == kProxyLineLimit ? malformed("the PROXY line is too long") : ProxyParse();
  if (*end != '\r') return malformed("control character in the PROXY line");
  const auto length = static_cast<std::size_t>(end - line.begin());
  if (length + 1 == kProxyLineLimit) return malformed("the PROXY line is too long");
  if (length + 1 == line.size()) return {};
  if (line[length + 1] != '\n') return malformed("the PROXY line does not end in CRLF");
  return parse_line(line.substr(0, length), length + 2);
}

// --- version 2

/// Two bytes of port behind each pair of addresses.
template <typename Socket>
void ip_addresses(Bytes block, std::size_t width, ProxyHeader& out) noexcept {
  const auto make = [&](std::size_t at, std::size_t port_at) {
    Socket socket{};
    if constexpr (std::is_same_v<Socket, sockaddr_in>) {
      socket.sin_family = AF_INET;
      std::memcpy(&socket.sin_addr, block.data() + at, width);
    } else {
      socket.sin6_family = AF_INET6;
      std::memcpy(&socket.sin6_addr, block.data() + at, width);
    }
    Address address(reinterpret_cast<const sockaddr*>(&socket), sizeof socket);
    address.set_port(u16_at(block, port_at));
    return address;
  };
  out.source = make(0, 2 * width);
  out.destination = make(width, 2 * width + 2);
}

Address unix_address(Bytes path) noexcept {
  sockaddr_un socket{};
  socket.sun_family = AF_UNIX;
  static_assert(sizeof socket.sun_path >= kUnixPath);
  std::memcpy(socket.sun_path, path.data(), kUnixPath);
  return Address(reinterpret_cast<const sockaddr*>(&socket), sizeof socket);
}

bool extensions_fit(Bytes rest) noexcept {
  while (!rest.empty()) {
    if (rest.size() < 3) return false;
    const std::size_t size = 3u + u16_at(rest, 1);
    if (size > rest.size()) return false;
    rest.remove_prefix(size);
  }
  return true;
}

std::size_t addresses_size(std::uint8_t family) noexcept {
  switch (family) {
    case tcp4: return 2 * 4 + 4;
    case tcp6: return 2 * 16 + 4;
    case unix_stream: return 2 * kUnixPath;
    default: return 0;
  }
}

ProxyParse parse_block(std::uint8_t family, Bytes block, ProxyParse out) noexcept {
  const std::size_t size = addresses_size(family);
  // Datagrams and what is unspecified have addresses that mean nothing here, and so no place where
  // extensions begin.
  if (size == 0) return out;
  if (block.size() < size) return malformed("the PROXY header is too short for its addresses");
  if (!extensions_fit(block.substr(size)))
    return malformed("an extension of the PROXY header does not fit");
  out.header.relayed = true;
  if (family == tcp4) {
    ip_addresses<sockaddr_in>(block, 4, out.header);
  } else if (family == tcp6) {
    ip_addresses<sockaddr_in6>(block, 16, out.header);
  } else {
    out.header.source = unix_address(block);
    out.header.destination = unix_address(block.substr(kUnixPath));
  }
  return out;
}

ProxyParse parse_v2(Bytes bytes) noexcept {
  if (bytes.size() > 12) {
    const std::uint8_t version = byte_at(bytes, 12);
    if (version >> 4 != 2) return malformed("unknown version of the PROXY header");
    if ((version & 0x0F) > proxy) return malformed("unknown command in the PROXY header");
  }
  if (bytes.size() > 13) {
    const std::uint8_t family = byte_at(bytes, 13);
    if (family >> 4 > 3 || (family & 0x0F) > 2)
      return malformed("unknown address family in the PROXY header");
  }
  if (bytes.size() < kFixedPart) return {};
  ProxyParse out;
  out.header.size = kFixedPart + u16_at(bytes, 14);
  if (out.header.size > kProxyHeaderLimit) return malformed("the PROXY header is too long");
  if (bytes.size() < out.header.size) return {};
  out.status = ProxyStatus::complete;
  if ((byte_at(bytes, 12) & 0x0F) == local) return out;
  return parse_block(byte_at(bytes, 13), bytes.substr(kFixedPart, out.header.size - kFixedPart),
                     out);
}

// --- writing

void append_u16(std::uint16_t value, Buffer& out) {
  out.append(static_cast<char>(value >> 8));
  out.append(static_cast<char>(value & 0xFF));
}

bool is_v4(const Address& address) noexcept {
  const std::array<std::uint8_t, 16> bytes = address.bytes();
  constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  return std::equal(mapped.begin(), mapped.end(), bytes.begin());
}

void append_ip(const Address& address, bool v4, Buffer& out) {
  const std::array<std::uint8_t, 16> bytes = address.bytes();
  const Bytes all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  out.append(v4 ? all.substr(12) : all);
}

std::string line_text(const Address& address, bool v4) {
  return is_v4(address) && !v4 ? "::ffff:" + address.host() : address.host();
}

/// What lies at the start of the stream; nothing is taken.
struct Look {
  IoResult seen;
  ProxyParse parsed;
};

Look look_at(const Transport& transport) noexcept {
  std::array<char, kProxyHeaderLimit> bytes;  // NOLINT: peek() fills it
  Look look;
  look.seen = peek(transport, MutableBytes(bytes));
  if (look.seen.status == IoStatus::done)
    look.parsed = parse_proxy_header(Bytes(bytes.data(), look.seen.bytes));
  return look;
}

bool take_off(int fd, std::size_t size) noexcept {
  std::array<char, kProxyHeaderLimit> bytes;  // NOLINT: thrown away
  return ::recv(fd, bytes.data(), size, 0) == static_cast<ssize_t>(size);
}

}  // namespace

ProxyParse parse_proxy_header(Bytes bytes) noexcept {
  if (bytes.empty()) return {};
  if (agree(bytes, kSignature))
    return bytes.size() < kSignature.size() ? ProxyParse() : parse_v2(bytes);
  if (agree(bytes, kLineStart)) return parse_v1(bytes);
  return malformed("the connection does not begin with a PROXY header");
}

Task<Result<ProxyHeader>> read_proxy_header(Transport& transport) {
  Readiness& readiness = transport.readiness();
  for (;;) {
    auto code = co_await readiness.wait(Want::read);
    if (code != Code::none) co_return Error(code, "no PROXY header");
    // Known before the look: then the look shows all that will ever come.
    const bool ended = readiness.hangup;
    const Look look = look_at(transport);
    if (look.seen.status == IoStatus::end)
      co_return Error(Code::end_of_stream, "the peer left before its PROXY header");
    if (look.seen.status == IoStatus::failed) co_return look.seen.error;
    if (look.parsed.status == ProxyStatus::malformed)
      co_return Error(Code::proxy_header_invalid, look.parsed.problem);
    if (look.parsed.status == ProxyStatus::complete) {
      if (!take_off(transport.fd(), look.parsed.header.size))
        co_return Error(Code::reset, "recv", errno);
      co_return look.parsed.header;
    }
    if (ended && look.seen.status == IoStatus::done)
      co_return Error(Code::proxy_header_invalid, "the peer left within its PROXY header");
    readiness.readable = false;
    if (look.seen.status == IoStatus::want_read) readiness.hangup = false;
  }
}

void write_proxy_v1(const Address& source, const Address& destination, Buffer& out) {
  if (!source.is_ip() || !destination.is_ip()) {
    out.append("PROXY UNKNOWN\r\n");
    return;
  }
  const bool v4 = is_v4(source) && is_v4(destination);
  out.append(v4 ? "PROXY TCP4 " : "PROXY TCP6 ");
  out.append(line_text(source, v4));
  out.append(' ');
  out.append(line_text(destination, v4));
  out.append(' ');
  out.append(std::to_string(source.port()));
  out.append(' ');
  out.append(std::to_string(destination.port()));
  out.append("\r\n");
}

void write_proxy_v2(const Address& source, const Address& destination, Buffer& out) {
  out.append(kSignature);
  const bool ip = source.is_ip() && destination.is_ip();
  const bool own = source.family() == AF_UNSPEC;
  out.append(static_cast<char>(0x20 | (own ? local : proxy)));
  if (!ip) {
    out.append(static_cast<char>(unspecified));
    append_u16(0, out);
    return;
  }
  const bool v4 = is_v4(source) && is_v4(destination);
  const std::uint8_t family = v4 ? tcp4 : tcp6;
  out.append(static_cast<char>(family));
  append_u16(static_cast<std::uint16_t>(addresses_size(family)), out);
  append_ip(source, v4, out);
  append_ip(destination, v4, out);
  append_u16(source.port(), out);
  append_u16(destination.port(), out);
}

}  // namespace revproxyd::net

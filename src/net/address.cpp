#include "revproxyd/net/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace revproxyd::net {

namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

bool is_mapped(const std::uint8_t* bytes) noexcept {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes);
}

/// A text with a terminator for inet_pton; false if it is longer than any address.
bool terminated(std::string_view text, char (&out)[INET6_ADDRSTRLEN]) noexcept {
  if (text.empty() || text.size() >= sizeof out) return false;
  std::memcpy(out, text.data(), text.size());
  out[text.size()] = '\0';
  return text.find('\0') == std::string_view::npos;
}

}  // namespace

Address::Address() noexcept {
  std::memset(&storage_, 0, sizeof storage_);
  storage_.base.sa_family = AF_UNSPEC;
}

Address::Address(const sockaddr* address, socklen_t size) noexcept : Address() {
  if (address == nullptr || size < sizeof(sa_family_t)) return;
  const auto fits = [&](socklen_t least, std::size_t most) {
    return size >= least && size <= most;
  };
  const bool good =
      (address->sa_family == AF_INET && fits(sizeof(sockaddr_in), sizeof(sockaddr_storage))) ||
      (address->sa_family == AF_INET6 && fits(sizeof(sockaddr_in6), sizeof(sockaddr_storage))) ||
      (address->sa_family == AF_UNIX && fits(sizeof(sa_family_t), sizeof(sockaddr_un)));
  if (!good) return;
  size_ = size;
  if (address->sa_family == AF_UNIX) {
    keep_path(*reinterpret_cast<const sockaddr_un*>(address));
    return;
  }
  std::memcpy(&storage_, address, std::min<std::size_t>(size, sizeof storage_));
  if (family() == AF_INET) size_ = sizeof(sockaddr_in);
  if (family() == AF_INET6) size_ = sizeof(sockaddr_in6);
}

// Peers of UNIX sockets mostly have no name: then there is nothing but the family.
void Address::keep_path(const sockaddr_un& address) {
  storage_.base.sa_family = AF_UNIX;
  if (size_ <= offsetof(sockaddr_un, sun_path)) return;
  sockaddr_un copy{};
  std::memcpy(&copy, &address, size_);
  path_ = std::make_shared<const sockaddr_un>(copy);
}

std::optional<Address> Address::ip(std::string_view host, std::uint16_t port) {
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  char text[INET6_ADDRSTRLEN];
  if (!terminated(host, text)) return std::nullopt;
  Address out;
  if (!bracketed && ::inet_pton(AF_INET, text, &out.storage_.v4.sin_addr) == 1) {
    out.storage_.v4.sin_family = AF_INET;
    out.size_ = sizeof(sockaddr_in);
  } else if (::inet_pton(AF_INET6, text, &out.storage_.v6.sin6_addr) == 1) {
    out.storage_.v6.sin6_family = AF_INET6;
    out.size_ = sizeof(sockaddr_in6);
  } else {
    return std::nullopt;
  }
  out.set_port(port);
  return out;
}

std::optional<Address> Address::unix_path(std::string_view path) {
  sockaddr_un local{};
  if (path.empty() || path.size() >= sizeof local.sun_path) return std::nullopt;
  if (path.find('\0') != std::string_view::npos) return std::nullopt;
  local.sun_family = AF_UNIX;
  std::memcpy(local.sun_path, path.data(), path.size());
  Address out;
  out.size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  out.keep_path(local);
  return out;
}

std::uint16_t Address::port() const noexcept {
  if (family() == AF_INET) return ntohs(storage_.v4.sin_port);
  if (family() == AF_INET6) return ntohs(storage_.v6.sin6_port);
  return 0;
}

void Address::set_port(std::uint16_t port) noexcept {
  if (family() == AF_INET) storage_.v4.sin_port = htons(port);
  if (family() == AF_INET6) storage_.v6.sin6_port = htons(port);
}

std::string Address::host() const {
  HostRoom room;
  return std::string(host(room));
}

std::string_view Address::host(HostRoom& room) const noexcept {
  if (family() == AF_UNIX) return "unix";
  if (!is_ip()) return {};
  const std::array<std::uint8_t, 16> all = bytes();
  if (!is_mapped(all.data())) {
    const char* done = ::inet_ntop(AF_INET6, all.data(), room.data(), INET6_ADDRSTRLEN);
    return done == nullptr ? std::string_view() : std::string_view(done);
  }
  // By hand: inet_ntop() goes through printf, and this is asked for every request.
  char* end = room.data();
  for (std::size_t i = 12; i < 16; ++i) {
    const unsigned part = all[i];
    if (i > 12) *end++ = '.';
    if (part >= 100) *end++ = static_cast<char>('0' + part / 100);
    if (part >= 10) *end++ = static_cast<char>('0' + part / 10 % 10);
    *end++ = static_cast<char>('0' + part % 10);
  }
  return {room.data(), static_cast<std::size_t>(end - room.data())};
}

std::string Address::text() const {
  if (family() == AF_UNIX) {
    const std::size_t begin = offsetof(sockaddr_un, sun_path);
    if (path_ == nullptr) return "unix:";
    return "unix:" + std::string(path_->sun_path, ::strnlen(path_->sun_path, size_ - begin));
  }
  if (!is_ip()) return {};
  const std::string ip = host();
  const std::string port_text = ":" + std::to_string(port());
  return ip.find(':') == std::string::npos ? ip + port_text : "[" + ip + "]" + port_text;
}

bool Address::is_any() const {
  const std::string ip = host();
  return ip == "0.0.0.0" || ip == "::";
}

std::array<std::uint8_t, 16> Address::bytes() const noexcept {
  std::array<std::uint8_t, 16> out{};
  if (family() == AF_INET) {
    std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), out.begin());
    std::memcpy(out.data() + 12, &storage_.v4.sin_addr, 4);
  } else if (family() == AF_INET6) {
    std::memcpy(out.data(), &storage_.v6.sin6_addr, 16);
  }
  return out;
}

bool Address::operator==(const Address& other) const noexcept {
  if (family() != other.family()) return false;
  if (family() == AF_INET) return port() == other.port() && bytes() == other.bytes();
  if (family() == AF_INET6) {
    return port() == other.port() && bytes() == other.bytes() &&
           storage_.v6.sin6_scope_id == other.storage_.v6.sin6_scope_id;
  }
  if (path_ == nullptr || other.path_ == nullptr) return path_ == other.path_;
  return size_ == other.size_ && std::memcmp(data(), other.data(), size_) == 0;
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  if (!host.empty() && host.front() == '[') return std::nullopt;
  const std::optional<Address> address = Address::ip(host, 0);
  if (!address) return std::nullopt;
  Cidr out;
  out.network_ = address->bytes();
  out.v4_ = address->family() == AF_INET;
  const unsigned longest = out.v4_ ? 32 : 128;
  unsigned length = longest;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const char* end = digits.data() + digits.size();
    const auto [rest, failure] = std::from_chars(digits.data(), end, length);
    const bool padded = digits.size() > 1 && digits.front() == '0';
    if (failure != std::errc() || rest != end || digits.empty() || padded || length > longest)
      return std::nullopt;
  }
  out.bits_ = static_cast<std::uint8_t>(length + (out.v4_ ? 96 : 0));
  for (unsigned bit = out.bits_; bit < 128; ++bit) {
    if ((out.network_[bit / 8] >> (7 - bit % 8)) & 1) return std::nullopt;
  }
  return out;
}

bool Cidr::contains(const Address& address) const noexcept {
  if (!address.is_ip()) return false;
  const std::array<std::uint8_t, 16> bytes = address.bytes();
  // An IPv6 range never holds an IPv4 client, however it reached us: ::/0 would otherwise mean more
  // than it says.
  if (v4_ != is_mapped(bytes.data()) && !(bits_ >= 96 && is_mapped(network_.data()))) return false;
  const unsigned whole = bits_ / 8;
  if (!std::equal(bytes.begin(), bytes.begin() + whole, network_.begin())) return false;
  const unsigned rest = bits_ % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xFF << (8 - rest));
  return (bytes[whole] & mask) == (network_[whole] & mask);
}

std::string Cidr::text() const {
  char out[INET6_ADDRSTRLEN] = "";
  const int family = v4_ ? AF_INET : AF_INET6;
  if (::inet_ntop(family, network_.data() + (v4_ ? 12 : 0), out, sizeof out) == nullptr) return {};
  return std::string(out) + "/" + std::to_string(v4_ ? bits_ - 96 : bits_);
}

bool contains(const std::vector<Cidr>& ranges, const Address& address) noexcept {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const Cidr& range) { return range.contains(address); });
}

bool contains(const Peers& peers, const Address& address) noexcept {
  if (address.family() == AF_UNIX) return peers.unix_sockets;
  return contains(peers.ranges, address);
}

}  // namespace revproxyd::net

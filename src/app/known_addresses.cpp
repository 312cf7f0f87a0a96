#include "app/known_addresses.h"

#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include "app/packed_lines.h"
#include "revproxyd/base/ascii.h"

namespace revproxyd::app {

namespace {

std::string hex_of(const net::Address& address) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  const auto* bytes = reinterpret_cast<const unsigned char*>(address.data());  // NOLINT: as bytes
  for (socklen_t i = 0; i < address.size(); ++i) {
    out += kDigits[bytes[i] >> 4U];
    out += kDigits[bytes[i] & 15U];
  }
  return out;
}

std::optional<net::Address> address_of(std::string_view hex) {
  sockaddr_storage storage{};
  std::array<unsigned char, sizeof(sockaddr_in6)> bytes{};
  if (hex.size() % 2 != 0 || hex.size() / 2 > bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = ascii::hex_value(hex[i]);
    const int low = ascii::hex_value(hex[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes[i / 2] = static_cast<unsigned char>(high * 16 + low);
  }
  std::memcpy(&storage, bytes.data(), bytes.size());
  const std::size_t size = hex.size() / 2;
  const bool whole = (storage.ss_family == AF_INET && size == sizeof(sockaddr_in)) ||
                     (storage.ss_family == AF_INET6 && size == sizeof(sockaddr_in6));
  if (!whole) return std::nullopt;
  // NOLINTNEXTLINE: as the interface of sockets wants it
  return net::Address(reinterpret_cast<const sockaddr*>(&storage), static_cast<socklen_t>(size));
}

// Up to the next blank, which goes with it.
std::string_view cut(std::string_view& text) {
  const std::size_t at = std::min(text.find(' '), text.size());
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return part;
}

}  // namespace

std::string server_key(const std::string& host, std::uint16_t port) {
  return host + ":" + std::to_string(port);
}

std::vector<std::string> encode_addresses(const KnownAddresses& known, std::size_t limit) {
  std::vector<std::string> lines;
  for (const auto& [key, addresses] : known) {
    lines.push_back(key);
    for (const net::Address& address : *addresses) lines.back() += " " + hex_of(address);
  }
  return pack_lines(lines, limit);
}

void decode_addresses(std::string_view text, KnownAddresses& known) {
  for (std::string_view line : lines_of(text)) {
    const std::string key(cut(line));
    auto addresses = std::make_shared<std::vector<net::Address>>();
    while (!line.empty()) {
      if (const auto address = address_of(cut(line))) addresses->push_back(*address);
    }
    if (!addresses->empty()) known[key] = std::move(addresses);
  }
}

}  // namespace revproxyd::app

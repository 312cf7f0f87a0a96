#include "revproxyd/http/target.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cstring>
#include <optional>

#include "revproxyd/base/ascii.h"

namespace revproxyd::http {

namespace {

Error refuse(const char* text) noexcept {
  return Error(Code::malformed_request, Side::downstream, text);
}

// unreserved of RFC 3986 section 2.3.
constexpr bool is_unreserved(char c) noexcept {
  return ascii::is_alpha(c) || ascii::is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

constexpr bool is_visible(char c) noexcept { return c > 0x20 && c < 0x7f; }

template <typename Predicate>
constexpr std::array<bool, 256> make_table(Predicate holds) noexcept {
  std::array<bool, 256> table{};
  for (int c = 0; c < 128; ++c) table[static_cast<std::size_t>(c)] = holds(static_cast<char>(c));
  return table;
}
constexpr std::array<bool, 256> kInTarget =
    make_table([](char c) { return is_visible(c) && c != '#'; });

std::optional<Error> check_characters(std::string_view raw) noexcept {
  if (raw.empty()) return refuse("empty request target");
  for (char c : raw) {
    if (kInTarget[static_cast<unsigned char>(c)]) continue;
    return refuse(c == '#' ? "request target with a fragment"
                           : "request target with a byte outside of visible ASCII");
  }
  return std::nullopt;
}

void split_query(std::string_view text, Target& target) noexcept {
  const std::size_t mark = text.find('?');
  target.path = text.substr(0, mark);
  target.has_query = mark != std::string_view::npos;
  if (target.has_query) target.query = text.substr(mark + 1);
}

Result<Target> parse_absolute(std::string_view raw, bool options) {
  const std::size_t colon = raw.find(':');
  if (colon == std::string_view::npos) return refuse("request target in none of the four forms");
  Target target;
  target.form = TargetForm::absolute;
  const std::string_view scheme = raw.substr(0, colon);
  if (ascii::iequals(scheme, "http")) {
    target.scheme = "http";
  } else if (ascii::iequals(scheme, "https")) {
    target.scheme = "https";
  } else {
    return refuse("request target whose scheme is neither http nor https");
  }
  const std::string_view rest = raw.substr(colon + 1);
  if (!rest.starts_with("//")) return refuse("absolute request target without an authority");
  const std::string_view hierarchy = rest.substr(2);
  const std::size_t end = hierarchy.find_first_of("/?");
  target.authority = hierarchy.substr(0, end);
  if (target.authority.empty()) return refuse("absolute request target without an authority");
  if (target.authority.find('@') != std::string_view::npos)
    return refuse("request target with userinfo");
  if (end != std::string_view::npos) split_query(hierarchy.substr(end), target);
  // RFC 9112 section 3.2.4: the last proxy turns OPTIONS of a bare authority into the asterisk.
  if (target.path.empty()) target.path = options && !target.has_query ? "*" : "/";
  return target;
}

// Characters that a path may hold and still need no second look; '/' and '.' are judged by their
// neighbours.
constexpr std::array<bool, 256> kPlain = make_table([](char c) {
  return is_visible(c) && std::string_view("%#?\\/.").find(c) == std::string_view::npos;
});

bool is_normal(std::string_view raw) noexcept {
  char before = 0;
  for (char c : raw) {
    if (!kPlain[static_cast<unsigned char>(c)]) {
      if (c != '/' && c != '.') return false;
      if (before == '/') return false;
    }
    before = c;
  }
  return true;
}

// Writes one normal path. Segments are finished one by one, so that a dot segment can take back the
// one before it.
class PathWriter {
 public:
  explicit PathWriter(char* out) noexcept : begin_(out), at_(out) { *at_++ = '/'; }

  void put(char c) noexcept { *at_++ = c; }
  void put_escape(char high, char low) noexcept {
    put('%');
    put(upper_hex(high));
    put(upper_hex(low));
  }
  /// Ends a segment at a slash (`more`) or at the end of the path. False when ".." climbs over the
  /// root.
  bool end_segment(bool more) noexcept {
    const std::string_view segment(begin_ + segment_,
                                   static_cast<std::size_t>(at_ - begin_) - segment_);
    if (segment == "." || segment.empty()) {
      at_ = begin_ + segment_;
      return true;
    }
    if (segment == "..") return climb();
    if (more) put('/');
    segment_ = static_cast<std::size_t>(at_ - begin_);
    return true;
  }
  std::string_view text() const noexcept {
    return {begin_, static_cast<std::size_t>(at_ - begin_)};
  }

 private:
  static char upper_hex(char c) noexcept { return c >= 'a' ? static_cast<char>(c - 32) : c; }
  bool climb() noexcept {
    if (segment_ == 1) return false;
    std::size_t slash = segment_ - 1;
    while (begin_[slash - 1] != '/') --slash;
    segment_ = slash;
    at_ = begin_ + segment_;
    return true;
  }

  char* begin_;
  char* at_;
  std::size_t segment_ = 1;  // where the current segment begins
};

// Lower case without a trailing dot; a view of `host` when it is that already.
std::string_view normal_host(std::string_view host, bool capitals, Arena& arena) {
  if (host.ends_with('.')) host.remove_suffix(1);
  if (!capitals) return host;
  char* out = arena.text(host.size());
  for (std::size_t i = 0; i < host.size(); ++i) out[i] = ascii::to_lower(host[i]);
  return {out, host.size()};
}

constexpr std::array<bool, 256> kInName = make_table(is_unreserved);

// `capitals`: whether there are any.
std::optional<Error> check_name(std::string_view host, bool& capitals) noexcept {
  constexpr std::size_t kLongestHost = 255;
  if (host.empty()) return refuse("empty host");
  if (host.size() > kLongestHost) return refuse("host longer than 255 bytes");
  char before = '.';
  for (char c : host) {
    if (!kInName[static_cast<unsigned char>(c)]) {
      return refuse(c == '@' ? "authority with userinfo"
                             : "host with a character that no name has");
    }
    if (c == '.' && before == '.') return refuse("host with an empty label");
    capitals |= c >= 'A' && c <= 'Z';
    before = c;
  }
  return std::nullopt;
}

// Port of ":80", 0 of nothing and of ":" (RFC 3986 section 3.2.3); anything else is no port.
std::optional<std::uint16_t> read_port(std::string_view text) noexcept {
  if (text.size() <= 1) return std::uint16_t{0};
  text.remove_prefix(1);
  if (text.size() > 5) return std::nullopt;
  unsigned value = 0;
  for (char c : text) {
    if (!ascii::is_digit(c)) return std::nullopt;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  if (value == 0 || value > 65'535) return std::nullopt;
  return static_cast<std::uint16_t>(value);
}

}  // namespace

Result<Target> parse_target(std::string_view raw, bool connect, bool options) {
  if (auto error = check_characters(raw)) return *error;
  Target target;
  if (connect) {
    // RFC 9112 section 3.2.3; the grammar of the authority is parse_authority's to judge.
    if (raw.find('@') != std::string_view::npos) return refuse("request target with userinfo");
    if (raw.find_first_of("/?") != std::string_view::npos || raw == "*") {
      return refuse("CONNECT with a target other than host and port");
    }
    target.form = TargetForm::authority;
    target.authority = raw;
    return target;
  }
  if (raw.front() == '/') {
    split_query(raw, target);
    return target;
  }
  if (raw == "*") {
    if (!options) return refuse("asterisk target of a method other than OPTIONS");
    target.form = TargetForm::asterisk;
    target.path = raw;
    return target;
  }
  return parse_absolute(raw, options);
}

Result<NormalPath> normalise_path(std::string_view raw, Arena& arena) {
  if (!raw.starts_with('/')) return refuse("path that does not begin with a slash");
  if (is_normal(raw)) return NormalPath{raw, false};
  NormalPath result;
  PathWriter writer(arena.text(raw.size() + 1));
  for (std::size_t i = 1; i < raw.size(); ++i) {
    const char c = raw[i];
    if (!is_visible(c)) return refuse("path with a byte outside of visible ASCII");
    if (c == '\\' || c == '#' || c == '?') return refuse("path with a raw backslash, '#' or '?'");
    if (c == '/') {
      if (!writer.end_segment(true)) return refuse("path that climbs over the root");
      continue;
    }
    if (c != '%') {
      writer.put(c);
      continue;
    }
    const int high = i + 2 < raw.size() ? ascii::hex_value(raw[i + 1]) : -1;
    const int low = i + 2 < raw.size() ? ascii::hex_value(raw[i + 2]) : -1;
    if (high < 0 || low < 0) return refuse("path with a bad escape");
    const auto decoded = static_cast<char>(high * 16 + low);
    if ((decoded >= 0 && decoded < 0x20) || decoded == 0x7f)
      return refuse("path with an encoded control character");
    if (is_unreserved(decoded)) {
      writer.put(decoded);
    } else {
      result.encoded_slash |= decoded == '/' || decoded == '\\';
      writer.put_escape(raw[i + 1], raw[i + 2]);
    }
    i += 2;
  }
  if (!writer.end_segment(false)) return refuse("path that climbs over the root");
  result.text = writer.text() == raw ? raw : writer.text();
  return result;
}

std::optional<std::string> normal_literal(std::string_view host) {
  if (host.size() < 2 || host.front() != '[' || host.back() != ']') return std::nullopt;
  const std::string text(host.substr(1, host.size() - 2));
  in6_addr address{};
  if (text.find('\0') != std::string::npos || inet_pton(AF_INET6, text.c_str(), &address) != 1)
    return std::nullopt;
  std::array<char, INET6_ADDRSTRLEN> normal{};
  inet_ntop(AF_INET6, &address, normal.data(), normal.size());
  return "[" + std::string(normal.data()) + "]";
}

Result<Authority> parse_authority(std::string_view text, Arena& arena) {
  const bool literal = text.starts_with('[');
  const std::size_t bracket = literal ? text.find(']') : 0;
  if (bracket == std::string_view::npos) return refuse("host with an open bracket");
  const std::size_t colon = text.find(':', bracket);
  const std::string_view host = text.substr(0, colon);
  const auto port =
      read_port(colon == std::string_view::npos ? std::string_view{} : text.substr(colon));
  Authority authority;
  if (literal) {
    const auto address = normal_literal(host);
    if (!address) return refuse("bad IPv6 address in a host");
    authority.host = *address == host ? host : arena.copy(*address);
  } else {
    bool capitals = false;
    if (auto error = check_name(host, capitals)) return *error;
    authority.host = normal_host(host, capitals, arena);
  }
  if (!port) return refuse("bad port");
  authority.port = *port;
  return authority;
}

}  // namespace revproxyd::http

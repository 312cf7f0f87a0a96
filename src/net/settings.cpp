#include "revproxyd/net/settings.h"

#include <charconv>
#include <filesystem>
#include <utility>

#include "revproxyd/base/ascii.h"
#include "revproxyd/config/scalars.h"
#include "revproxyd/net/settings_types.h"

namespace revproxyd::net {

namespace {

/// Longest path that a sockaddr_un holds with its terminator.
constexpr std::size_t kLongestPath = 107;

template <typename T>
Parsed<T> refuse(std::string problem, std::string hint = {}) {
  return {std::nullopt, std::move(problem), std::move(hint)};
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, port);
  const bool good = failure == std::errc() && rest == end && !text.empty() &&
                    (text == "0" || text.front() != '0');
  return good ? std::optional(port) : std::nullopt;
}

std::string path_problem(std::string_view path) {
  if (path.empty() || path.front() != '/') return "the path of a UNIX socket must be absolute";
  if (path.starts_with("//")) return "a UNIX socket is written unix:/path";
  if (path.size() > kLongestPath)
    return "the path of a UNIX socket has at most " + std::to_string(kLongestPath) + " bytes";
  for (char c : path) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7F || c == ',')
      return "the path holds a blank, comma or control character";
  }
  return {};
}

/// "host:port" taken apart: the host keeps its brackets, the port may be absent.
struct Authority {
  std::string_view host;
  std::optional<std::string_view> port;
};

Authority split_authority(std::string_view text) {
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket))
    return {text, {}};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

std::string_view without_brackets(std::string_view host) {
  return host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
}

// A dot at the end makes a name absolute (RFC 1034 section 3.1).
bool is_server_name(std::string_view host) noexcept {
  if (!host.ends_with('.')) return is_host_name(host);
  host.remove_suffix(1);
  return is_host_name(host) && !Address::ip(host, 0);
}

template <typename T>
config::Type<T> parsed_type(std::string_view what, Parsed<T> (*parse)(std::string_view)) {
  config::Type<T> type;
  type.schema = config::string_schema(what);
  type.read = [what, parse](config::Reader& reader, const config::Node& node, T& out) {
    const std::string* text = reader.scalar(node, what);
    if (text == nullptr) return false;
    Parsed<T> parsed = parse(*text);
    if (!parsed.value)
      return reader.error(
          node,
          config::Reader::shown(node) + " is not " + std::string(what) + ": " + parsed.problem,
          node.secret ? std::string() : std::move(parsed.hint));
    out = std::move(*parsed.value);
    return true;
  };
  type.write = [](const T& value) { return config::Value::of_text(value.text); };
  return type;
}

constexpr std::string_view kUnixWord = "unix";

/// A range, or nothing for all peers on UNIX sockets.
config::Type<std::optional<Cidr>> peer() {
  const config::Type<Cidr> range = cidr();
  config::Type<std::optional<Cidr>> type;
  type.schema = config::any_of(
      {config::Value::map({{"const", config::Value::of_text(kUnixWord)}}), range.schema});
  type.read = [range](config::Reader& reader, const config::Node& node, std::optional<Cidr>& out) {
    out.reset();
    if (node.is_scalar() && node.text == kUnixWord) return true;
    // Not even with a path: that would be the listener's, and its peers mostly have none.
    if (node.is_scalar() && node.text.starts_with("unix:"))
      return reader.error(node, config::Reader::shown(node) + " is not an address range",
                          node.secret ? "" : "write unix for all peers on UNIX sockets");
    return range.read(reader, node, out.emplace());
  };
  type.write = [range](const std::optional<Cidr>& one) {
    return one ? range.write(*one) : config::Value::of_word(kUnixWord);
  };
  return type;
}

}  // namespace

std::string normal_path(const std::string& path) {
  return std::filesystem::path(path).lexically_normal().string();
}

bool is_host_name(std::string_view text) noexcept {
  if (text.empty() || text.size() > 253) return false;
  std::size_t label = 0;
  for (char c : text) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
    } else if (!ascii::is_alpha(c) && !ascii::is_digit(c) && c != '-' && c != '_') {
      return false;
    } else if (++label > 63) {
      return false;
    }
  }
  return label > 0;
}

Parsed<BindAddress> parse_bind_address(std::string_view text) {
  BindAddress out;
  out.text = text;
  if (text.starts_with("unix:")) {
    out.path = text.substr(5);
    if (std::string problem = path_problem(out.path); !problem.empty())
      return refuse<BindAddress>(std::move(problem));
    return {std::move(out), {}, {}};
  }
  if (parse_port(text))
    return refuse<BindAddress>("it has no ':'", "write \":" + std::string(text) + "\"");
  const Authority parts = split_authority(text);
  const std::optional<std::uint16_t> port = parts.port ? parse_port(*parts.port) : std::nullopt;
  if (!port) return refuse<BindAddress>("a port from 0 to 65535 is missing");
  out.port = *port;
  out.host = without_brackets(parts.host);
  if (out.host.empty() && parts.host.empty()) return {std::move(out), {}, {}};
  if (out.host == "*")
    return refuse<BindAddress>("all interfaces are written without a host",
                               "write \":" + std::to_string(*port) + "\"");
  const bool bare_v6 = parts.host.front() != '[' && out.host.find(':') != std::string::npos;
  if (bare_v6)
    return refuse<BindAddress>("an IPv6 address stands in brackets",
                               "write \"[" + out.host + "]:" + std::to_string(*port) + "\"");
  const std::optional<Address> address = Address::ip(parts.host, *port);
  if (!address) return refuse<BindAddress>("the host is not a numeric address");
  // A socket for such an address would be of IPv4, which the kernel refuses where IPv6 is meant.
  if (address->family() == AF_INET6 && address->host().find(':') == std::string::npos)
    return refuse<BindAddress>("an IPv4 address within an IPv6 one",
                               "write \"" + address->host() + ":" + std::to_string(*port) + "\"");
  return {std::move(out), {}, {}};
}

Parsed<ServerUrl> parse_server_url(std::string_view text) {
  ServerUrl out;
  if (text.starts_with("unix:")) {
    out.text = text;
    out.path = text.substr(5);
    if (std::string problem = path_problem(out.path); !problem.empty())
      return refuse<ServerUrl>(std::move(problem));
    return {std::move(out), {}, {}};
  }
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos)
    return refuse<ServerUrl>("the scheme is missing", "write http://" + std::string(text));
  const std::string scheme = ascii::lower(text.substr(0, colon));
  if (scheme == "https")
    out.scheme = Scheme::https;
  else if (scheme == "h2c")
    out.scheme = Scheme::h2c;
  else if (scheme != "http")
    return refuse<ServerUrl>("the scheme is not http, https or h2c");
  std::string_view rest = text.substr(colon + 3);
  if (rest.ends_with('/') && rest.find('/') == rest.size() - 1) rest.remove_suffix(1);
  if (const std::size_t slash = rest.find_first_of("/?#"); slash != std::string_view::npos) {
    if (rest[slash] == '/')
      return refuse<ServerUrl>("a server has no path", "use add_prefix on the route");
    return refuse<ServerUrl>("a server has no query or fragment");
  }
  if (rest.find('@') != std::string_view::npos)
    return refuse<ServerUrl>("a server has no user name or password");
  const Authority parts = split_authority(rest);
  const std::optional<std::uint16_t> port =
      parts.port ? parse_port(*parts.port)
                 : std::optional<std::uint16_t>(out.scheme == Scheme::https ? 443 : 80);
  if (!port || *port == 0) return refuse<ServerUrl>("the port is not a number from 1 to 65535");
  out.port = *port;
  out.host = ascii::lower(without_brackets(parts.host));
  const bool bracketed = parts.host.size() != out.host.size();
  if (bracketed ? !Address::ip(parts.host, 0) : !is_server_name(out.host))
    return refuse<ServerUrl>("the host is neither a name nor an address");
  out.text = scheme + "://" + ascii::lower(rest);
  return {std::move(out), {}, {}};
}

std::string ServerUrl::authority() const {
  if (host.empty()) return "localhost";
  const bool v6 = host.find(':') != std::string::npos;
  const bool usual = port == (scheme == Scheme::https ? 443 : 80);
  const std::string name = host.ends_with('.') ? host.substr(0, host.size() - 1) : host;
  return (v6 ? "[" + name + "]" : name) + (usual ? "" : ":" + std::to_string(port));
}

bool is_authority(std::string_view text) {
  if (text.ends_with('/')) return false;
  const Parsed<ServerUrl> url = parse_server_url("http://" + std::string(text));
  return url.value && !url.value->host.ends_with('.');
}

config::Type<BindAddress> bind_address() {
  return parsed_type("an address such as \":80\", \"127.0.0.1:80\" or unix:/path",
                     parse_bind_address);
}

config::Type<ServerUrl> server_url() {
  return parsed_type("the URL of a server", parse_server_url);
}

config::Type<Cidr> cidr() {
  config::Type<Cidr> type;
  type.schema = config::string_schema("an address range: 10.0.0.0/8, 2001:db8::/32, 192.0.2.1");
  type.read = [](config::Reader& reader, const config::Node& node, Cidr& out) {
    const std::string* text = reader.scalar(node, "an address range");
    if (text == nullptr) return false;
    const std::optional<Cidr> range = Cidr::parse(*text);
    if (range) {
      out = *range;
      return true;
    }
    const std::size_t slash = text->find('/');
    const bool host_bits = Address::ip(text->substr(0, slash), 0) && slash != std::string::npos;
    return reader.error(node, config::Reader::shown(node) + " is not an address range",
                        host_bits ? "the length is too long, or bits behind it are set"
                                  : "write 10.0.0.0/8 or 2001:db8::/32");
  };
  type.write = [](const Cidr& range) { return config::Value::of_text(range.text()); };
  return type;
}

config::Type<Peers> peers() {
  const auto all = config::list(peer(), {"address ranges", true});
  config::Type<Peers> type;
  type.schema = all.schema;
  type.read = [all](config::Reader& reader, const config::Node& node, Peers& out) {
    std::vector<std::optional<Cidr>> read;
    if (!all.read(reader, node, read)) return false;
    out = {};
    for (const std::optional<Cidr>& one : read) {
      if (one)
        out.ranges.push_back(*one);
      else
        out.unix_sockets = true;
    }
    return true;
  };
  type.write = [all](const Peers& peers) {
    std::vector<std::optional<Cidr>> written(peers.ranges.begin(), peers.ranges.end());
    if (peers.unix_sockets) written.push_back(std::nullopt);
    return all.write(written);
  };
  return type;
}

config::Type<Scheme> scheme() {
  return config::enumeration<Scheme>({{"http", Scheme::http}, {"https", Scheme::https}});
}

}  // namespace revproxyd::net

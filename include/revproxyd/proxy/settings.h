#pragma once
// Routes, and the time-outs and limits that a listener or a route may set for itself.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "revproxyd/base/units.h"
#include "revproxyd/filters/settings.h"
#include "revproxyd/net/address.h"
#include "revproxyd/net/settings.h"
#include "revproxyd/tls/settings.h"
#include "revproxyd/upstream/settings.h"

namespace revproxyd::proxy {

/// Time-outs towards clients. They run only while the proxy waits for the client.
struct Timeouts {
  Duration handshake{10000};
  Duration header{10000};
  Duration body{30000};
  Duration write{30000};
  Duration keepalive{60000};
  Duration tunnel{3600000};
  bool operator==(const Timeouts&) const = default;
};

/// 0 = none, but for h2_streams.
struct Limits {
  std::uint64_t connections = 20000;  // of the process
  std::uint64_t connections_per_client = 0;
  std::uint64_t requests_per_connection = 10000;
  std::uint64_t request_line = 8 * 1024;
  std::uint64_t header_bytes = 32 * 1024;
  std::uint64_t header_count = 100;
  std::uint64_t max_body = 100ULL * 1024 * 1024;
  std::uint64_t min_rate = 240;          // bytes a second, of a body after its first 10 s
  std::uint32_t h2_streams = 100;        // 1..10000; requests at once on an HTTP/2 connection
  Rate h2_resets{100, Duration(10000)};  // what a client may do wrong on an HTTP/2 connection
  bool operator==(const Limits&) const = default;
};

/// `limits` at the top: what listeners begin with, and what the process alone has.
struct GlobalLimits : Limits {
  std::uint64_t memory = 0;
  bool operator==(const GlobalLimits&) const = default;
};

struct ListenerSettings {
  std::string name;  // default: the address as written
  net::BindAddress address;
  // What is spoken; at least one. With TLS by ALPN, HTTP/2 first; else HTTP/2 by prior knowledge.
  bool http1 = true;
  bool http2 = true;
  bool redirect_https = false;
  std::optional<tls::ListenerTls> tls;
  net::Peers proxy_protocol_from;
  Timeouts timeouts;  // global ones with this listener's overrides applied
  Limits limits;
  // Not of the configuration: counts the contents that the file of tls.client_auth.ca had, so that
  // connections which older ones let in are outdated.
  std::uint64_t authorities = 0;
  bool operator==(const ListenerSettings&) const = default;
};
/// What makes a listener the same over reloads: its address as written, or its path however it is
/// written; with a port that the kernel chooses, its name too.
std::string listener_identity(const ListenerSettings& listener);
/// Both have one identity; makes no text of it but to compare two paths.
bool same_listener(const ListenerSettings& one, const ListenerSettings& other);

inline constexpr std::uint16_t kHttpsPort = 443;
/// Where `redirect: https` leads: the TLS listener at the usual port, or else the first; null where
/// none has a port.
const ListenerSettings* https_listener(const std::vector<ListenerSettings>& listeners) noexcept;

enum class HostKind : std::uint8_t { any, exact, wildcard };
struct HostPattern {
  HostKind kind = HostKind::any;
  std::string name;  // lower case; of a wildcard the part after "*."
  bool operator==(const HostPattern&) const = default;
};

enum class PathKind : std::uint8_t { any, exact, prefix, glob, regex };
/// `/exact`, `/prefix/**` (kind prefix, text "/prefix"; "/**" is any), `/a/*/b` or `/a/*/**` (glob;
/// text as written), `~regex` (text without ~).
struct PathPattern {
  PathKind kind = PathKind::any;
  std::string text;
  bool operator==(const PathPattern&) const = default;
};

enum class ValueKind : std::uint8_t { text, regex, present, absent };
/// A condition on a header field, query parameter or cookie of that name.
struct ValuePattern {
  std::string name;
  ValueKind kind = ValueKind::text;
  std::string text;
  bool operator==(const ValuePattern&) const = default;
};

struct MatchSettings {
  std::vector<HostPattern> hosts;  // any of them; empty = any host
  std::vector<PathPattern> paths;  // any of them; empty = any path
  std::vector<std::string> methods;
  std::vector<ValuePattern> headers;  // all of them, likewise query and cookies
  std::vector<ValuePattern> query;
  std::vector<ValuePattern> cookies;
  std::vector<net::Cidr> sources;
  std::optional<net::Scheme> scheme;
  std::vector<std::string> listeners;
  bool operator==(const MatchSettings&) const = default;
};

struct RedirectSettings {
  std::string to;  // absolute URL or path; {scheme} {host} {path} {query} are replaced; without
                   // {path} as written
  std::uint16_t status = 308;  // 301, 302, 303, 307, 308
  bool operator==(const RedirectSettings&) const = default;
};

struct RespondSettings {
  std::uint16_t status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  bool operator==(const RespondSettings&) const = default;
};

struct SplitTarget {
  std::string upstream;
  std::uint32_t weight = 1;
  bool operator==(const SplitTarget&) const = default;
};

struct RouteSettings {
  std::string name;  // default: "route-N", N counted from 1 in file order
  MatchSettings match;
  std::int32_t priority = 0;
  filters::RewriteSettings rewrite;
  filters::HeadersSettings headers;  // the global ones merged in
  std::vector<std::string> upgrade;  // lower-case tokens; default websocket
  bool upgrade_idle = false;         // since all servers that it leads to are spoken to by HTTP/2
  bool allow_encoded_slash = false;
  std::optional<upstream::HostHeaderSettings> host_header;
  std::optional<Duration> body_timeout;
  std::optional<Duration> write_timeout;
  std::optional<Duration> tunnel_timeout;
  std::optional<std::uint64_t> max_body;
  std::optional<std::uint64_t> min_rate;
  // Exactly one end: targets (one entry for `to`, several for `split`; names of upstreams),
  // redirect or respond.
  std::vector<SplitTarget> targets;
  std::optional<RedirectSettings> redirect;
  std::optional<RespondSettings> respond;
  bool refused = false;  // some of it could not be read, which was reported
  bool operator==(const RouteSettings&) const = default;
};

}  // namespace revproxyd::proxy

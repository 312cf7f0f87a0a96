#include "revproxyd/upstream/settings.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "revproxyd/base/ascii.h"
#include "revproxyd/config/record.h"
#include "revproxyd/config/scalars.h"
#include "revproxyd/net/settings_types.h"
#include "revproxyd/tls/settings_types.h"
#include "revproxyd/upstream/settings_types.h"
#include "upstream/health_settings.h"

namespace revproxyd::upstream {

namespace {

using config::Node;
using config::Reader;
using config::Record;
using config::Value;

constexpr std::int64_t kMost = 1'000'000'000;  // of counts that only have to fit

config::Type<ServerSettings> server() {
  return Record<ServerSettings>("server")
      .field("url", &ServerSettings::url, net::server_url(),
             "http://host:port, https://host:port, h2c://host:port or unix:/path.")
      .required()
      .field("weight", &ServerSettings::weight, config::integer<std::uint32_t>(1, 65535),
             "Share of the requests.")
      .field("backup", &ServerSettings::backup, config::boolean(),
             "Used only while no other server is up.")
      .field("max_connections", &ServerSettings::max_connections,
             config::integer<std::uint32_t>(0, kMost),
             "Connections to it at once over all workers; 0 = no limit.")
      .later({"slow_start"})
      .type();
}

config::Type<BalanceMethod> balance_method() {
  return config::enumeration<BalanceMethod>({{"round_robin", BalanceMethod::round_robin},
                                             {"least_request", BalanceMethod::least_request},
                                             {"random", BalanceMethod::random},
                                             {"hash", BalanceMethod::hash},
                                             {"first", BalanceMethod::first}},
                                            {"ewma"});
}

/// client_ip, uri, header:NAME or cookie:NAME.
config::Type<BalanceSettings> hash_key() {
  config::Type<BalanceSettings> type;
  type.schema = config::string_schema("client_ip, uri, header:NAME or cookie:NAME");
  type.read = [](Reader& reader, const Node& node, BalanceSettings& out) {
    const std::string* text = reader.scalar(node, "a hash key");
    if (text == nullptr) return false;
    out.name.clear();
    if (*text == "client_ip" || *text == "uri") {
      out.key = *text == "uri" ? HashKey::uri : HashKey::client_ip;
      return true;
    }
    const std::size_t colon = text->find(':');
    const std::string kind = text->substr(0, colon);
    const std::string name = colon == std::string::npos ? std::string() : text->substr(colon + 1);
    if ((kind != "header" && kind != "cookie") || !ascii::is_token(name))
      return reader.error(node, Reader::shown(node) + " is not a hash key",
                          "expected client_ip, uri, header:NAME or cookie:NAME");
    out.key = kind == "header" ? HashKey::header : HashKey::cookie;
    out.name = name;
    return true;
  };
  type.write = [](const BalanceSettings& balance) {
    switch (balance.key) {
      case HashKey::client_ip: return Value::of_word("client_ip");
      case HashKey::uri: return Value::of_word("uri");
      case HashKey::header: return Value::of_text("header:" + balance.name);
      case HashKey::cookie: return Value::of_text("cookie:" + balance.name);
    }
    return Value::none();
  };
  return type;
}

config::Type<BalanceSettings> balance() {
  const config::Type<BalanceMethod> method = balance_method();
  const config::Type<BalanceSettings> map =
      Record<BalanceSettings>()
          .field("method", &BalanceSettings::method, method, "How a server is chosen.")
          .required()
          .whole("key", hash_key(),
                 "What hash looks at: client_ip, uri, header:NAME or cookie:NAME.")
          .check([](Reader& reader, const Node& node, BalanceSettings& out) {
            if (out.method == BalanceMethod::hash || node.find("key") == nullptr) return true;
            return reader.error(node, "'key' is for the method hash only");
          })
          .type();
  config::Type<BalanceSettings> type;
  type.schema = config::any_of({method.schema, map.schema});
  type.read = [method, map](Reader& reader, const Node& node, BalanceSettings& out) {
    if (node.is_map()) return map.read(reader, node, out);
    return method.read(reader, node, out.method);
  };
  type.write = [method, map](const BalanceSettings& out) {
    return out.method == BalanceMethod::hash ? map.write(out) : method.write(out.method);
  };
  return type;
}

constexpr std::uint16_t kLeastStatus = 400;  // that can be tried again
constexpr std::uint16_t kMostStatus = 599;

config::Type<RetrySettings> conditions() {
  config::Type<RetrySettings> type;
  const Value words = Value::list({Value::of_text("connect"), Value::of_text("reset")});
  const Value retryable = config::integer<std::uint16_t>(kLeastStatus, kMostStatus).schema;
  type.schema = Value::map({{"type", Value::of_text("array")},
                            {"items", config::any_of({Value::map({{"enum", words}}), retryable})}});
  type.read = [](Reader& reader, const Node& node, RetrySettings& out) {
    if (!reader.expect_list(node, "a list of connect, reset and statuses")) return false;
    out.reset = false;
    out.statuses.clear();
    bool good = true;
    for (const Node& item : node.items) {
      std::uint16_t status = 0;
      const char* end = item.text.data() + item.text.size();
      const auto [rest, failure] = std::from_chars(item.text.data(), end, status);
      const bool number = item.is_scalar() && failure == std::errc() && rest == end;
      if (item.is_scalar() && item.text == "connect") continue;  // holds in any case
      if (item.is_scalar() && item.text == "reset")
        out.reset = true;
      else if (number && status >= kLeastStatus && status <= kMostStatus)
        out.statuses.push_back(status);
      else
        good = reader.error(item, Reader::shown(item) + " is not a retry condition",
                            "expected connect, reset or a status from 400 to 599");
    }
    std::sort(out.statuses.begin(), out.statuses.end());
    out.statuses.erase(std::unique(out.statuses.begin(), out.statuses.end()), out.statuses.end());
    return good;
  };
  type.write = [](const RetrySettings& retry) {
    Value out = Value::list({Value::of_word("connect")});
    if (retry.reset) out.items.push_back(Value::of_word("reset"));
    for (std::uint16_t status : retry.statuses) out.items.push_back(Value::of_number(status));
    return out;
  };
  return type;
}

config::Type<RetrySettings> retry() {
  return Record<RetrySettings>()
      .field("attempts", &RetrySettings::attempts,
             config::integer<std::uint32_t>(1, RetrySettings::kMostAttempts),
             "Tries in all; 1 = no retry.")
      .whole("conditions", conditions(),
             "What is tried again: connect in any case, reset, statuses from 400 to 599.")
      .field(
          "budget", &RetrySettings::budget_percent, config::percentage(100),
          "Retries as a share of the requests of the last 10 s; at least 3 a second are allowed.")
      .type();
}

config::Type<UpstreamTimeouts> timeouts() {
  return Record<UpstreamTimeouts>()
      .field("connect", &UpstreamTimeouts::connect, config::duration(),
             "To establish a connection, TLS included.")
      .field("first_byte", &UpstreamTimeouts::first_byte, config::duration(),
             "From the last byte of the request to the first of the response.")
      .field("idle", &UpstreamTimeouts::idle, config::duration(),
             "Between two reads of a response.")
      .type();
}

config::Type<KeepaliveSettings> keepalive() {
  return Record<KeepaliveSettings>()
      .field("max_idle", &KeepaliveSettings::max_idle, config::integer<std::uint32_t>(0, 1'000'000),
             "Idle connections kept per worker and server; 0 = none.")
      .field("idle", &KeepaliveSettings::idle, config::duration(),
             "How long an idle connection is kept.")
      .field("lifetime", &KeepaliveSettings::lifetime, config::duration(),
             "How old a connection may grow.")
      .type();
}

config::Type<UpstreamLimits> limits() {
  return Record<UpstreamLimits>()
      .field("max_requests", &UpstreamLimits::max_requests,
             config::integer<std::uint32_t>(0, kMost),
             "Requests at once over all workers; 0 = no limit.")
      .field("max_pending", &UpstreamLimits::max_pending, config::integer<std::uint32_t>(0, kMost),
             "Requests that wait for a free connection or for max_requests.")
      .field("queue_timeout", &UpstreamLimits::queue_timeout, config::duration(),
             "How long they wait.")
      .field("response_header_bytes", &UpstreamLimits::response_header_bytes, config::size(),
             "Size of a response head.")
      .check([](Reader& reader, const Node& node, UpstreamLimits& out) {
        if (out.response_header_bytes >= 1024 && out.response_header_bytes <= (16U << 20))
          return true;
        return reader.error(*node.find("response_header_bytes"),
                            "'response_header_bytes' is out of range", "expected 1KiB to 16MiB");
      })
      .type();
}

/// The same address with another scheme, for hints.
std::string with_scheme(std::string_view scheme, const net::ServerUrl& url) {
  return std::string(scheme) + url.text.substr(url.text.find("://"));
}

/// Whether the server can speak what `protocol` and the checks ask for. `where` is its URL.
bool check_protocol(Reader& reader, const Node& where, const net::ServerUrl& url,
                    const UpstreamSettings& out) {
  const std::string hint =
      where.secret || !url.path.empty() ? std::string() : "write " + with_scheme("h2c", url);
  const bool plain = url.scheme == net::Scheme::http;
  if (plain && out.protocol == Protocol::http2)
    return reader.error(where, Reader::shown(where) + " cannot be spoken to by 'protocol: h2'",
                        hint);
  if (url.scheme == net::Scheme::h2c && out.protocol == Protocol::http1)
    return reader.error(where,
                        Reader::shown(where) + " cannot be spoken to by 'protocol: http/1.1'",
                        where.secret ? std::string() : "write " + with_scheme("http", url));
  if (plain && out.health_check && out.health_check->type == HealthType::grpc)
    return reader.error(
        where, Reader::shown(where) + " cannot be checked by 'type: grpc': that is HTTP/2", hint);
  return true;
}

bool check_upstream(Reader& reader, const Node& node, UpstreamSettings& out) {
  std::set<std::string> urls;
  bool good = true;
  bool secure = false;
  for (std::size_t i = 0; i < out.servers.size(); ++i) {
    const ServerSettings& one = out.servers[i];
    const Node& item = node.find("servers")->items[i];
    secure = secure || one.url.scheme == net::Scheme::https;
    if (!urls.insert(one.url.text).second)
      good = reader.error(item, "a server is listed twice in " + reader.context(), "use weight");
    good = check_protocol(reader, *item.find("url"), one.url, out) && good;
  }
  const bool grpc = out.health_check && out.health_check->type == HealthType::grpc;
  if (secure && grpc && out.protocol == Protocol::http1)
    good =
        reader.error(*node.find("protocol"), "checks of type grpc need HTTP/2", "write auto or h2");
  const Node* tls = node.find("tls");
  if (tls != nullptr && !secure && out.tls != tls::UpstreamTls{})
    reader.warning(tls->mark,
                   "'tls' has no effect in " + reader.context() + ": no server has an https URL");
  return good;
}

}  // namespace

config::Type<HostHeaderSettings> host_header() {
  config::Type<HostHeaderSettings> type;
  type.schema = config::scalar_schema("keep, upstream or a host");
  type.read = [](Reader& reader, const Node& node, HostHeaderSettings& out) {
    const std::string* text = reader.scalar(node, "keep, upstream or a host");
    if (text == nullptr) return false;
    out = HostHeaderSettings{};
    if (*text == "keep") return true;
    if (*text == "upstream") {
      out.mode = HostHeader::upstream;
      return true;
    }
    if (!net::is_authority(*text))
      return reader.error(node, Reader::shown(node) + " is not keep, upstream or a host");
    out.mode = HostHeader::value;
    out.value = *text;
    const std::string near = config::did_you_mean(*text, {"keep", "upstream"});
    if (!near.empty() && !node.secret)
      reader.warning(node.mark, "'" + *text + "' is taken as the name of a host", near);
    return true;
  };
  type.write = [](const HostHeaderSettings& host) {
    if (host.mode == HostHeader::value) return Value::of_text(host.value);
    return Value::of_word(host.mode == HostHeader::keep ? "keep" : "upstream");
  };
  return type;
}

config::Type<UpstreamSettings> upstream_settings() {
  using U = UpstreamSettings;
  return Record<U>()
      .field("balance", &U::balance, balance(), "How a server is chosen for a request.")
      .field("servers", &U::servers, config::list(server(), {"servers", false, true}),
             "Where requests go.")
      .required()
      .field("protocol", &U::protocol,
             config::enumeration<Protocol>({{"auto", Protocol::automatic},
                                            {"h2", Protocol::http2},
                                            {"http/1.1", Protocol::http1}}),
             "What is spoken to the servers; auto: with https what ALPN chooses, else what the URL "
             "says.")
      .field("timeouts", &U::timeouts, timeouts(), "Time-outs towards the servers.")
      .field("keepalive", &U::keepalive, keepalive(), "Connections that are kept.")
      .field("limits", &U::limits, limits(), "How much may be under way.")
      .field("retry", &U::retry, retry(), "When a request is tried again.")
      .field("health_check", &U::health_check, config::optional(health_settings()),
             "Active checks; without it none are made.")
      .field("tls", &U::tls, tls::upstream_tls(), "TLS to servers with an https URL.")
      .field("proxy_protocol", &U::proxy_protocol,
             config::enumeration<ProxyProtocol>({{"none", ProxyProtocol::none},
                                                 {"v1", ProxyProtocol::v1},
                                                 {"v2", ProxyProtocol::v2}}),
             "The PROXY header that each connection begins with.")
      .field("host_header", &U::host_header, host_header(), "The Host field that servers see.")
      .later({"discover", "outlier_detection", "circuit_breaker", "slow_start", "session"})
      .check(check_upstream)
      .type();
}

}  // namespace revproxyd::upstream

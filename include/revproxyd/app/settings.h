#pragma once
// The whole configuration file as plain data: every default visible, every reference checked.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "revproxyd/base/units.h"
#include "revproxyd/config/node.h"
#include "revproxyd/net/address.h"
#include "revproxyd/proxy/settings.h"
#include "revproxyd/tls/settings.h"
#include "revproxyd/upstream/settings.h"

namespace revproxyd::app {

enum class AccessFormat : std::uint8_t { json, combined };
struct AccessLogSettings {
  bool enabled = true;
  std::string path = "-";  // "-" = standard output
  AccessFormat format = AccessFormat::json;
  std::vector<std::string> mask_query{"token", "password", "code"};
  std::vector<std::string> mask_headers{"Authorization", "Cookie"};
  bool operator==(const AccessLogSettings&) const = default;
};

enum class LogLevel : std::uint8_t { debug, info, warn, error };
struct LogSettings {
  LogLevel level = LogLevel::info;
  std::string path = "stderr";
  bool operator==(const LogSettings&) const = default;
};

struct AdminSettings {
  std::string socket = "/run/revproxyd/admin.sock";
  bool configured =
      false;  // a default path that cannot be used is a warning, a configured one an error
  bool operator==(const AdminSettings&) const = default;
};

struct ShutdownSettings {
  Duration drain{30000};
  Duration streams{300000};
  Duration upgrade{60000};
  bool operator==(const ShutdownSettings&) const = default;
};

struct RouteTest {
  std::string method;
  std::string url;
  std::string from = "127.0.0.1";       // the client, a numeric address
  std::optional<std::string> route;     // expect.route
  std::optional<std::uint16_t> status;  // expect.status, of a redirect, respond or refusal
  config::Mark mark;                    // where it is written
  bool secret = false;                  // the request came from ${...}
  bool operator==(const RouteTest&) const = default;
};

struct Settings {
  std::uint32_t workers = 0;  // 0 = auto: one for each CPU this process may use
  std::vector<proxy::ListenerSettings> listeners;
  proxy::Timeouts timeouts;
  proxy::GlobalLimits limits;
  net::Peers trusted_proxies;
  std::vector<tls::Certificate> certificates;
  std::vector<upstream::UpstreamSettings>
      upstreams;  // named ones in file order, then anonymous ones
  filters::HeadersSettings headers;
  std::vector<proxy::RouteSettings> routes;  // file order
  AccessLogSettings access_log;
  LogSettings log;
  AdminSettings admin;
  ShutdownSettings shutdown;
  bool forwarded = false;  // also write Forwarded (RFC 7239)
  std::vector<RouteTest> tests;
  std::vector<std::string> files;  // every file that was read, for the watch
};

}  // namespace revproxyd::app

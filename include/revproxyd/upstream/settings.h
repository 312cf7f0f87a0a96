#pragma once
// `upstreams.NAME`: servers and how to treat them.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "revproxyd/base/units.h"
#include "revproxyd/net/settings.h"
#include "revproxyd/tls/settings.h"

namespace revproxyd::upstream {

struct ServerSettings {
  net::ServerUrl url;
  std::uint32_t weight = 1;  // 1..65535
  bool backup = false;
  std::uint32_t max_connections = 0;  // 0 = no limit; over all workers
  bool operator==(const ServerSettings&) const = default;
};

enum class BalanceMethod : std::uint8_t { round_robin, least_request, random, hash, first };
enum class HashKey : std::uint8_t { client_ip, uri, header, cookie };

struct BalanceSettings {
  BalanceMethod method = BalanceMethod::round_robin;
  HashKey key = HashKey::client_ip;  // of hash
  std::string name;                  // of the header or cookie
  bool operator==(const BalanceSettings&) const = default;
};

struct StatusRange {
  std::uint16_t low = 200;
  std::uint16_t high = 399;
  bool operator==(const StatusRange&) const = default;
};

enum class HealthType : std::uint8_t { http, tcp, grpc };

struct HealthSettings {
  HealthType type = HealthType::http;
  std::string path = "/";  // of http; likewise status, body and header
  std::string service;     // of grpc: what is asked about; empty = the server as a whole
  std::string host;        // authority of the probe; empty = host (and port) of the server's URL
  std::vector<StatusRange> status{StatusRange{}};
  std::string body;  // text that the first 64 KiB of the body must contain; empty = any
  std::vector<std::pair<std::string, std::string>>
      header;  // field that must be there with this value; empty value = any
  Duration interval{5000};
  Duration timeout{2000};
  std::uint32_t rise = 2;
  std::uint32_t fall = 3;
  bool operator==(const HealthSettings&) const = default;
};

/// `retry.conditions`: connect, reset, or a status (400..599).
struct RetrySettings {
  static constexpr std::uint32_t kMostAttempts = 20;
  std::uint32_t attempts = 2;  // tries in all, on different servers where there are several
  bool reset = true;           // beside what was never sent, which is always tried again
  std::vector<std::uint16_t> statuses;
  std::uint32_t budget_percent = 20;
  bool operator==(const RetrySettings&) const = default;
};

struct UpstreamTimeouts {
  Duration connect{3000};
  Duration first_byte{60000};
  Duration idle{60000};
  bool operator==(const UpstreamTimeouts&) const = default;
};

struct KeepaliveSettings {
  std::uint32_t max_idle = 64;  // connections per worker and server
  Duration idle{60000};
  Duration lifetime{3600000};
  bool operator==(const KeepaliveSettings&) const = default;
};

struct UpstreamLimits {
  std::uint32_t max_requests = 0;  // at once over all workers; 0 = no limit
  std::uint32_t max_pending = 1000;
  Duration queue_timeout{2000};
  std::uint64_t response_header_bytes = 64 * 1024;
  bool operator==(const UpstreamLimits&) const = default;
};

enum class ProxyProtocol : std::uint8_t { none, v1, v2 };

enum class HostHeader : std::uint8_t { keep, upstream, value };
struct HostHeaderSettings {
  HostHeader mode = HostHeader::keep;
  std::string value;
  bool operator==(const HostHeaderSettings&) const = default;
};

/// What is spoken to the servers. `automatic` is HTTP/1.1 with http URLs and HTTP/2 with h2c; with
/// https ALPN decides, HTTP/2 preferred.
enum class Protocol : std::uint8_t { automatic, http1, http2 };

struct UpstreamSettings {
  std::string name;  // key of the map; an anonymous one (`to: URL`) has its URLs joined by ','
  BalanceSettings balance;
  std::vector<ServerSettings> servers;
  Protocol protocol = Protocol::automatic;
  UpstreamTimeouts timeouts;
  KeepaliveSettings keepalive;
  UpstreamLimits limits;
  RetrySettings retry;
  std::optional<HealthSettings> health_check;
  tls::UpstreamTls tls;
  ProxyProtocol proxy_protocol = ProxyProtocol::none;
  HostHeaderSettings host_header;
  bool operator==(const UpstreamSettings&) const = default;
};

}  // namespace revproxyd::upstream

#pragma once
// TLS as the configuration says it, on both sides.

#include <cstdint>
#include <string>
#include <vector>

#include "revproxyd/config/place.h"

namespace revproxyd::tls {

enum class MinVersion : std::uint8_t { tls12, tls13 };
enum class ClientAuthMode : std::uint8_t { none, optional, required };
/// What servers are told of a certificate that was verified (RFC 9440): nothing, the client's own,
/// or with it those up to the authority that is trusted.
enum class ClientForward : std::uint8_t { none, leaf, chain };
/// What a listener does with a name in SNI that no certificate covers: end the handshake
/// (unrecognized_name) or present the first certificate.
enum class UnknownSni : std::uint8_t { reject, first };

struct ClientAuth {
  ClientAuthMode mode = ClientAuthMode::none;
  std::string ca;  // PEM file; required unless mode is none
  ClientForward forward = ClientForward::none;
  config::Place ca_at = {};
  bool operator==(const ClientAuth&) const = default;
};

/// `listeners[].tls`. With `internal` a self-signed certificate, made at start, serves any name.
struct ListenerTls {
  bool internal = false;
  MinVersion min_version = MinVersion::tls12;
  ClientAuth client_auth;
  UnknownSni unknown_sni = UnknownSni::reject;
  config::Place at = {};
  bool operator==(const ListenerTls&) const = default;
};

/// An entry of `certificates`.
struct Certificate {
  std::vector<std::string> hosts;   // exact names or *.name; lower case
  std::string cert;                 // PEM chain, leaf first
  std::string key;                  // PEM private key
  std::vector<std::string> hidden;  // of hosts, those that came from ${...}: never to be shown
  config::Place cert_at = {};
  config::Place key_at = {};
  bool operator==(const Certificate&) const = default;
};

/// `upstreams.NAME.tls`, for servers with an https URL.
struct UpstreamTls {
  std::string server_name;  // SNI and what to verify, or an address; empty = the host of the URL
  std::string ca;           // PEM file; empty = the system's store
  std::string cert;         // client certificate and its key, both or none
  std::string key;
  bool insecure_skip_verify = false;
  config::Place ca_at = {};
  config::Place cert_at = {};
  config::Place key_at = {};
  bool operator==(const UpstreamTls&) const = default;
};

}  // namespace revproxyd::tls

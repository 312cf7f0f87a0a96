#pragma once
// What connections of a listener, or to an upstream, have in common: built off the workers, then
// shared by all of them and never changed.

#include <memory>
#include <string>
#include <vector>

#include "revproxyd/tls/certificates.h"
#include "revproxyd/tls/settings.h"
#include "revproxyd/tls/ticket_keys.h"

namespace revproxyd::tls {

/// A context, or why there is none: "ca /etc/ca.pem: no such file or directory", and the place of
/// the file if it is one's, else of a listener's `tls`.
template <typename T>
struct Built {
  std::shared_ptr<const T> context;
  std::string error;
  config::Place place = {};
  explicit operator bool() const noexcept { return context != nullptr; }
};

/// The server's side of a listener. TLS 1.2 with ECDHE and AEAD, and 1.3; no renegotiation,
/// compression or 0-RTT.
///
/// Sessions are resumed by tickets only, nothing is kept here. A ticket is good where the client
/// certificates' policy and the certificates presented are those of the connection that got it, on
/// whatever listener; elsewhere a full handshake takes place.
class ServerContext : public std::enable_shared_from_this<ServerContext> {
 public:
  struct Options {
    ListenerTls settings;
    std::shared_ptr<const CertificateStore> certificates;  // unused with settings.internal
    std::vector<std::string>
        alpn;  // best first; a client that offers only others is refused (RFC 7301 section 3.2)
    bool alpn_required = false;  // a client that offers none at all is refused, too
    std::shared_ptr<TicketKeys> tickets;
    /// Clients' certificates are judged by the authorities that this one has read, and the file of
    /// client_auth.ca is left alone. May be null.
    std::shared_ptr<const ServerContext> authorities;
  };

  /// Never throws for a fault of the configuration.
  static Built<ServerContext> create(Options options);
  ~ServerContext();

  /// Clients whom one has let in the other would let in as well: the same settings, and the same
  /// authorities in the file of `client_auth.ca`.
  bool judges_like(const ServerContext& other) const noexcept;

  struct State;  // src/tls/server_context.h
  const State& state() const noexcept { return *state_; }

 private:
  explicit ServerContext(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

/// The client's side towards an upstream's servers. Verifies unless told not to. Sessions are kept
/// for each server and name; that store is the only thing that changes, behind a lock that
/// handshakes alone take.
class ClientContext : public std::enable_shared_from_this<ClientContext> {
 public:
  struct Options {
    UpstreamTls settings;
    std::vector<std::string> alpn;  // offered, best first
    bool alpn_required = false;     // a server that chooses none of them is refused
  };

  static Built<ClientContext> create(const Options& options);
  ~ClientContext();

  struct State;  // src/tls/client_context.h
  State& state() const noexcept { return *state_; }

 private:
  explicit ClientContext(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace revproxyd::tls

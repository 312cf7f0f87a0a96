#pragma once
// A connected socket, plain or under TLS, with time limits.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/certificates.h"
#include "tests/support/waiting.h"

using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;
using SSL_SESSION = struct ssl_session_st;

namespace revproxyd::testing {

/// Nothing happened in time, or the other side broke off.
struct TimedOut : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct Disconnected : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct TlsError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

using TlsSession = std::shared_ptr<SSL_SESSION>;

struct ClientTls {
  std::string sni;  // empty = none is sent
  std::vector<std::string> alpn;
  std::string ca;  // file; empty = the certificate is not verified
  const Certificate* certificate = nullptr;
  int max_version = 0;      // as OpenSSL numbers them, 0 = any
  std::string cipher_list;  // of TLS 1.2
  TlsSession session;       // to resume
};

struct ServerTls {
  Certificate certificate;
  std::string client_ca;          // file; not empty = a certificate of this authority is demanded
  std::string alpn = "http/1.1";  // what is chosen when it is offered; otherwise nothing is
};

/// Sends and receives within kPatience for each call. Owns the descriptor.
class Stream {
 public:
  explicit Stream(int fd);
  Stream(Stream&&) noexcept = default;
  Stream& operator=(Stream&&) noexcept = default;
  ~Stream() = default;

  /// Handshakes; both throw TlsError.
  void start_client_tls(const ClientTls& tls);
  void start_server_tls(SSL_CTX* context);

  /// All of it, or an exception.
  void send(std::string_view bytes);
  /// What the kernel takes at once; 0 when it takes none within `patience`.
  std::size_t send_some(std::string_view bytes, Milliseconds patience);
  /// At least one byte, "" at the end of the stream; throws TimedOut, or Disconnected after a
  /// reset.
  std::string receive(std::size_t limit = 65536);
  void set_patience(Milliseconds patience);
  /// True when bytes or the end can be read within `patience`.
  bool readable(Milliseconds patience);

  /// TLS 1.3: new keys for what is sent, and the other side is asked for some, which it has to
  /// answer (RFC 8446 section 4.6.3).
  void update_keys();

  void half_close();
  /// An end without ceremony: with TLS no close_notify either.
  void close();
  void reset();
  /// Makes the calls of other threads on this stream return.
  void interrupt() const noexcept;

  int fd() const noexcept;
  bool is_open() const noexcept { return state_ != nullptr; }
  std::uint16_t local_port() const;

  std::string tls_version() const;
  std::string alpn() const;
  std::string sni() const;
  bool resumed() const;
  TlsSession session() const;
  /// PEM of the peer's certificate, empty without one.
  std::string peer_certificate() const;

 private:
  struct State;
  struct Close {
    void operator()(State* state) const noexcept;
  };
  SSL* ssl() const noexcept;
  std::size_t write_once(std::string_view bytes);
  std::unique_ptr<State, Close> state_;
};

/// A context for servers; shared so that sessions can be resumed.
std::shared_ptr<SSL_CTX> server_context(const ServerTls& tls);

}  // namespace revproxyd::testing

#pragma once
// A byte stream to a peer, plain or TLS: calls that never wait, the readiness to wait on, and
// coroutines over both.

#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "revproxyd/base/bytes.h"
#include "revproxyd/base/result.h"
#include "revproxyd/base/task.h"
#include "revproxyd/net/address.h"
#include "revproxyd/net/readiness.h"

namespace revproxyd::net {

enum class IoStatus : std::uint8_t { done, want_read, want_write, end, failed };

/// Outcome of a call that does not wait. `bytes` with done; `error` with failed.
struct IoResult {
  IoStatus status = IoStatus::done;
  std::size_t bytes = 0;
  Error error{Code::none};

  /// What to wait for after want_read and want_write.
  Want want() const noexcept { return status == IoStatus::want_write ? Want::write : Want::read; }
  static IoResult moved(std::size_t bytes) noexcept {
    return {IoStatus::done, bytes, Error(Code::none)};
  }
  static IoResult wants(Want want) noexcept {
    return {want == Want::read ? IoStatus::want_read : IoStatus::want_write, 0, Error(Code::none)};
  }
  static IoResult ended() noexcept { return {IoStatus::end, 0, Error(Code::none)}; }
  static IoResult failure(Error error) noexcept { return {IoStatus::failed, 0, error}; }
};

/// A client's certificate as servers are told of it: values of Client-Cert and Client-Cert-Chain
/// (RFC 9440 section 2).
struct ClientCertFields {
  std::string leaf;
  std::string chain;  // empty: not to be told, or there is nothing above the leaf
};

/// What a TLS handshake settled; views live as long as the transport.
struct TlsInfo {
  std::string_view version;  // "TLSv1.3"
  std::string_view cipher;   // OpenSSL's name
  std::string server_name;   // SNI as sent, lower case; empty when none
  std::string alpn;          // empty when none
  Duration queued{0};        // what a handshake with a server waited behind others of its thread
  bool resumed = false;
  bool client_certificate = false;                    // one was presented and verified
  std::unique_ptr<const ClientCertFields> passed_on;  // null: servers are told of none
  /// True when the presented certificate covers `host` (lower case, no port). A self-made one
  /// covers any.
  virtual bool covers(std::string_view host) const noexcept = 0;
  TlsInfo() = default;
  TlsInfo(const TlsInfo&) = delete;
  TlsInfo& operator=(const TlsInfo&) = delete;
  virtual ~TlsInfo() = default;
};

class Pipe;

/// Owns the descriptor. Destroying it closes at once, without waiting and without close_notify.
class Transport {
 public:
  Transport() = default;
  virtual ~Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// Reads at most into.size() bytes. `end` is an orderly end (FIN, or close_notify under TLS; a
  /// TLS stream cut without it is a reset).
  virtual IoResult try_read(MutableBytes into) noexcept = 0;
  /// try_read() of input that nobody looks at, into memory that is overwritten. The last of the
  /// reading: under TLS the records are taken as they come and never opened.
  virtual IoResult try_discard(MutableBytes waste) noexcept { return try_read(waste); }
  /// Writes the pieces in order, as much as goes now; `done` may be short.
  virtual IoResult try_write(std::span<const iovec> pieces) noexcept = 0;
  /// try_read() and try_write() with a pipe in place of memory, for a plain socket. `most` bytes
  /// are taken at most; the pipe must be empty before a read.
  virtual bool splices() const noexcept { return false; }
  virtual IoResult try_read_into(Pipe& pipe, std::size_t most) noexcept;
  virtual IoResult try_write_from(Pipe& pipe) noexcept;
  /// Sends close_notify under TLS and half-closes; may want to be called again.
  virtual IoResult try_shutdown() noexcept = 0;
  /// Makes the destructor's close abortive (RST): for peers that must not take what was sent for
  /// whole.
  virtual void abort_on_close() noexcept = 0;
  /// Bytes are held in memory that no event will announce (TLS records).
  virtual bool pending() const noexcept = 0;
  /// The most that was taken from the socket and may still be read.
  virtual std::size_t most_held() const noexcept { return 0; }

  virtual Readiness& readiness() noexcept = 0;
  virtual int fd() const noexcept = 0;
  /// Null for plain text.
  virtual const TlsInfo* tls() const noexcept { return nullptr; }
};

/// Waits for input and reads what is there, at least one byte; 0 is the orderly end. Errors: the
/// deadline's or scope's code, reset, system.
Task<Result<std::size_t>> read_some(Transport& transport, MutableBytes into);
/// The same by try_discard().
Task<Result<std::size_t>> discard_some(Transport& transport);

/// Writes everything. `pieces` is used up. While waiting for the peer each step forward restarts
/// the write deadline of `stall` (none when zero).
Task<Result<void>> write_all(Transport& transport, std::span<iovec> pieces, Duration stall);

/// Orderly end of our side, waiting for the peer's window if need be.
Task<Result<void>> shutdown(Transport& transport);

/// The connection is gone and not only half-closed, as after a reset: nothing that is still to come
/// will come.
bool is_gone(const Transport& transport) noexcept;

/// Copies what has come and was not read, without taking it: `end` and `want_read` as try_read().
/// For a plain socket.
IoResult peek(const Transport& transport, MutableBytes into) noexcept;

/// The most that can be read without the peer sending more; nothing when the kernel does not say.
std::optional<std::size_t> most_unread(const Transport& transport) noexcept;

/// Bytes that were written and that the peer's kernel has not acknowledged: as long as they become
/// fewer the peer reads, whether or not there is room for more. Nothing when the kernel does not
/// say.
std::optional<std::size_t> unacknowledged(const Transport& transport) noexcept;

/// Those of them that are not even on their way, as when the peer has no room for them. Nothing
/// when the kernel does not say.
std::optional<std::size_t> unsent(const Transport& transport) noexcept;

/// From now on the kernel takes no more than it can soon send (limits::kUnsent), so that what is
/// written last does not wait behind megabytes. For a connection whose streams have priorities.
void keep_unsent_short(const Transport& transport) noexcept;

/// Drops the first `bytes` from `pieces`; the rest.
std::span<iovec> drop_front(std::span<iovec> pieces, std::size_t bytes) noexcept;

inline iovec piece_of(Bytes bytes) noexcept {
  return {const_cast<char*>(bytes.data()), bytes.size()};  // NOLINT: iovec is not const-correct
}

/// A plain TCP or UNIX stream over a connected, non-blocking socket, registered with the current
/// loop. Takes ownership of `fd`.
Result<std::unique_ptr<Transport>> make_socket_transport(int fd);

}  // namespace revproxyd::net

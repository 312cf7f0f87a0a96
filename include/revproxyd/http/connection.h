#pragma once
// A protocol session over a transport: the client's side yields streams, the origin's side opens
// them.

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "revproxyd/base/cancel.h"
#include "revproxyd/base/task.h"
#include "revproxyd/base/units.h"
#include "revproxyd/http/idle_list.h"
#include "revproxyd/http/stream.h"
#include "revproxyd/net/transport.h"

namespace revproxyd::http {

/// What a connection yields next: a stream, or the end, orderly (drained) or not (failed), or a
/// pause, in which it rests. A connection that fails has cancelled the scopes of its streams.
class Next {
 public:
  static Next of(std::unique_ptr<ServerStream> stream) noexcept {
    return Next(std::move(stream), Error(Code::none));
  }
  static Next drained() noexcept { return Next(nullptr, Error(Code::none)); }
  static Next failure(Error error) noexcept { return Next(nullptr, error); }
  static Next pause() noexcept {
    Next next = drained();
    next.rests_ = true;
    return next;
  }

  bool has_stream() const noexcept { return stream_ != nullptr; }
  bool failed() const noexcept { return error_.code() != Code::none; }
  bool rests() const noexcept { return rests_; }
  const Error& error() const noexcept { return error_; }
  std::unique_ptr<ServerStream> take() noexcept { return std::move(stream_); }

 private:
  Next(std::unique_ptr<ServerStream> stream, Error error) noexcept
      : stream_(std::move(stream)), error_(error) {}
  std::unique_ptr<ServerStream> stream_;
  Error error_;
  bool rests_ = false;
};

/// What is left of a connection that rests between two requests (HTTP/1): enough to go on with it.
struct Resting {
  std::unique_ptr<net::Transport> transport;  // its read deadline is the keep-alive time
  std::uint64_t served = 0;
};

/// Bounds of a client connection. Zero is none.
struct ServerConnectionSettings {
  std::size_t request_line = 8 * 1024;
  std::size_t header_bytes = 32 * 1024;
  std::size_t header_count = 100;
  std::uint64_t requests = 10000;
  Duration header{10000};
  Duration keepalive{60000};
  Duration write{30000};
  std::uint64_t min_rate = 0;  // of an answer, where no exchange says so
  /// What is spoken where ALPN has chosen nothing: HTTP/2 then by prior knowledge (RFC 9113 section
  /// 3.3).
  bool http1 = true;
  bool http2 = true;
  std::uint32_t streams = 100;        // requests at once, on multiplexed versions
  Rate resets{100, Duration(10000)};  // what the client may do wrong there before it is told to go
  std::uint64_t served = 0;           // requests before it rested; not 0: it speaks HTTP/1
  IdleList* idle = nullptr;           // where it may be asked to rest; outlives it
};

class ServerConnection {
 public:
  ServerConnection() noexcept = default;
  ServerConnection(const ServerConnection&) = delete;
  ServerConnection& operator=(const ServerConnection&) = delete;
  virtual ~ServerConnection() = default;

  /// The next exchange: on HTTP/1 after the previous stream is gone, on multiplexed versions
  /// whenever one opens.
  virtual Task<Next> next_stream() = 0;
  /// No exchange after those under way; an idle connection ends now. Streams in flight announce it
  /// to the client where they can.
  virtual void drain() noexcept = 0;
  /// As drain(), without haste: the client is told before the connection ends, so that no request
  /// is lost that it sends meanwhile. On HTTP/1 with the next answer.
  virtual void retire() noexcept = 0;
  /// After the last stream: flushes, says goodbye, and reads on while the client takes the last
  /// answer, and for a moment more, so that it is not lost to a reset.
  virtual Task<void> finish() = 0;
  /// After a pause: takes the connection apart; it is only to be destroyed then.
  virtual Resting rest() noexcept { return {}; }
  virtual net::Transport& transport() noexcept = 0;
};

/// The session over `transport` for the protocol that ALPN chose (empty: HTTP/1.1). `scope` is the
/// connection's and outlives it.
std::unique_ptr<ServerConnection> open_server_connection(std::unique_ptr<net::Transport> transport,
                                                         std::string_view alpn,
                                                         const ServerConnectionSettings& settings,
                                                         CancelScope& scope);

struct ClientConnectionSettings {
  std::size_t response_header_bytes = 64 * 1024;
  Duration write{60000};  // longest wait for the origin to take bytes; Code::idle_timeout
  bool http2 = false;     // spoken although ALPN has chosen nothing
};

class ClientConnection {
 public:
  /// Who keeps the connection; told when its state changes.
  class Owner {
   public:
    /// A stream has ended and was destroyed; the owner may keep or destroy the connection, but not
    /// inside a call of the connection's own.
    virtual void on_stream_closed(ClientConnection& connection) noexcept = 0;
    /// Input or the end came while idle: the connection is of no more use.
    virtual void on_idle_input(ClientConnection& connection) noexcept = 0;

    /// More streams may be opened than before, or it is known by now how many.
    virtual void on_more_room(ClientConnection&) noexcept {}

   protected:
    ~Owner() = default;
  };

  ClientConnection() noexcept = default;
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;
  virtual ~ClientConnection() = default;

  /// Streams that could be opened now; 0 for a connection that is used up.
  virtual std::size_t capacity() const noexcept = 0;
  /// Streams that are open.
  virtual std::size_t active() const noexcept = 0;
  /// Several streams may be open at once.
  virtual bool multiplexes() const noexcept { return false; }
  /// It is known how many streams the peer takes; before, capacity() is one.
  virtual bool settled() const noexcept { return true; }
  /// A stream for one exchange; needs capacity(). It must not outlive the connection.
  virtual std::unique_ptr<ClientStream> open_stream() = 0;
  /// Asks the kernel whether an idle connection is still open and silent.
  virtual bool alive() noexcept = 0;
  virtual net::Transport& transport() noexcept = 0;
};

/// As open_server_connection, towards an origin. `owner` outlives the connection.
std::unique_ptr<ClientConnection> open_client_connection(std::unique_ptr<net::Transport> transport,
                                                         std::string_view alpn,
                                                         const ClientConnectionSettings& settings,
                                                         ClientConnection::Owner& owner);

}  // namespace revproxyd::http

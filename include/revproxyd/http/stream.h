#pragma once
// One exchange on the wire, seen from the proxy: ServerStream towards the client, ClientStream
// towards an origin. The same two interfaces serve every version of HTTP.

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "revproxyd/base/arena.h"
#include "revproxyd/base/cancel.h"
#include "revproxyd/base/result.h"
#include "revproxyd/base/task.h"
#include "revproxyd/http/body.h"
#include "revproxyd/http/head.h"

namespace revproxyd::http {

struct Request {
  explicit Request(RequestHead request_head) noexcept : head(std::move(request_head)) {}
  RequestHead head;
  std::unique_ptr<Body>
      body;  // null when there is none; for an upgrade the bytes after the handshake
};

struct Response {
  explicit Response(ResponseHead response_head) noexcept : head(std::move(response_head)) {}
  ResponseHead head;
  std::unique_ptr<Body> body;  // null when there is none
  /// Set when the proxy answers in place of an origin: what the answer is about. Code::none for an
  /// origin's answer.
  Error error{Code::none};
};

/// What went over the wire for one stream.
struct StreamBytes {
  std::uint64_t in = 0;   // of the request, head included
  std::uint64_t out = 0;  // of the response, head included
  std::uint64_t body_in = 0;
  std::uint64_t body_out = 0;
};

class PipeSink;

class ServerStream : public slab::Allocated {
 public:
  ServerStream() noexcept = default;
  ServerStream(const ServerStream&) = delete;
  ServerStream& operator=(const ServerStream&) = delete;
  virtual ~ServerStream() = default;

  /// Memory for everything that lives as long as this exchange.
  virtual Arena& arena() noexcept = 0;
  /// Cancelled with Code::client_gone when the client leaves, and when the connection is cut.
  virtual CancelScope& scope() noexcept = 0;
  /// Why this request cannot be served as it came; its head then holds what could be read of it. It
  /// still wants an answer. May be set later for what is malformed behind the head.
  virtual const std::optional<Error>& refusal() const noexcept = 0;
  /// Once.
  virtual Request take_request() = 0;
  /// For the request's body; before its first read.
  virtual void set_body_rules(const BodyRules& rules) noexcept = 0;
  /// For the response: longest wait for the client to take bytes, and its least rate. Zero is none.
  virtual void set_write_rules(Duration stall, std::uint64_t min_rate) noexcept = 0;

  /// A 1xx response other than 101. Dropped for HTTP/1.0 clients. A 100 is sent at most once.
  virtual Task<Result<void>> send_interim(const ResponseHead& head) = 0;
  /// The final head (101 included); it is written with what follows. Once.
  virtual void stage_head(const ResponseHead& head) = 0;
  /// Body bytes; with a last piece the end of the message, head and all in one gathered write.
  /// Small pieces may wait for flush().
  virtual Task<Result<void>> send_body(Piece piece) = 0;
  /// Writes what is staged. Before any wait for the next piece.
  virtual Task<Result<void>> flush() = 0;
  /// Ends the message with a trailer section, after pieces of which none was last.
  virtual Task<Result<void>> finish(const Fields& trailers) = 0;
  /// For the rest of the body, where it may go past the process; else null. Flush before its use.
  virtual PipeSink* pipe_sink() noexcept { return nullptr; }
  /// Ends the exchange at once; what was not sent is lost and the client can tell.
  virtual void reset(Code reason) noexcept = 0;

  /// No exchange after this one, where the version knows such a thing: the client's next bytes are
  /// not trusted. Before stage_head().
  virtual void end_connection() noexcept {}

  virtual bool head_sent() const noexcept = 0;
  virtual StreamBytes bytes() const noexcept = 0;
};

class ClientStream : public slab::Allocated {
 public:
  ClientStream() noexcept = default;
  ClientStream(const ClientStream&) = delete;
  ClientStream& operator=(const ClientStream&) = delete;
  /// Before the exchange is complete this abandons it.
  virtual ~ClientStream() = default;

  /// `target` is what goes on the request line, `host` what goes into Host.
  virtual void stage_head(const RequestHead& head, std::string_view target,
                          std::string_view host) = 0;
  virtual Task<Result<void>> send_body(Piece piece) = 0;
  virtual Task<Result<void>> flush() = 0;
  virtual Task<Result<void>> finish(const Fields& trailers) = 0;
  virtual PipeSink* pipe_sink() noexcept { return nullptr; }
  /// Of a tunnel: nothing more is sent, what comes can still be read.
  virtual Task<Result<void>> half_close() { return Task<Result<void>>::settled(Result<void>()); }

  /// Longest wait for the origin to take bytes of the request, in place of the connection's
  /// (Code::idle_timeout). Zero is none.
  virtual void set_write_limit(Duration limit) noexcept = 0;
  /// While `held` that limit does not run: an origin whose answer nobody reads may have to wait
  /// with the request. Afterwards a wait that is under way has all of its time again.
  virtual void hold_write_limit(bool held) noexcept = 0;
  /// The request is complete: from now on the origin has `limit` for the first byte
  /// (Code::first_byte_timeout).
  virtual void await_response(Duration limit) noexcept = 0;
  /// The next head: interim ones (not 101) come one a call, then the final one. Its fields live in
  /// `arena`.
  virtual Task<Result<ResponseHead>> read_head(Arena& arena) = 0;
  /// The response's body after a final head that has one; lives as long as the stream. For 101 the
  /// bytes of the tunnel.
  virtual Body& body() noexcept = 0;
  virtual void set_body_rules(const BodyRules& rules) noexcept = 0;

  /// The connection had served before this stream, so that its end may have crossed our request on
  /// the way.
  virtual bool reused() const noexcept = 0;
  /// Some byte of a response has come.
  virtual bool response_started() const noexcept = 0;
  /// Some byte of the request may have left.
  virtual bool request_started() const noexcept = 0;
  /// The end of a connection that others had used came before the server looked at the request,
  /// which was no try of the server then.
  virtual bool overtaken() const noexcept { return reused() && !request_started(); }
  /// What failed is this stream alone: its server has reset it, and serves others on.
  virtual bool reset_alone() const noexcept { return false; }
  virtual void reset(Code reason) noexcept = 0;
};

}  // namespace revproxyd::http

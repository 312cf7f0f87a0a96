#pragma once
// What is true of one request while it is served.

#include <cstdint>
#include <memory>
#include <string_view>

#include "revproxyd/base/arena.h"
#include "revproxyd/base/cancel.h"
#include "revproxyd/base/slab.h"
#include "revproxyd/base/task.h"
#include "revproxyd/base/units.h"
#include "revproxyd/http/stream.h"
#include "revproxyd/pipeline/client.h"

namespace revproxyd::proxy {
class Snapshot;
struct Route;
}  // namespace revproxyd::proxy

namespace revproxyd::pipeline {

/// Something that runs beside the exchange and must have ended before its memory goes: an attempt's
/// request pump, say.
class Running : public slab::Allocated {
 public:
  virtual ~Running() = default;
  /// Nothing is left to wait for.
  virtual bool ended() const noexcept = 0;
  /// Ends it and waits until it has.
  virtual Task<void> finish() = 0;
};

/// What the log says of an exchange beyond its heads; views live in the arena or in the plan.
struct Notes {
  std::string_view referer;
  std::string_view user_agent;
  std::string_view upstream;  // its name
  std::string_view server;    // URL of the server that answered or was tried last
  std::uint32_t retries = 0;
  std::uint32_t connects =
      0;  // attempts on a new connection, on a kept one, and those that got none
  std::uint32_t reuses = 0;
  std::uint32_t connect_failures = 0;
  Code why = Code::none;  // of an answer that the proxy made
  TimePoint began;
  std::chrono::microseconds queue{0};    // waiting for a server to have room
  std::chrono::microseconds connect{0};  // until a connection was at hand
  std::chrono::microseconds ttfb{0};     // from the request's arrival to the final response head
  bool connected = false;
  bool answered = false;  // ttfb is set
};

/// Lives in the frame that serves it. Made from a ServerStream, or from nothing but a request and a
/// client for work of the proxy's own (cache fills, subrequests): then interim() drops what it is
/// given.
class Exchange {
 public:
  Exchange(http::ServerStream& stream, const Client& client, const proxy::Snapshot& snapshot);
  Exchange(http::Request request, Arena& arena, CancelScope& scope, const Client& client,
           const proxy::Snapshot& snapshot);
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  http::Request& request() noexcept { return request_; }
  http::RequestHead& head() noexcept { return request_.head; }
  /// Why the request cannot be served as it came, or Code::none.
  const Error& refusal() const noexcept { return refusal_; }
  void refuse(Error error) noexcept { refusal_ = error; }

  const Client& client() const noexcept { return client_; }
  /// What the configuration of this exchange makes of the client, whose connection may be older.
  const Standing& standing() const noexcept { return standing_; }
  void set_standing(const Standing& standing) noexcept { standing_ = standing; }
  /// The client's address through trusted proxies; the peer's until admit() has looked.
  const net::Address& address() const noexcept { return address_; }
  void set_address(const net::Address& address) noexcept {
    address_ = address;
    address_text_ = {};
  }
  /// As servers and logs are told of it, without port; "unix" for a UNIX socket. In the arena, made
  /// when it is first asked for.
  std::string_view address_text();
  /// The scheme that the client used, through trusted proxies.
  net::Scheme scheme() const noexcept { return scheme_; }
  void set_scheme(net::Scheme scheme) noexcept { scheme_ = scheme; }

  /// What logs and answers call the exchange: the X-Request-Id of a trusted peer, else 32 random
  /// hexadecimal digits. Settled when it is first asked for, so not before the standing is.
  std::string_view id();

  Arena& arena() noexcept { return arena_; }
  CancelScope& scope() noexcept { return scope_; }
  const proxy::Snapshot& snapshot() const noexcept { return snapshot_; }
  /// The stream towards the client; null for the proxy's own work.
  http::ServerStream* stream() noexcept { return stream_; }

  /// Passes a 1xx head on to the client.
  Task<Result<void>> interim(const http::ResponseHead& head);

  /// Keeps something running until finish(); takes the place of what ran before, which has ended.
  void keep(std::unique_ptr<Running> running) noexcept { running_ = std::move(running); }
  Running* running() noexcept { return running_.get(); }
  /// Ends what still runs for this exchange, before it is destroyed or tried anew. Settled where
  /// nothing has to be waited for.
  Task<void> finish();

  const proxy::Route* route = nullptr;
  /// What a filter made of the target, in the arena; empty: the client's own bytes are forwarded.
  std::string_view target;
  /// How long a tunnel or a stream of events may be silent.
  Duration tunnel_timeout{0};
  Notes notes;

 private:
  Task<void> finish_running();

  http::ServerStream* stream_;
  Arena& arena_;
  CancelScope& scope_;
  const Client& client_;
  Standing standing_;
  const proxy::Snapshot& snapshot_;
  http::Request request_;
  net::Address address_;
  std::string_view address_text_;
  net::Scheme scheme_;
  Error refusal_{Code::none};
  std::string_view id_;
  std::unique_ptr<Running> running_;
};

}  // namespace revproxyd::pipeline

#include "revproxyd/tls/handshake.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "revproxyd/base/ascii.h"
#include "revproxyd/base/deadline.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/base/ready_queue.h"
#include "revproxyd/net/discard.h"
#include "tls/client_context.h"
#include "tls/policy.h"
#include "tls/server_context.h"
#include "tls/tls_transport.h"

namespace revproxyd::tls {

namespace {

using net::IoStatus;

Error no_memory() noexcept { return Error(Code::system, "out of memory"); }

// The limit is on the whole, so the deadlines are not moved by progress.
void begin_limit(net::Readiness& readiness, Duration limit, Code on_timeout) noexcept {
  readiness.read_deadline(limit, on_timeout);
  readiness.write_deadline(limit, on_timeout);
}

// RFC 8446 section 5.1.
constexpr std::size_t kRecordHeader = 5;
constexpr std::size_t kMostRecord = kRecordHeader + 16 * 1024;
constexpr char kHandshakeRecord = 22;

// Also true of what never becomes a ClientHello, which is OpenSSL's to refuse.
bool has_first_record(const net::Transport& plain) noexcept {
  std::array<char, kRecordHeader> header{};
  const net::IoResult seen = net::peek(plain, MutableBytes(header));
  if (seen.status == IoStatus::want_read) return false;
  if (seen.status != IoStatus::done || header[0] != kHandshakeRecord) return true;
  if (seen.bytes < kRecordHeader) return false;
  const auto high = static_cast<std::uint8_t>(header[3]);
  const auto low = static_cast<std::uint8_t>(header[4]);
  const std::size_t size = kRecordHeader + (std::size_t{high} << 8 | low);
  return size > kMostRecord || net::most_unread(plain).value_or(size) >= size;
}

// A handshake takes tens of KiB from its first byte on. Until the first record of the client is
// whole it waits in the kernel, so that clients that never go on cost next to nothing.
Task<Result<void>> first_record(net::Transport& plain) {
  net::Readiness& readiness = plain.readiness();
  for (;;) {
    auto code = co_await readiness.wait(net::Want::read);
    if (code != Code::none) co_return Error(code, "handshake ended");
    if (readiness.hangup || has_first_record(plain)) co_return {};
    readiness.readable = false;
  }
}

/// How long a server may take. What its handshake waits behind others of this thread is not its
/// doing: the limit is for either alone.
class ServersTime {
 public:
  /// `queued` counts what was waited behind others.
  ServersTime(Duration limit, Code on_timeout, Duration& queued) noexcept
      : limit_(limit), on_timeout_(on_timeout), queued_(queued) {}

  /// Sets the limit on waiting for the server after another wait for our turn since `asked`.
  Code after_turn(net::Readiness& readiness, TimePoint asked) noexcept {
    queued_ += since(asked);
    if (limit_.count() <= 0) return Code::none;
    if (queued_ >= limit_) return Code::queue_timeout;
    begin_limit(readiness, std::max(limit_ + queued_ - since(begun_), Duration(1)), on_timeout_);
    return Code::none;
  }

 private:
  Duration limit_;
  Code on_timeout_;
  Duration& queued_;
  TimePoint begun_ = loop_now();
};

// For a server wait clients that are through their own handshake: it goes first. `server`: null for
// a client.
Task<Result<void>> run(TlsTransport& transport, ServersTime* server) {
  net::Readiness& readiness = transport.readiness();
  const auto rank = server != nullptr ? Costly::Rank::first : Costly::Rank::usual;
  for (;;) {
    const TimePoint asked = loop_now();
    auto turn = co_await Costly(rank);
    // Whom the crowd of others has kept waiting too long gets no work done in vain.
    if (turn == Code::none)
      turn = server != nullptr ? server->after_turn(readiness, asked) : readiness.read_expired();
    if (turn != Code::none) co_return Error(turn, "handshake ended");
    const net::IoResult step = transport.try_handshake();
    if (step.status == IoStatus::failed) co_return step.error;
    if (step.status == IoStatus::end)
      co_return Error(Code::end_of_stream, "the peer closed during the handshake");
    if (step.status == IoStatus::done) break;
    const net::Want want = step.status == IoStatus::want_write ? net::Want::write : net::Want::read;
    auto code = co_await readiness.wait(want);
    if (code != Code::none) co_return Error(code, "handshake ended");
  }
  readiness.read_deadline(Duration::zero(), Code::none);
  readiness.write_deadline(Duration::zero(), Code::none);
  co_return {};
}

// A close with unread input resets the connection, and a reset may overtake the alert that tells
// the client why.
Task<void> let_alert_arrive(net::Transport& plain) {
  ignore(plain.try_shutdown(), "the connection is given up either way");
  plain.readiness().read_deadline(limits::kLingerTime, Code::handshake_timeout);
  co_await net::discard(plain, limits::kLingerBytes);
}

// Sessions are kept apart by server as well as by name: what one server sealed another cannot open.
std::string session_key(const net::Transport& plain, const std::string& name) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  std::string key = name + '|';
  if (::getpeername(plain.fd(), reinterpret_cast<sockaddr*>(&peer), &size) ==
      0) {  // NOLINT: the socket interface
    key += net::Address(reinterpret_cast<const sockaddr*>(&peer), size).text();  // NOLINT
  }
  return key;
}

// OpenSSL announces new sessions, but not that a TLS 1.2 server has renewed the ticket of a resumed
// one.
void keep_renewed(ClientContext::State& state, TlsTransport& transport) {
  SSL* const ssl = transport.ssl();
  if (SSL_session_reused(ssl) != 1 || SSL_version(ssl) != TLS1_2_VERSION) return;
  state.sessions.put(transport.negotiation().session_key, SessionPtr(SSL_get1_session(ssl)));
}

bool offer_only(SSL* ssl, std::string_view protocol) {
  const auto wire = alpn_wire({std::string(protocol)});
  if (!wire) return false;
  const auto* bytes =
      reinterpret_cast<const unsigned char*>(wire->data());  // NOLINT: text as bytes
  return SSL_set_alpn_protos(ssl, bytes, static_cast<unsigned int>(wire->size())) == 0;
}

}  // namespace

Task<Result<std::unique_ptr<net::Transport>>> accept(std::unique_ptr<net::Transport> plain,
                                                     const ServerContext& context, Duration limit,
                                                     const std::atomic<bool>* refused) {
  begin_limit(plain->readiness(), limit, Code::handshake_timeout);
  auto begun = co_await first_record(*plain);
  if (!begun) co_return begun.error();
  if (refused != nullptr && refused->load(std::memory_order_relaxed))
    co_return Error(Code::memory_limit, "no memory for a handshake");
  SslPtr ssl(SSL_new(context.state().context.get()));
  if (!ssl) co_return no_memory();
  SSL_set_accept_state(ssl.get());
  auto transport =
      std::make_unique<TlsTransport>(std::move(ssl), std::move(plain), context.shared_from_this());
  if (!transport->attach()) co_return no_memory();
  auto done = co_await run(*transport, nullptr);
  if (!done) {
    if (transport->alerted()) co_await let_alert_arrive(transport->plain());
    co_return done.error();
  }
  co_return std::unique_ptr<net::Transport>(std::move(transport));
}

Task<Result<std::unique_ptr<net::Transport>>> connect(std::unique_ptr<net::Transport> plain,
                                                      const ClientContext& context,
                                                      std::string_view server_name, Duration limit,
                                                      Code on_timeout, std::string_view protocol) {
  ClientContext::State& state = context.state();
  SslPtr ssl(SSL_new(state.context.get()));
  if (!ssl) co_return no_memory();
  std::string name = ascii::lower(server_name);
  if (name.ends_with('.')) name.pop_back();
  if (const char* fault = expect_name(ssl.get(), name, state.verify); fault != nullptr)
    co_return Error(Code::tls_failed, fault);
  std::string key = session_key(*plain, name);
  if (const SessionPtr session = state.sessions.take(key); session)
    SSL_set_session(ssl.get(), session.get());
  if (!protocol.empty() && !offer_only(ssl.get(), protocol)) co_return no_memory();
  SSL_set_connect_state(ssl.get());
  auto transport =
      std::make_unique<TlsTransport>(std::move(ssl), std::move(plain), context.shared_from_this());
  if (!transport->attach()) co_return no_memory();
  transport->negotiation().server_name = std::move(name);
  transport->negotiation().session_key = std::move(key);
  transport->negotiation().named = true;
  ServersTime time(limit, on_timeout, transport->negotiation().queued);
  auto done = co_await run(*transport, &time);
  if (!done) co_return done.error();
  // OpenSSL itself refuses a choice that was not offered.
  if (state.alpn_required && transport->tls()->alpn.empty())
    co_return Error(Code::tls_failed, "the server chose none of the protocols offered");
  keep_renewed(state, *transport);
  co_return std::unique_ptr<net::Transport>(std::move(transport));
}

}  // namespace revproxyd::tls

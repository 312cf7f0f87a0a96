#include "app/clients.h"

#include <algorithm>
#include <utility>

#include "revproxyd/base/limits.h"
#include "revproxyd/base/log.h"
#include "revproxyd/base/ready_queue.h"
#include "revproxyd/base/slab.h"
#include "revproxyd/net/discard.h"
#include "revproxyd/net/proxy_protocol.h"
#include "revproxyd/tls/handshake.h"

namespace revproxyd::app {

namespace {

// Refused connections that may linger at once, so that their answer arrives; more are just closed.
constexpr std::size_t kLingering = 64;
constexpr Duration kRefusalTime{500};
constexpr std::size_t kRefusalBytes = 64 * 1024;

constexpr std::string_view kBusy =
    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Type: "
    "text/plain\r\n"
    "Proxy-Status: revproxyd; error=connection_limit_reached\r\nContent-Length: 24\r\n\r\n503 "
    "Service Unavailable\n";

// Zero is no limit of the operator's; memory has one all the same.
std::size_t limit_or(std::uint64_t configured, std::size_t bound) noexcept {
  return configured == 0 ? bound : static_cast<std::size_t>(configured);
}

http::ServerConnectionSettings bounds_of(const proxy::ListenerSettings& settings) noexcept {
  http::ServerConnectionSettings bounds;
  bounds.request_line = limit_or(settings.limits.request_line, limits::kMostHeadBytes);
  bounds.header_bytes = limit_or(settings.limits.header_bytes, limits::kMostHeadBytes);
  bounds.header_count = limit_or(settings.limits.header_count, limits::kMostFields);
  bounds.requests = settings.limits.requests_per_connection;
  bounds.header = settings.timeouts.header;
  bounds.keepalive = settings.timeouts.keepalive;
  bounds.write = settings.timeouts.write;
  bounds.min_rate = settings.limits.min_rate;
  bounds.http1 = settings.http1;
  bounds.streams = settings.limits.h2_streams;
  bounds.resets = settings.limits.h2_resets;
  return bounds;
}

}  // namespace

/// Counted from its admission to its end. While nobody serves it, it holds its transport, which
/// tells it of the next byte, of the end, and of the keep-alive time.
class Clients::Client final : public slab::Allocated, private net::Watcher {
 public:
  Client(Clients& owner, proxy::Connection who, std::uint64_t per_client)
      : connection(std::move(who)), owner_(owner), per_client_(per_client) {
    owner_.counts_.connections_active.add();
  }
  ~Client() {
    owner_.counts_.connections_active.subtract();
    owner_.gate_.leave(connection.peer, per_client_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void watch() noexcept {
    net::Readiness& readiness = rest.transport->readiness();
    readiness.watch(this);
    // What has come since it was asked to rest.
    if (readiness.readable || readiness.hangup || rest.transport->pending())
      on_input();
    else if (readiness.read_expired() != Code::none)
      on_expired();
  }
  void ignore() noexcept { rest.transport->readiness().watch(nullptr); }

  proxy::Connection connection;
  http::Resting rest;
  Client* previous = nullptr;  // among those that rest
  Client* next = nullptr;

 private:
  void on_input() noexcept override { owner_.serving_.spawn(owner_.go_on(owner_.pick_up(*this))); }
  void on_expired() noexcept override {
    owner_.serving_.spawn(owner_.dismiss(owner_.pick_up(*this)));
  }

  Clients& owner_;
  std::uint64_t per_client_;
};

Clients::Clients(Gate& gate, proxy::Runtime& runtime, metrics::WorkerCounts& counts,
                 Outdated outdated)
    : gate_(gate), runtime_(runtime), counts_(counts), outdated_(std::move(outdated)) {}

Clients::~Clients() = default;

void Clients::start(net::Accepted accepted, std::shared_ptr<const proxy::ListenerSettings> settings,
                    std::shared_ptr<const tls::ServerContext> tls) {
  counts_.connections_accepted.add();
  const proxy::Limits& limits = settings->limits;
  const bool behind_proxy = net::contains(settings->proxy_protocol_from, accepted.peer);
  // Behind a PROXY header the peer stands for many clients.
  const std::uint64_t per_client = behind_proxy ? 0 : limits.connections_per_client;
  // A handshake takes far more memory than the 503 that would follow it.
  const bool shed = tls != nullptr && runtime_.shedding->load(std::memory_order_relaxed);
  const Code refused =
      shed ? Code::memory_limit : gate_.enter(accepted.peer, limits.connections, per_client);
  if (refused != Code::none) {
    serving_.spawn(turn_away(std::move(accepted), refused, tls == nullptr && settings->http1));
    return;
  }
  proxy::Connection who;
  who.peer = accepted.peer;
  who.local = net::local_address(accepted.socket.get());
  who.scheme = tls == nullptr ? net::Scheme::http : net::Scheme::https;
  who.listener = settings->name;
  who.settings = std::move(settings);
  serving_.spawn(welcome(std::make_unique<Client>(*this, std::move(who), per_client),
                         std::move(accepted.socket), std::move(tls)));
}

Task<void> Clients::welcome(ClientPtr client, net::Descriptor socket,
                            std::shared_ptr<const tls::ServerContext> tls) {
  auto preparing = prepare(std::move(socket), client->connection, tls.get());
  auto transport = co_await std::move(preparing);
  if (transport == nullptr) co_return;
  client->connection.tls = transport->tls();
  client->rest.transport = std::move(transport);
  serving_.spawn(serve(std::move(client)));
}

// Its bytes were told of in a place where nothing may be destroyed.
Task<void> Clients::go_on(ClientPtr client) {
  co_await Behind{};
  serving_.spawn(serve(std::move(client)));
}

Task<void> Clients::serve(ClientPtr client) {
  CancelScope* parent = co_await current_scope();
  CancelScope scope(parent);
  const auto connection = open(std::move(client->rest), client->connection, scope);
  const bool rests = co_await proxy::serve_connection(*connection, client->connection, runtime_);
  if (rests) lay_down(std::move(client), connection->rest());
}

Task<void> Clients::dismiss(ClientPtr client) {
  co_await Behind{};
  client->rest.transport->try_shutdown();
}

/// Something of the client is awaited that is no request.
class Clients::Preparing {
 public:
  Preparing(Clients& owner, net::Readiness& readiness) : owner_(owner), readiness_(&readiness) {
    owner_.preparing_.insert(readiness_);
  }
  ~Preparing() { owner_.preparing_.erase(readiness_); }
  Preparing(const Preparing&) = delete;
  Preparing& operator=(const Preparing&) = delete;

 private:
  Clients& owner_;
  net::Readiness* readiness_;
};

Task<std::unique_ptr<net::Transport>> Clients::prepare(net::Descriptor socket,
                                                       proxy::Connection& client,
                                                       const tls::ServerContext* tls) {
  const proxy::ListenerSettings& settings = *client.settings;
  auto made = net::make_socket_transport(socket.release());
  if (!made) co_return nullptr;
  auto transport = std::move(*made);
  const bool announced = net::contains(settings.proxy_protocol_from, client.peer);
  if (!announced && tls == nullptr) co_return std::move(transport);
  const Preparing preparing(*this, transport->readiness());
  if (announced) {
    auto read = co_await read_proxy_header(*transport, client);
    if (!read) co_return nullptr;
  }
  if (tls == nullptr) co_return std::move(transport);
  auto secured =
      co_await tls::accept(std::move(transport), *tls, patience(settings), runtime_.shedding);
  if (!secured) {
    counts_.connections_refused[static_cast<std::size_t>(secured.error().code())].add();
    log::Line(log::Level::debug) << "listener " << settings.name << ": " << client.peer.host()
                                 << ": " << secured.error();
    co_return nullptr;
  }
  co_return std::move(*secured);
}

Task<Result<void>> Clients::read_proxy_header(net::Transport& transport,
                                              proxy::Connection& client) {
  transport.readiness().read_deadline(patience(*client.settings), Code::handshake_timeout);
  auto header = co_await net::read_proxy_header(transport);
  transport.readiness().read_deadline(Duration::zero(), Code::none);
  if (!header) {
    counts_.connections_refused[static_cast<std::size_t>(header.error().code())].add();
    log::Line(log::Level::warn, "proxy_header_invalid")
        << "listener " << client.settings->name << ": " << client.peer.host()
        << ": PROXY header required: " << header.error();
    co_return header.error();
  }
  if (header->relayed) {
    client.peer = header->source;
    client.local = header->destination;
  }
  co_return {};
}

std::unique_ptr<http::ServerConnection> Clients::open(http::Resting rest,
                                                      const proxy::Connection& client,
                                                      CancelScope& scope) {
  const proxy::ListenerSettings& settings = *client.settings;
  http::ServerConnectionSettings bounds = bounds_of(settings);
  bounds.http2 = settings.http2 && client.tls == nullptr;  // over TLS only by ALPN
  bounds.served = rest.served;
  bounds.idle = &idle_;
  const std::string_view alpn = client.tls == nullptr ? std::string_view() : client.tls->alpn;
  auto connection = http::open_server_connection(std::move(rest.transport), alpn, bounds, scope);
  // A reload may have come while it waited in the kernel, in its handshake or at rest.
  if (outdated_(settings)) connection->retire();
  return connection;
}

// Over a limit: plain HTTP/1.1 clients are told so, others just find the connection closed, for a
// handshake is what an attacker would like to cause.
Task<void> Clients::turn_away(net::Accepted accepted, Code why, bool plain) {
  counts_.connections_refused[static_cast<std::size_t>(why)].add();
  log::Line(log::Level::warn, name(why))
      << "connection from " << accepted.peer.host() << " refused: " << name(why);
  if (!plain || turned_away_ >= kLingering) co_return;
  auto transport = net::make_socket_transport(accepted.socket.release());
  if (!transport) co_return;
  ++turned_away_;
  (*transport)->readiness().read_deadline(kRefusalTime, Code::cancelled);
  const iovec answer = net::piece_of(kBusy);
  (*transport)->try_write({&answer, 1});
  (*transport)->try_shutdown();
  co_await net::discard(**transport, kRefusalBytes);
  --turned_away_;
}

void Clients::lay_down(ClientPtr client, http::Resting rest) {
  client->rest = std::move(rest);
  if (cancelled() || runtime_.draining) {
    client->rest.transport->try_shutdown();
    return;
  }
  Client& kept = *client.release();
  kept.next = first_;
  if (first_ != nullptr) first_->previous = &kept;
  first_ = &kept;
  counts_.connections_resting.add();
  kept.watch();
}

Clients::ClientPtr Clients::pick_up(Client& client) noexcept {
  (client.previous != nullptr ? client.previous->next : first_) = client.next;
  if (client.next != nullptr) client.next->previous = client.previous;
  client.previous = client.next = nullptr;
  counts_.connections_resting.subtract();
  client.ignore();
  return ClientPtr(&client);
}

void Clients::hurry() noexcept {
  end_resting();
  for (net::Readiness* readiness : preparing_) {
    readiness->read_deadline(limits::kDrainTime, Code::handshake_timeout);
    readiness->write_deadline(limits::kDrainTime, Code::handshake_timeout);
  }
}

Duration Clients::patience(const proxy::ListenerSettings& settings) const noexcept {
  const Duration whole = settings.timeouts.handshake;
  return runtime_.draining ? std::min<Duration>(whole, limits::kDrainTime) : whole;
}

void Clients::end_resting() noexcept {
  while (first_ != nullptr) pick_up(*first_)->rest.transport->try_shutdown();
}

void Clients::cancel(Code reason) noexcept {
  end_resting();
  serving_.cancel(reason);
}

}  // namespace revproxyd::app

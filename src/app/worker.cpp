#include "app/worker.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <latch>

#include "revproxyd/base/limits.h"
#include "revproxyd/base/log.h"
#include "revproxyd/base/slab.h"
#include "revproxyd/net/proxy_protocol.h"
#include "revproxyd/tls/handshake.h"

namespace revproxyd::app {

namespace {

constexpr Duration kLogFlush{200};
// Refused connections that may linger at once, so that their answer arrives; more are just closed.
constexpr std::size_t kLingering = 64;
constexpr Duration kRefusalTime{500};
// Taken from the queue of a listener that is being closed.
constexpr std::size_t kRest = 4096;

constexpr std::string_view kBusy =
    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Type: "
    "text/plain\r\n"
    "Proxy-Status: revproxyd; error=connection_limit_reached\r\nContent-Length: 24\r\n\r\n503 "
    "Service Unavailable\n";

// Zero is no limit of the operator's; memory has one all the same.
std::size_t limit_or(std::uint64_t configured, std::size_t bound) noexcept {
  return configured == 0 ? bound : static_cast<std::size_t>(configured);
}

}  // namespace

struct Worker::Active {
  std::shared_ptr<const proxy::ListenerSettings> settings;
  std::shared_ptr<const tls::ServerContext> tls;
  std::vector<std::unique_ptr<net::Listener>> listeners;  // one, or what was inherited
  TaskGroup accepting;
};

Worker::Worker(std::size_t index, ProcessState& process, std::uint64_t seed)
    : name_("worker-" + std::to_string(index)), process_(process), seed_(seed) {
  std::latch started(1);
  thread_ = std::thread([this, &started] {
    loop_ = std::make_unique<net::Loop>();
    started.count_down();
    run();
  });
  started.wait();
}

Worker::~Worker() { thread_.join(); }

void Worker::run() {
  // Signals are the supervisor's.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  pthread_setname_np(pthread_self(), name_.c_str());
  loop_->measure(loop_counts_);
  clients_ = std::make_unique<TaskGroup>();
  housekeeping_ = std::make_unique<TaskGroup>();
  runtime_.counts = &counts_;
  runtime_.shedding = &process_.shedding;
  runtime_.connections = &connections_list_;
  log_tick_ = std::make_unique<MemberTimer<Worker>>(*this, &Worker::flush_log);
  loop_->run();
  while (clients_->size() + housekeeping_->size() != 0 || !listeners_.empty() ||
         !closing_.empty()) {
    stop_accepting();
    clients_->cancel(Code::shutdown);
    housekeeping_->cancel(Code::shutdown);
    sweep_closed();
    loop_->run_for(Duration(10));
  }
  log_batch_.reset();
  log_tick_.reset();
  runtime_.snapshot.reset();
  loop_->run_for(Duration(0));
  loop_.reset();
  slab::trim();
}

void Worker::install(Installation installation, std::function<void()> done) {
  auto shared = std::make_shared<Installation>(std::move(installation));
  loop_->post([this, shared, done = std::move(done)] {
    apply(std::move(*shared));
    done();
  });
}

void Worker::apply(Installation installation) {
  if (installation.access_log != log_writer_) {
    log_batch_.reset();
    log_writer_ = installation.access_log;
    if (log_writer_ != nullptr) log_batch_ = std::make_unique<LogBatch>(*log_writer_);
    runtime_.access_log = log_batch_.get();
  }
  if (log_batch_ != nullptr && !log_tick_->armed()) log_tick_->arm(kLogFlush);
  const proxy::SnapshotPtr previous = runtime_.snapshot;
  runtime_.snapshot =
      std::make_shared<const proxy::Snapshot>(installation.plan, previous.get(), seed_);
  std::map<std::string, std::unique_ptr<Active>> old;
  old.swap(listeners_);
  for (const ListenerInstall& wanted : installation.listeners) {
    if (auto known = old.find(wanted.identity); known != old.end() && wanted.sockets.empty()) {
      known->second->settings = wanted.settings;
      known->second->tls = wanted.tls;
      listeners_.insert(old.extract(known));
    } else {
      open(wanted);
    }
  }
  for (auto& [address, active] : old) {
    close_listener(*active);
    closing_.push_back(std::move(active));
  }
  sweep_closed();
  retire_outdated();
  proxy::end_removed_routes(runtime_, installation.streams);
}

bool Worker::outdated(const proxy::ListenerSettings& accepted) const {
  const auto now = listeners_.find(listener_identity(accepted));
  return now == listeners_.end() || *now->second->settings != accepted;
}

// Many connections share few settings, which are long to compare.
void Worker::retire_outdated() {
  std::map<const proxy::ListenerSettings*, bool> known;
  connections_list_.retire_if([&](const proxy::ListenerSettings& accepted) {
    const auto [entry, fresh] = known.try_emplace(&accepted);
    if (fresh) entry->second = outdated(accepted);
    return entry->second;
  });
}

void Worker::open(const ListenerInstall& wanted) {
  // It could not be opened here when it was new; a restart, or taking it out and in again, tries
  // anew.
  if (wanted.sockets.empty()) return;
  auto active = std::make_unique<Active>();
  active->settings = wanted.settings;
  active->tls = wanted.tls;
  for (const auto& socket : wanted.sockets) {
    auto listener = net::Listener::open(std::move(*socket));
    if (listener) {
      active->listeners.push_back(std::move(*listener));
      active->accepting.spawn(accept_loop(*active, *active->listeners.back()));
    } else {
      log::Line(log::Level::error)
          << "listener " << wanted.settings->name << ": " << listener.error();
    }
  }
  if (!active->listeners.empty()) listeners_[wanted.identity] = std::move(active);
}

void Worker::close_listener(Active& active) { active.accepting.cancel(Code::shutdown); }

// A listener goes when its loop has ended; what the kernel had queued for it is served first,
// because closing would reset it.
void Worker::sweep_closed() {
  std::erase_if(closing_, [this](const std::unique_ptr<Active>& active) {
    if (active->accepting.size() != 0) return false;
    accept_rest(*active);
    return true;
  });
}

void Worker::accept_rest(Active& active) {
  if (clients_->scope().cancelled()) return;
  for (const auto& listener : active.listeners) {
    for (auto& accepted : listener->take_pending(kRest)) start_client(std::move(accepted), active);
  }
}

Task<void> Worker::accept_loop(Active& active, net::Listener& listener) {
  for (std::size_t taken = 0;; ++taken) {
    // Those who are here already are served between the new ones; accept() tells of an end.
    if (taken % limits::kTurnAccepts == 0) co_await NextTurn();
    auto accepted = co_await listener.accept();
    if (!accepted) {
      if (!active.accepting.scope().cancelled()) {
        log::Line(log::Level::error)
            << "listener " << active.settings->name << ": " << accepted.error();
      }
      break;
    }
    start_client(std::move(*accepted), active);
  }
  loop_->post([this] { sweep_closed(); });
}

void Worker::start_client(net::Accepted accepted, const Active& active) {
  counts_.connections_accepted.add();
  clients_->spawn(serve_client(std::move(accepted), active.settings, active.tls));
}

Task<void> Worker::serve_client(net::Accepted accepted,
                                std::shared_ptr<const proxy::ListenerSettings> settings,
                                std::shared_ptr<const tls::ServerContext> tls) {
  const proxy::Limits& limits = settings->limits;
  const bool behind_proxy = net::contains(settings->proxy_protocol_from, accepted.peer);
  // Behind a PROXY header the peer stands for many clients.
  const std::uint64_t per_client = behind_proxy ? 0 : limits.connections_per_client;
  const Code refused = process_.gate.enter(accepted.peer, limits.connections, per_client);
  if (refused != Code::none) {
    co_await turn_away(std::move(accepted), refused, tls == nullptr && settings->http1);
    co_return;
  }
  counts_.connections_active.add();
  proxy::Connection client;
  client.peer = accepted.peer;
  client.local = net::local_address(accepted.socket.get());
  client.scheme = tls == nullptr ? net::Scheme::http : net::Scheme::https;
  client.listener = settings->name;
  client.settings = settings;
  {
    CancelScope* parent = co_await current_scope();
    CancelScope scope(parent);
    net::Descriptor socket = std::move(accepted.socket);
    auto opening = open_connection(std::move(socket), client, tls.get(), scope);
    auto connection = co_await std::move(opening);
    if (connection != nullptr) co_await proxy::serve_connection(*connection, client, runtime_);
  }
  counts_.connections_active.subtract();
  process_.gate.leave(accepted.peer, per_client);
}

// Nothing of this stays while the connection is served: idle ones are many.
Task<std::unique_ptr<http::ServerConnection>> Worker::open_connection(net::Descriptor socket,
                                                                      proxy::Connection& client,
                                                                      const tls::ServerContext* tls,
                                                                      CancelScope& scope) {
  const proxy::ListenerSettings& settings = *client.settings;
  auto made = net::make_socket_transport(socket.release());
  if (!made) co_return nullptr;
  auto transport = std::move(*made);
  if (net::contains(settings.proxy_protocol_from, client.peer)) {
    auto read = co_await read_proxy_header(*transport, client);
    if (!read) co_return nullptr;
  }
  client.trusted = net::contains(runtime_.snapshot->plan().settings().trusted_proxies, client.peer);
  if (tls != nullptr) {
    auto plain = std::move(transport);
    auto secured = co_await tls::accept(std::move(plain), *tls, settings.timeouts.handshake);
    if (!secured) {
      counts_.connections_refused[static_cast<std::size_t>(secured.error().code())].add();
      log::Line(log::Level::debug)
          << "listener " << settings.name << ": " << client.peer.host() << ": " << secured.error();
      co_return nullptr;
    }
    transport = std::move(*secured);
  }
  client.tls = transport->tls();
  http::ServerConnectionSettings bounds;
  bounds.request_line = limit_or(settings.limits.request_line, limits::kMostHeadBytes);
  bounds.header_bytes = limit_or(settings.limits.header_bytes, limits::kMostHeadBytes);
  bounds.header_count = limit_or(settings.limits.header_count, limits::kMostFields);
  bounds.requests = settings.limits.requests_per_connection;
  bounds.header = settings.timeouts.header;
  bounds.keepalive = settings.timeouts.keepalive;
  bounds.write = settings.timeouts.write;
  bounds.http1 = settings.http1;
  bounds.http2 = settings.http2 && client.tls == nullptr;  // over TLS only by ALPN
  bounds.streams = settings.limits.h2_streams;
  bounds.resets = settings.limits.h2_resets;
  const std::string alpn = client.tls == nullptr ? std::string() : client.tls->alpn;
  auto connection = http::open_server_connection(std::move(transport), alpn, bounds, scope);
  // A reload may have come while it waited in the kernel or in its handshake.
  if (outdated(settings)) connection->retire();
  co_return std::move(connection);
}

Task<Result<void>> Worker::read_proxy_header(net::Transport& transport, proxy::Connection& client) {
  transport.readiness().read_deadline(client.settings->timeouts.handshake, Code::handshake_timeout);
  auto header = co_await net::read_proxy_header(transport);
  transport.readiness().read_deadline(Duration::zero(), Code::none);
  if (!header) {
    counts_.connections_refused[static_cast<std::size_t>(Code::proxy_header_invalid)].add();
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

// Over a limit: plain HTTP/1.1 clients are told so, others just find the connection closed, for a
// handshake is what an attacker would like to cause.
Task<void> Worker::turn_away(net::Accepted accepted, Code why, bool plain) {
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
  std::array<char, 1024> waste;
  for (int reads = 0; reads < 64; ++reads) {
    auto got = co_await net::read_some(**transport, waste);
    if (!got || *got == 0) break;
  }
  --turned_away_;
}

void Worker::drain(std::function<void()> done) {
  loop_->post([this, done = std::move(done)] {
    stop_accepting();
    begin_haste();
    sweep_closed();
    housekeeping_->spawn(wait_drained(done));
  });
}

// Of a listener that is gone every connection is outdated.
void Worker::hand_over(std::function<void()> done) {
  loop_->post([this, done = std::move(done)] {
    stop_accepting();
    retire_outdated();
    sweep_closed();
    housekeeping_->spawn(wait_drained(done));
  });
}

void Worker::hurry() {
  loop_->post([this] { begin_haste(); });
}

void Worker::stop_accepting() {
  for (auto& [address, active] : listeners_) {
    close_listener(*active);
    closing_.push_back(std::move(active));
  }
  listeners_.clear();
}

void Worker::begin_haste() {
  runtime_.draining = true;
  connections_list_.drain_all();
}

Task<void> Worker::wait_drained(std::function<void()> done) {
  while (clients_->size() != 0 || !closing_.empty()) {
    auto slept = co_await Sleep(Duration(20));
    if (slept != Code::none) break;
  }
  flush_log();
  done();
}

void Worker::beat(TimePoint now) {
  loop_->post([this, now] {
    const auto lag = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - now);
    const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(lag.count(), 0));
    loop_counts_.lag_us.set(us);
    if (us > loop_counts_.longest_lag_us.value()) loop_counts_.longest_lag_us.set(us);
    beats_.add();
  });
}

void Worker::cut() {
  loop_->post([this] { clients_->cancel(Code::drain_timeout); });
}

void Worker::stop() { loop_->stop(); }

void Worker::flush_log() {
  if (log_batch_ == nullptr) return;
  log_batch_->flush();
  log_tick_->arm(kLogFlush);
}

}  // namespace revproxyd::app

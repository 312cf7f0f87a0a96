#pragma once
// The clients of a worker: admitted, served, and between their requests at rest.

#include <cstddef>
#include <functional>
#include <memory>
#include <unordered_set>

#include "app/gate.h"
#include "revproxyd/base/metrics.h"
#include "revproxyd/base/task_group.h"
#include "revproxyd/http/idle_list.h"
#include "revproxyd/net/descriptor.h"
#include "revproxyd/net/listener.h"
#include "revproxyd/net/readiness.h"
#include "revproxyd/proxy/serve.h"
#include "revproxyd/tls/context.h"

namespace revproxyd::app {

/// Of the worker's thread. A client whose connection waits for its next request for long is no
/// coroutine any more, only its transport and who it is; its next byte makes it one again.
class Clients {
 public:
  /// Tells whether a connection accepted under these settings would be treated otherwise now.
  using Outdated = std::function<bool(const proxy::ListenerSettings&)>;

  /// All outlive it.
  Clients(Gate& gate, proxy::Runtime& runtime, metrics::WorkerCounts& counts, Outdated outdated);
  ~Clients();
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  void start(net::Accepted accepted, std::shared_ptr<const proxy::ListenerSettings> settings,
             std::shared_ptr<const tls::ServerContext> tls);
  /// Those that are served and those that rest.
  std::size_t size() const noexcept {
    return serving_.size() + counts_.connections_resting.value();
  }
  /// The process ends: connections that rest end in order, PROXY headers and handshakes under way
  /// have limits::kDrainTime left.
  void hurry() noexcept;
  /// Ends all of them.
  void cancel(Code reason) noexcept;
  bool cancelled() noexcept { return serving_.scope().cancelled(); }

 private:
  class Client;
  class Preparing;
  using ClientPtr = std::unique_ptr<Client>;

  Task<void> welcome(ClientPtr client, net::Descriptor socket,
                     std::shared_ptr<const tls::ServerContext> tls);
  Task<void> go_on(ClientPtr client);
  Task<void> serve(ClientPtr client);
  Task<void> dismiss(ClientPtr client);
  /// PROXY header and handshake; null when it came to nothing.
  Task<std::unique_ptr<net::Transport>> prepare(net::Descriptor socket, proxy::Connection& client,
                                                const tls::ServerContext* tls);
  /// For the PROXY header, and for the handshake.
  Duration patience(const proxy::ListenerSettings& settings) const noexcept;
  Task<Result<void>> read_proxy_header(net::Transport& transport, proxy::Connection& client);
  std::unique_ptr<http::ServerConnection> open(http::Resting rest, const proxy::Connection& client,
                                               CancelScope& scope);
  Task<void> turn_away(net::Accepted accepted, Code why, bool plain);

  void end_resting() noexcept;
  void lay_down(ClientPtr client, http::Resting rest);
  ClientPtr pick_up(Client& client) noexcept;

  Gate& gate_;
  proxy::Runtime& runtime_;
  metrics::WorkerCounts& counts_;
  Outdated outdated_;
  http::IdleList idle_;
  Client* first_ = nullptr;  // of those that rest
  std::unordered_set<net::Readiness*> preparing_;
  std::size_t turned_away_ = 0;  // refused connections that linger
  TaskGroup serving_;
};

}  // namespace revproxyd::app

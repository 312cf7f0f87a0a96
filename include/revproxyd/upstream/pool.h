#pragma once
// The connections of one worker to one server: those in use, and those kept for the next request.

#include <cstddef>
#include <memory>

#include "revproxyd/base/deadline.h"
#include "revproxyd/base/task.h"
#include "revproxyd/http/connection.h"
#include "revproxyd/tls/context.h"
#include "revproxyd/upstream/endpoint.h"
#include "revproxyd/upstream/origin.h"
#include "revproxyd/upstream/settings.h"

namespace revproxyd::upstream {

/// Told when a connection could serve somebody else: it went idle, or its place under
/// max_connections is free.
class PoolListener {
 public:
  /// True asks the pool to close the connection that has just gone idle, because its place is
  /// wanted by another worker.
  virtual bool on_idle() noexcept = 0;
  virtual void on_place_free() noexcept = 0;

 protected:
  ~PoolListener() = default;
};

/// One worker's; everything that it refers to outlives it. Streams must be gone before the pool is.
class Pool {
 public:
  Pool(std::shared_ptr<Endpoint> endpoint, const UpstreamSettings& settings,
       std::shared_ptr<const tls::ClientContext> tls, PoolListener& listener);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  Endpoint& endpoint() noexcept { return *endpoint_; }
  const Endpoint& endpoint() const noexcept { return *endpoint_; }

  /// A stream on the connection that was used last, or null. `fresh`: only on one that has been
  /// idle for less than limits::kFreshIdle, for requests that must not meet a server which is just
  /// closing.
  std::unique_ptr<http::ClientStream> reuse(bool fresh) noexcept;
  bool has_idle() const noexcept { return idle_head_ != nullptr; }

  /// A stream on a new connection. The caller has taken a place with
  /// Endpoint::try_acquire_connection(); the pool gives it back. Errors: resolve_failed, refused,
  /// unreachable, connect_timeout, tls_failed, certificate_rejected, reset.
  Task<Result<std::unique_ptr<http::ClientStream>>> connect(const Origin& origin);

  /// Closes the connection that has been idle for longest; false when there is none.
  bool shed_idle() noexcept;
  void close_idle() noexcept;

 private:
  struct Kept;

  void returned(Kept& kept) noexcept;
  void push_idle(Kept& kept) noexcept;
  void unlink_idle(Kept& kept) noexcept;
  void close(Kept& kept) noexcept;
  void sweep() noexcept;
  bool keeps() const noexcept {
    return settings_.keepalive.max_idle != 0 && settings_.proxy_protocol == ProxyProtocol::none;
  }

  std::shared_ptr<Endpoint> endpoint_;
  const UpstreamSettings& settings_;
  std::shared_ptr<const tls::ClientContext> tls_;
  PoolListener& listener_;
  Kept* all_ = nullptr;
  Kept* idle_head_ = nullptr;  // used last
  Kept* idle_tail_ = nullptr;  // idle for longest
  std::size_t idle_count_ = 0;
  MemberTimer<Pool> sweep_;
};

}  // namespace revproxyd::upstream

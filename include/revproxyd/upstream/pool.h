#pragma once
// The connections of one worker to one server: those in use, and those kept for the next request.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

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
  /// A connection that is in use has room for one more stream.
  virtual void on_room() noexcept = 0;
  /// Requests wait for a place or for room.
  virtual bool anyone_waits() const noexcept = 0;
  /// Next in turn is a request of another worker, which has no connection at all.
  virtual bool wanted_elsewhere() const noexcept = 0;

 protected:
  ~PoolListener() = default;
};

/// Which kept connections a request may use.
struct Reuse {
  /// Of those that carry one request at a time only one that has been idle for less than
  /// limits::kFreshIdle: the server is not likely to be closing it. Where streams are multiplexed,
  /// the server says which ones it has not looked at.
  bool recent = false;
  /// Only one that was made since then, except where the server may have no further connection and
  /// this one has room beside others.
  TimePoint made_since = TimePoint::min();
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

  /// A stream on a connection that others use too and that has room for one more, else on the idle
  /// one that was used last, or null. An upgrade is kept off connections that multiplex if the
  /// server may be asked for another.
  std::unique_ptr<http::ClientStream> reuse(const Reuse& which, const Origin& origin) noexcept;
  /// reuse() would find a connection, or there is one to be shed in favour of a new one.
  bool has_room(const Origin& origin) const noexcept {
    return idle_head_ != nullptr || (!apart(origin) && sharable() != nullptr);
  }
  /// No connection that multiplexes will do.
  bool apart(const Origin& origin) const noexcept;

  /// A stream on a new connection. The caller has taken a place with
  /// Endpoint::try_acquire_connection(); the pool gives it back. Errors: resolve_failed, refused,
  /// unreachable, connect_timeout, queue_timeout, tls_failed, certificate_rejected, end_of_stream,
  /// reset.
  Task<Result<std::unique_ptr<http::ClientStream>>> connect(const Origin& origin);
  /// A connection that many requests can share is being made, and one more may wait for it instead
  /// of making its own.
  bool joinable(const Origin& origin) const noexcept {
    return !apart(origin) && open_queue() != nullptr;
  }
  /// Waits for it; null when it turned out to serve others only. Errors are those of connect();
  /// `told`, which must stay until then: who makes the connection tells of them.
  Task<Result<std::unique_ptr<http::ClientStream>>> join(bool& told);

  /// A request waits for a connection. One that multiplexes, is too old for more streams and holds
  /// the last place under max_connections may have to serve on.
  void note_waiting() noexcept;

  /// Closes the connection that has been idle for longest; false when there is none.
  bool shed_idle() noexcept;
  void close_idle() noexcept;
  /// No request can be served now, or soon, without a new connection.
  bool empty() const noexcept;

 private:
  struct Kept;
  struct Joiner;
  struct Dial;

  Task<Result<Kept*>> make_connection(const Origin& origin);
  Kept* sharable(const Reuse& which = {}) const noexcept;
  std::vector<Joiner*>* open_queue() const noexcept;
  void told_room(Kept& kept) noexcept;
  void note_streams(const Kept& kept) noexcept;
  std::unique_ptr<http::ClientStream> open_on(Kept& kept);
  bool may_multiplex() const noexcept;
  bool fits(const Kept& kept, const Reuse& which) const noexcept;
  bool aged(const Kept& kept) const noexcept;
  bool old(Kept& kept) const noexcept;
  bool moved(Kept& kept) const noexcept;
  void returned(Kept& kept) noexcept;
  void push_idle(Kept& kept) noexcept;
  void unlink_idle(Kept& kept) noexcept;
  void close(Kept& kept) noexcept;
  void sweep() noexcept;
  void rest() noexcept;
  void end_rest() noexcept;
  void renew_aged() noexcept;
  /// How long the connection that has been idle for longest may stay so.
  Duration patience() const noexcept;
  /// A PROXY header makes a connection one client's own.
  bool shares() const noexcept { return settings_.proxy_protocol == ProxyProtocol::none; }
  bool keeps() const noexcept { return settings_.keepalive.max_idle != 0 && shares(); }

  std::shared_ptr<Endpoint> endpoint_;
  const UpstreamSettings& settings_;
  std::shared_ptr<const tls::ClientContext> tls_;
  PoolListener& listener_;
  Kept* all_ = nullptr;
  Kept* idle_head_ = nullptr;  // used last
  Kept* idle_tail_ = nullptr;  // idle for longest
  std::size_t idle_count_ = 0;
  std::vector<Kept*> shared_;  // multiplexed, with streams open
  std::vector<Dial*> dials_;   // that others may join
  std::size_t streams_;        // that the server has allowed on a connection last
  bool single_ = false;        // ALPN has chosen a protocol without multiplexing
  MemberTimer<Pool> sweep_;
  MemberTimer<Pool> farewell_;  // of connections that are too old, while others wait
  Kept* resting_ = nullptr;     // takes no stream for limits::kPoolRest, so that it may become idle
  MemberTimer<Pool> rest_;      // runs from the begin of a rest until the next may be
};

}  // namespace revproxyd::upstream

#include "revproxyd/upstream/pool.h"

#include <algorithm>

#include "revproxyd/base/limits.h"
#include "upstream/dial.h"

namespace revproxyd::upstream {

/// A connection with its place under max_connections.
struct Pool::Kept final : http::ClientConnection::Owner, slab::Allocated {
  explicit Kept(Pool& owner) noexcept : pool(owner), born(loop_now()) {}
  ~Kept() {
    connection.reset();
    pool.endpoint_->release_connection();
  }
  void on_stream_closed(http::ClientConnection&) noexcept override { pool.returned(*this); }
  void on_idle_input(http::ClientConnection&) noexcept override { pool.close(*this); }

  Pool& pool;
  std::unique_ptr<http::ClientConnection> connection;
  TimePoint born;
  TimePoint idle_since;
  bool idle = false;
  Kept* previous = nullptr;  // of all
  Kept* next = nullptr;
  Kept* newer = nullptr;  // among the idle
  Kept* older = nullptr;
};

Pool::Pool(std::shared_ptr<Endpoint> endpoint, const UpstreamSettings& settings,
           std::shared_ptr<const tls::ClientContext> tls, PoolListener& listener)
    : endpoint_(std::move(endpoint)),
      settings_(settings),
      tls_(std::move(tls)),
      listener_(listener),
      sweep_(*this, &Pool::sweep) {}

Pool::~Pool() {
  while (all_ != nullptr) {
    Kept* kept = all_;
    all_ = kept->next;
    delete kept;
  }
}

std::unique_ptr<http::ClientStream> Pool::reuse(bool fresh) noexcept {
  while (idle_head_ != nullptr) {
    Kept& kept = *idle_head_;
    if (fresh && loop_now() - kept.idle_since >= limits::kFreshIdle) return nullptr;
    if (!kept.connection->alive()) {
      close(kept);
      continue;
    }
    unlink_idle(kept);
    return kept.connection->open_stream();
  }
  return nullptr;
}

Task<Result<std::unique_ptr<http::ClientStream>>> Pool::connect(const Origin& origin) {
  auto transport =
      co_await dial(*endpoint_, settings_, tls_.get(), origin, settings_.timeouts.connect);
  if (!transport) {
    endpoint_->release_connection();
    listener_.on_place_free();
    co_return transport.error().at(Side::upstream);
  }
  http::ClientConnectionSettings settings;
  settings.response_header_bytes = settings_.limits.response_header_bytes;
  settings.write = settings_.timeouts.idle;
  const net::TlsInfo* info = (*transport)->tls();
  const std::string_view alpn = info != nullptr ? std::string_view(info->alpn) : std::string_view();
  auto kept = std::make_unique<Kept>(*this);
  kept->connection = http::open_client_connection(std::move(*transport), alpn, settings, *kept);
  kept->next = all_;
  if (all_ != nullptr) all_->previous = kept.get();
  all_ = kept.get();
  co_return kept.release()->connection->open_stream();
}

void Pool::returned(Kept& kept) noexcept {
  const bool old = loop_now() - kept.born >= settings_.keepalive.lifetime;
  if (kept.connection->capacity() == 0 || old || !keeps()) return close(kept);
  push_idle(kept);
  if (listener_.on_idle()) return close(kept);
  while (idle_count_ > settings_.keepalive.max_idle) shed_idle();
}

void Pool::push_idle(Kept& kept) noexcept {
  kept.idle = true;
  kept.idle_since = loop_now();
  kept.newer = nullptr;
  kept.older = idle_head_;
  if (idle_head_ != nullptr) {
    idle_head_->newer = &kept;
  } else {
    idle_tail_ = &kept;
  }
  idle_head_ = &kept;
  ++idle_count_;
  if (!sweep_.armed()) sweep_.arm(settings_.keepalive.idle);
}

void Pool::unlink_idle(Kept& kept) noexcept {
  (kept.newer != nullptr ? kept.newer->older : idle_head_) = kept.older;
  (kept.older != nullptr ? kept.older->newer : idle_tail_) = kept.newer;
  kept.idle = false;
  --idle_count_;
}

void Pool::close(Kept& kept) noexcept {
  if (kept.idle) unlink_idle(kept);
  (kept.previous != nullptr ? kept.previous->next : all_) = kept.next;
  if (kept.next != nullptr) kept.next->previous = kept.previous;
  delete &kept;
  listener_.on_place_free();
}

bool Pool::shed_idle() noexcept {
  if (idle_tail_ == nullptr) return false;
  close(*idle_tail_);
  return true;
}

void Pool::close_idle() noexcept {
  while (shed_idle()) {
  }
}

// Armed for the connection that was idle for longest when it was armed; what has been used since is
// looked at again later.
void Pool::sweep() noexcept {
  const TimePoint now = loop_now();
  while (idle_tail_ != nullptr) {
    const auto age = now - idle_tail_->idle_since;
    if (age >= settings_.keepalive.idle) {
      close(*idle_tail_);
      continue;
    }
    sweep_.arm(std::chrono::duration_cast<Duration>(settings_.keepalive.idle - age) + Duration(1));
    return;
  }
}

}  // namespace revproxyd::upstream

#include "revproxyd/upstream/pool.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "revproxyd/base/event.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/base/patience.h"
#include "revproxyd/net/listener.h"
#include "upstream/dial.h"

namespace revproxyd::upstream {

/// A request that waits for a connection which another one makes.
struct Pool::Joiner {
  Event done;
  Error error{Code::none};
};

/// A connection with its place under max_connections.
struct Pool::Kept final : http::ClientConnection::Owner, slab::Allocated {
  explicit Kept(Pool& owner) noexcept : pool(owner), born(loop_now()) {}
  ~Kept() {
    let_go_on(Error(Code::none));
    connection.reset();
    pool.endpoint_->release_connection();
  }
  void on_stream_closed(http::ClientConnection&) noexcept override { pool.returned(*this); }
  void on_idle_input(http::ClientConnection&) noexcept override { pool.close(*this); }
  void on_more_room(http::ClientConnection&) noexcept override {
    pool.note_streams(*this);
    pool.told_room(*this);
  }
  void let_go_on(const Error& error) noexcept;

  Pool& pool;
  std::unique_ptr<http::ClientConnection> connection;
  TimePoint born;
  TimePoint idle_since;
  net::Address peer;
  std::uint32_t addresses_version = 0;  // of the list that `peer` was looked up in last
  bool idle = false;
  bool shared = false;
  Kept* previous = nullptr;  // of all
  Kept* next = nullptr;
  Kept* newer = nullptr;  // among the idle
  Kept* older = nullptr;
  std::vector<Joiner*> joiners;  // until it is known how many streams the server takes
};

Pool::Pool(std::shared_ptr<Endpoint> endpoint, const UpstreamSettings& settings,
           std::shared_ptr<const tls::ClientContext> tls, PoolListener& listener)
    : endpoint_(std::move(endpoint)),
      settings_(settings),
      tls_(std::move(tls)),
      listener_(listener),
      streams_(limits::kStreamsPerConnection),
      sweep_(*this, &Pool::sweep),
      farewell_(*this, &Pool::renew_aged),
      rest_(*this, &Pool::end_rest) {}

Pool::~Pool() {
  while (all_ != nullptr) {
    Kept* kept = all_;
    all_ = kept->next;
    delete kept;
  }
}

void Pool::Kept::let_go_on(const Error& error) noexcept {
  for (Joiner* joiner : joiners) {
    joiner->error = error;
    joiner->done.set();
  }
  joiners.clear();
}

/// A connection in the making; lives in the frame that makes it.
struct Pool::Dial {
  explicit Dial(Pool& owner) : pool(owner) { pool.dials_.push_back(this); }
  ~Dial() { end(Error(Code::none)); }
  void end(const Error& error) noexcept {
    std::erase(pool.dials_, this);
    for (Joiner* joiner : joiners) {
      joiner->error = error;
      joiner->done.set();
    }
    joiners.clear();
  }
  Pool& pool;
  std::vector<Joiner*> joiners;
};

std::unique_ptr<http::ClientStream> Pool::reuse(const Reuse& which, const Origin& origin) noexcept {
  const bool alone = apart(origin);
  if (Kept* kept = alone ? nullptr : sharable(which); kept != nullptr) return open_on(*kept);
  while (idle_head_ != nullptr) {
    Kept& kept = *idle_head_;
    if (alone && kept.connection->multiplexes()) return nullptr;
    if (!fits(kept, which)) return nullptr;
    if (!kept.connection->alive() || kept.connection->capacity() == 0 || old(kept)) {
      close(kept);
      continue;
    }
    unlink_idle(kept);
    return open_on(kept);
  }
  return nullptr;
}

// The one that was used last is looked at first: those behind it have been idle for longer.
bool Pool::fits(const Kept& kept, const Reuse& which) const noexcept {
  if (kept.born < which.made_since) return false;
  return !which.recent || kept.connection->multiplexes() ||
         loop_now() - kept.idle_since < limits::kFreshIdle;
}

// The first with room: the load stays on few connections, and the others become idle.
Pool::Kept* Pool::sharable(const Reuse& which) const noexcept {
  for (Kept* kept : shared_) {
    const bool may = fits(*kept, which) || endpoint_->at_connection_limit();
    if (may && kept != resting_ && kept->connection->capacity() != 0 && !old(*kept)) return kept;
  }
  return nullptr;
}

std::unique_ptr<http::ClientStream> Pool::open_on(Kept& kept) {
  if (!kept.shared && shares() && kept.connection->multiplexes()) {
    kept.shared = true;
    shared_.push_back(&kept);
  }
  return kept.connection->open_stream();
}

bool Pool::aged(const Kept& kept) const noexcept {
  return loop_now() - kept.born >= settings_.keepalive.lifetime;
}

bool Pool::old(Kept& kept) const noexcept { return aged(kept) || moved(kept); }

// The server's name has come to stand for other addresses than the one that this is connected to.
bool Pool::moved(Kept& kept) const noexcept {
  const std::uint32_t version = endpoint_->addresses_version();
  if (kept.addresses_version == version) return false;
  const auto addresses = endpoint_->addresses();
  if (addresses == nullptr || std::ranges::find(*addresses, kept.peer) == addresses->end())
    return true;
  kept.addresses_version = version;
  return false;
}

bool Pool::apart(const Origin& origin) const noexcept {
  return origin.upgrade && endpoint_->url().scheme == net::Scheme::https &&
         settings_.protocol == Protocol::automatic;
}

bool Pool::may_multiplex() const noexcept {
  if (!shares()) return false;
  const net::Scheme scheme = endpoint_->url().scheme;
  return scheme == net::Scheme::h2c ||
         (scheme == net::Scheme::https && settings_.protocol != Protocol::http1 && !single_);
}

Task<Result<std::unique_ptr<http::ClientStream>>> Pool::connect(const Origin& origin) {
  std::optional<Dial> dial;
  if (may_multiplex() && !apart(origin)) dial.emplace(*this);
  auto made = co_await make_connection(origin);
  if (!made) {
    // Whoever gave up says nothing about the server: the others go on by themselves.
    const CancelScope* scope = co_await current_scope();
    const bool gave_up = scope != nullptr && scope->cancelled();
    if (dial) dial->end(gave_up ? Error(Code::none) : made.error());
    co_return made.error();
  }
  Kept& kept = **made;
  auto stream = open_on(kept);
  if (dial && !kept.connection->settled()) kept.joiners.swap(dial->joiners);
  co_return std::move(stream);
}

void Pool::note_streams(const Kept& kept) noexcept {
  const http::ClientConnection& connection = *kept.connection;
  if (!connection.multiplexes()) return;
  streams_ = std::max<std::size_t>(connection.active() + connection.capacity(), 1);
}

// Those that wait for this connection, or for any room, may have some here.
void Pool::told_room(Kept& kept) noexcept {
  kept.let_go_on(Error(Code::none));
  for (std::size_t room = kept.shared ? kept.connection->capacity() : 0; room != 0; --room)
    listener_.on_room();
}

Task<Result<Pool::Kept*>> Pool::make_connection(const Origin& origin) {
  const std::uint32_t version = endpoint_->addresses_version();
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
  settings.http2 = endpoint_->url().scheme == net::Scheme::h2c;
  const net::TlsInfo* info = (*transport)->tls();
  const std::string_view alpn = info != nullptr ? std::string_view(info->alpn) : std::string_view();
  auto kept = std::make_unique<Kept>(*this);
  kept->peer = net::peer_address((*transport)->fd());
  kept->addresses_version = version;
  kept->connection = http::open_client_connection(std::move(*transport), alpn, settings, *kept);
  if (!apart(origin)) single_ = !kept->connection->multiplexes();
  kept->next = all_;
  if (all_ != nullptr) all_->previous = kept.get();
  all_ = kept.get();
  co_return kept.release();
}

// Where one more may wait: beside a connection in the making, or one that is made and waits to hear
// how many streams it may carry.
std::vector<Pool::Joiner*>* Pool::open_queue() const noexcept {
  for (Kept* kept : shared_) {
    if (!kept->connection->settled() && kept->joiners.size() + 1 < streams_) return &kept->joiners;
  }
  for (Dial* dial : dials_) {
    if (dial->joiners.size() + 1 < streams_) return &dial->joiners;
  }
  return nullptr;
}

Task<Result<std::unique_ptr<http::ClientStream>>> Pool::join(bool& told) {
  Joiner joiner;
  open_queue()->push_back(&joiner);
  auto code = co_await wait_within(joiner.done, settings_.timeouts.connect, Code::connect_timeout);
  told = true;
  if (code != Code::none) {
    // Whoever still knows this frame must forget it.
    for (Dial* one : dials_) std::erase(one->joiners, &joiner);
    for (Kept* one : shared_) {
      // It was made, which is all that its maker knows of it.
      if (std::erase(one->joiners, &joiner) != 0) told = false;
    }
    co_return Error(code, Side::upstream, "waiting for a connection ended");
  }
  if (joiner.error.code() != Code::none) co_return joiner.error;
  co_return reuse(Reuse(), Origin());
}

void Pool::returned(Kept& kept) noexcept {
  if (kept.connection->active() != 0) {
    if (!rest_.armed() && endpoint_->at_connection_limit() && listener_.wanted_elsewhere()) rest();
    if (&kept != resting_ && kept.connection->capacity() != 0 && !old(kept)) listener_.on_room();
    if (aged(kept) && listener_.anyone_waits()) note_waiting();
    return;
  }
  if (kept.shared) std::erase(shared_, &kept);
  kept.shared = false;
  if (resting_ == &kept) resting_ = nullptr;
  kept.let_go_on(Error(Code::none));
  const bool mute = !kept.connection->settled();
  if (mute || kept.connection->capacity() == 0 || old(kept) || !keeps()) return close(kept);
  push_idle(kept);
  if (listener_.on_idle()) close(kept);
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
  // Requests come in bursts: a connection too many now may be wanted in a moment.
  if (idle_count_ == settings_.keepalive.max_idle + std::size_t{1}) sweep_.arm(patience());
}

Duration Pool::patience() const noexcept {
  const bool too_many = idle_count_ > settings_.keepalive.max_idle;
  return too_many ? std::min(limits::kSurplusIdle, settings_.keepalive.idle)
                  : settings_.keepalive.idle;
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

bool Pool::empty() const noexcept {
  const bool none = all_ == nullptr || (all_ == resting_ && all_->next == nullptr);
  return none && dials_.empty();
}

void Pool::rest() noexcept {
  resting_ = sharable();
  if (resting_ != nullptr) rest_.arm(limits::kPoolRest);
}

void Pool::end_rest() noexcept {
  if (Kept* kept = std::exchange(resting_, nullptr); kept != nullptr) {
    rest_.arm(limits::kPoolServe);
    told_room(*kept);
  } else if (listener_.wanted_elsewhere()) {
    rest();
  }
}

void Pool::note_waiting() noexcept {
  if (farewell_.armed() || !endpoint_->at_connection_limit()) return;
  if (std::ranges::any_of(shared_, [this](const Kept* kept) { return aged(*kept); }))
    farewell_.arm(limits::kPoolFarewell);
}

// One of them, for those that it makes room for may change all.
void Pool::renew_aged() noexcept {
  if (!endpoint_->at_connection_limit() || !listener_.anyone_waits()) return;
  const auto found = std::ranges::find_if(shared_, [this](Kept* kept) {
    return aged(*kept) && !moved(*kept) && kept->connection->capacity() != 0;
  });
  if (found == shared_.end()) return;
  (*found)->born = loop_now();
  told_room(**found);
}

// Armed for the connection that was idle for longest when it was armed; what has been used since is
// looked at again later.
void Pool::sweep() noexcept {
  const TimePoint now = loop_now();
  while (idle_tail_ != nullptr) {
    const auto age = now - idle_tail_->idle_since;
    const Duration limit = patience();
    if (age >= limit) {
      close(*idle_tail_);
      continue;
    }
    sweep_.arm(std::chrono::duration_cast<Duration>(limit - age) + Duration(1));
    return;
  }
}

}  // namespace revproxyd::upstream

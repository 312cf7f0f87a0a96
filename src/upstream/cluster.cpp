#include "revproxyd/upstream/cluster.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "revproxyd/base/patience.h"
#include "revproxyd/net/loop.h"
#include "upstream/blame.h"

namespace revproxyd::upstream {

Lease::Lease(Cluster& cluster, Endpoint& endpoint,
             std::unique_ptr<http::ClientStream> stream) noexcept
    : cluster_(&cluster), endpoint_(&endpoint), stream_(std::move(stream)) {
  endpoint_->begin_request();
  cluster_->lease_begins();
}

Lease::Lease(Lease&& other) noexcept
    : cluster_(std::exchange(other.cluster_, nullptr)),
      endpoint_(other.endpoint_),
      stream_(std::move(other.stream_)) {}

Lease::~Lease() {
  if (cluster_ == nullptr) return;
  stream_.reset();
  endpoint_->end_request();
  cluster_->lease_ends();
}

Cluster::Cluster(std::shared_ptr<Shared> shared, std::shared_ptr<const tls::ClientContext> tls,
                 std::uint64_t seed)
    : shared_(std::move(shared)),
      balancer_(make_balancer(shared_->settings().balance.method, seed)),
      retry_budget_(shared_->settings().retry.budget_percent) {
  for (const auto& endpoint : shared_->endpoints()) {
    const bool secure = endpoint->url().scheme == net::Scheme::https;
    PoolListener& listener = *this;
    pools_.push_back(
        std::make_unique<Pool>(endpoint, settings(), secure ? tls : nullptr, listener));
  }
  balancer_->rebuild(shared_->endpoints(), shared_->table());
}

Cluster::~Cluster() {
  pools_.clear();
  shared_->places().wake_one();
  shared_->turns().wake_one();
}

void Cluster::enlist() { shared_->enlist(net::Loop::current(), weak_from_this()); }

// Which servers a request may go to although they have all the connections that they may have.
class Cluster::Spare final : public SpareConnections {
 public:
  Spare(const Cluster& cluster, const Origin& origin) noexcept
      : cluster_(cluster), origin_(origin) {}
  bool has_spare(const Endpoint& endpoint) const noexcept override {
    for (const auto& pool : cluster_.pools_) {
      if (&pool->endpoint() == &endpoint) return pool->has_room(origin_);
    }
    return false;
  }

 private:
  const Cluster& cluster_;
  const Origin& origin_;
};

Pick Cluster::pick(const Demand& demand) noexcept {
  PickQuery query;
  query.key = demand.key;
  query.now = loop_now();
  query.tried = demand.tried;
  query.allow_tried = true;
  const Spare spare(*this, demand.origin);
  query.spare = &spare;
  return balancer_->pick(query);
}

// Without max_requests all workers would write one number for nobody: each keeps its own, until a
// limit may have come.
void Cluster::lease_begins() noexcept {
  if (settings().limits.max_requests != 0) return;  // it has its turn
  if (retired_) return shared_->count_in(1);
  ++uncounted_;
}

void Cluster::lease_ends() noexcept {
  if (settings().limits.max_requests != 0 || retired_) return shared_->end_request();
  --uncounted_;
}

// Without max_requests nobody waits for a turn, and there is no frame for it.
Task<Acquired> Cluster::acquire(const Demand& demand, Clock::duration& waited) {
  return settings().limits.max_requests == 0 ? acquire_counted(demand, waited)
                                             : acquire_turn(demand, waited);
}

Task<Acquired> Cluster::acquire_turn(const Demand& demand, Clock::duration& waited) {
  WaitQueue& turns = shared_->turns();
  Claim claim;
  for (;;) {
    if ((claim.id != 0 || !turns.anyone_before(false)) && shared_->try_begin_request()) break;
    const TimePoint begun = loop_now();
    auto place = co_await wait_in(turns, nullptr, claim, waited);
    waited += loop_now() - begun;
    if (!place) co_return Acquired(nullptr, place.error());
  }
  auto acquired = co_await acquire_counted(demand, waited, claim.id != 0);
  if (!acquired.lease) shared_->end_request();
  co_return std::move(acquired);
}

// With a kept connection at hand, as nearly always, no coroutine is needed.
Task<Acquired> Cluster::acquire_counted(const Demand& demand, Clock::duration& waited,
                                        bool admitted) {
  const Pick picked = pick(demand);
  const bool queues = picked.status != PickStatus::none_usable && overtakes(demand);
  auto acquired = queues ? std::nullopt : at_once(picked, demand);
  return acquired ? Task<Acquired>::settled(std::move(*acquired))
                  : acquire_waiting(demand, waited, picked, admitted);
}

// Who comes now queues up behind those that wait already.
bool Cluster::overtakes(const Demand& demand) const noexcept {
  const WaitQueue& places = shared_->places();
  return places.anyone_before(true) && places.anyone_before(needs_place(&demand));
}

std::optional<Acquired> Cluster::at_once(const Pick& picked, const Demand& demand) noexcept {
  if (picked.status == PickStatus::none_usable) {
    return Acquired(nullptr, Error(Code::no_server, Side::upstream, "no server is up"));
  }
  if (picked.status != PickStatus::picked) return std::nullopt;
  Pool& pool = *pools_[picked.index];
  auto stream = pool.reuse(demand.reuse, demand.origin);
  if (stream == nullptr) return std::nullopt;
  return Acquired(&pool.endpoint(), Lease(*this, pool.endpoint(), std::move(stream)));
}

namespace {

// Who chooses a server by its load is to see also the requests that it keeps waiting for a
// connection, or a server that is silent would look idle and get them all.
class Arrival {
 public:
  explicit Arrival(Endpoint& endpoint) noexcept : endpoint_(endpoint) { endpoint_.begin_arrival(); }
  ~Arrival() { endpoint_.end_arrival(); }
  Arrival(const Arrival&) = delete;
  Arrival& operator=(const Arrival&) = delete;

 private:
  Endpoint& endpoint_;
};

}  // namespace

Task<Acquired> Cluster::acquire_waiting(const Demand& demand, Clock::duration& waited, Pick picked,
                                        bool admitted) {
  Claim claim{0, admitted};
  for (;;) {
    if (picked.status == PickStatus::picked && (claim.id != 0 || !overtakes(demand))) {
      Pool& pool = *pools_[picked.index];
      const Arrival arrival(pool.endpoint());
      if (pool.joinable(demand.origin)) {
        auto joined = co_await join(pool, demand.origin);
        if (joined) co_return std::move(*joined);
      }
      // A connection too old for this request still holds a place that a new one may need.
      if (pool.endpoint().at_connection_limit()) pool.shed_idle();
      if (pool.endpoint().try_acquire_connection()) {
        auto connected = co_await connect(pool, demand.origin);
        co_return std::move(connected);
      }
    }
    const TimePoint begun = loop_now();
    auto place = co_await wait_in(shared_->places(), &demand, claim, waited);
    waited += loop_now() - begun;
    if (!place) co_return Acquired(nullptr, place.error());
    picked = pick(demand);
    auto acquired = at_once(picked, demand);
    if (acquired) co_return std::move(*acquired);
  }
}

// Nothing when the connections that were made meanwhile have no room for this request.
Task<std::optional<Acquired>> Cluster::join(Pool& pool, const Origin& origin) {
  Endpoint& endpoint = pool.endpoint();
  while (pool.joinable(origin)) {
    bool told = false;
    auto stream = co_await pool.join(told);
    if (!stream) {
      Acquired failed(&endpoint, stream.error());
      failed.joined = true;
      failed.told = told;
      co_return std::move(failed);
    }
    if (*stream == nullptr) continue;
    Lease lease(*this, endpoint, std::move(*stream));
    co_return Acquired(&endpoint, std::move(lease));
  }
  co_return std::nullopt;
}

Task<Acquired> Cluster::connect(Pool& pool, const Origin& origin) {
  Endpoint& endpoint = pool.endpoint();
  // Longer than the connect may take, which tells itself when it has failed.
  const std::uint64_t trial =
      endpoint.begin_trial(loop_now(), settings().timeouts.connect + kTakeOut);
  if (trial != 0) shared_->wake_from(endpoint);
  auto stream = co_await pool.connect(origin);
  if (stream) {
    if (endpoint.end_take_out()) shared_->wake_for(endpoint);
    Lease lease(*this, endpoint, std::move(*stream));
    co_return Acquired(&endpoint, std::move(lease));
  }
  // A client that leaves, or has waited long enough, says nothing about the server.
  const CancelScope* scope = co_await current_scope();
  const bool gave_up = scope != nullptr && scope->cancelled();
  if (!gave_up) endpoint.count_connect_failure();
  const Code code = stream.error().code();
  if (!gave_up && blames(endpoint, code)) {
    take_out(endpoint, trial);
  } else if (endpoint.end_trial(trial)) {
    shared_->wake_for(endpoint);
  }
  co_return Acquired(&endpoint, stream.error());
}

// However many find out at once, one tells.
void Cluster::take_out(Endpoint& endpoint, std::uint64_t trial) {
  if (endpoint.take_out(loop_now(), trial)) shared_->wake_from(endpoint);
}

namespace {

using WaitingMap = std::unordered_map<std::uint64_t, Event*>;

// Whether it was a place for anybody or room on a connection of this worker is not known any more;
// one who is woken for nothing goes back to its place.
void pass_on(WaitQueue& queue, const std::weak_ptr<Cluster>& cluster, std::uint64_t behind = 0) {
  queue.wake_one(behind);
  queue.wake_one_of(cluster, behind);
}

// Takes the waiter off both lists however the wait ends. A wake-up that came too late to be of use
// goes on to the next.
class Waiting {
 public:
  Waiting(WaitQueue& queue, WaitingMap& map, WaitQueue::Ticket ticket, Event& event)
      : queue_(queue), map_(map), ticket_(std::move(ticket)), event_(event) {
    map_[ticket_.id] = &event;
  }
  ~Waiting() {
    map_.erase(ticket_.id);
    queue_.leave(ticket_.id);
    if (!event_.is_set()) return;
    queue_.answered(ticket_.needs_place);
    if (!used_) pass_on(queue_, ticket_.cluster);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  void use() noexcept { used_ = true; }

 private:
  WaitQueue& queue_;
  WaitingMap& map_;
  WaitQueue::Ticket ticket_;
  Event& event_;
  bool used_ = false;
};

}  // namespace

// For a place when there is a demand, for a turn under max_requests otherwise.
bool Cluster::came_free(const Demand* demand) noexcept {
  if (demand == nullptr) return shared_->has_turn();
  const Pick picked = pick(*demand);
  return picked.status == PickStatus::none_usable ||
         (picked.status == PickStatus::picked &&
          (pools_[picked.index]->has_room(demand->origin) ||
           !pools_[picked.index]->endpoint().at_connection_limit()));
}

// What a request that avoids the servers it has tried was woken for in vain.
bool Cluster::is_of_use_to_others(const Demand* demand) noexcept {
  if (demand == nullptr || demand->tried.empty()) return false;
  Demand others = *demand;
  others.tried = {};
  return came_free(&others);
}

// One number for both queues. What holds the place that a request wants may be an idle connection
// of another worker, which closes it as soon as it is asked: that is no reason to refuse the
// request.
std::size_t Cluster::room_to_wait(const Demand* demand) const noexcept {
  std::size_t room = settings().limits.max_pending;
  if (demand != nullptr) {
    const TimePoint now = loop_now();
    for (const auto& pool : pools_)
      room += pool->endpoint().usable(now) ? pool->endpoint().idle_connections() : 0;
  }
  const std::size_t others = (demand != nullptr ? shared_->turns() : shared_->places()).waiting();
  return room - std::min(room, others);
}

Task<Result<void>> Cluster::wait_in(WaitQueue& queue, const Demand* demand, Claim& claim,
                                    Clock::duration waited) {
  const Error late(Code::queue_timeout, Side::upstream, "no server had room in time");
  Duration left = std::chrono::ceil<Duration>(settings().limits.queue_timeout - waited);
  if (left.count() <= 0) co_return late;
  Event event;
  net::Loop& loop = net::Loop::current();
  const bool again = claim.id != 0;
  const std::size_t room = again || claim.admitted ? SIZE_MAX : room_to_wait(demand);
  if (!again) claim.id = WaitQueue::new_id();
  WaitQueue::Ticket ticket{&loop, weak_from_this(), claim.id, has_none(), needs_place(demand)};
  Waiting waiting(queue, waiting_, ticket, event);
  if (!queue.enqueue(std::move(ticket), again, room)) {
    co_return Error(Code::queue_full, Side::upstream, "max_pending requests wait already");
  }
  // Whoever is next takes what came free before this could be seen to wait.
  if (came_free(demand)) {
    pass_on(queue, weak_from_this());
  } else if (again && is_of_use_to_others(demand)) {
    pass_on(queue, weak_from_this(), claim.id);
  }
  if (demand != nullptr && !event.is_set()) {
    for (const auto& pool : pools_) pool->note_waiting();
    shared_->ask_for_idle(loop);
  }
  auto code = Code::none;
  for (;;) {
    const bool returns = demand != nullptr && any_taken_out();
    const Duration patience = returns ? std::min(left, kTakeOut) : left;
    auto woken = co_await wait_within(event, patience, Code::queue_timeout);
    code = woken;
    left -= patience;
    if (code != Code::queue_timeout || left.count() <= 0) break;
    // A server that comes back as time passes wakes nobody itself.
    if (came_free(demand)) pass_on(queue, weak_from_this());
  }
  if (code == Code::queue_timeout) co_return late;
  if (code != Code::none) co_return Error(code, "waiting for a server ended");
  waiting.use();
  co_return {};
}

bool Cluster::any_taken_out() const noexcept {
  const TimePoint now = loop_now();
  return std::ranges::any_of(pools_, [now](const auto& pool) {
    return pool->endpoint().availability(now) == Availability::taken_out;
  });
}

void Cluster::wake(WaitQueue& queue, const WaitQueue::Ticket& ticket) noexcept {
  if (auto found = waiting_.find(ticket.id); found != waiting_.end()) {
    found->second->set();
  } else {
    queue.answered(ticket.needs_place);
    pass_on(queue, weak_from_this());
  }
}

void Cluster::retire() noexcept {
  retired_ = true;
  shared_->count_in(std::exchange(uncounted_, 0));
  close_idle();
}

void Cluster::close_idle() noexcept {
  for (const auto& pool : pools_) pool->close_idle();
}

bool Cluster::on_idle() noexcept {
  if (retired_) return true;
  WaitQueue& places = shared_->places();
  if (!places.anyone()) return false;
  // An idle connection is of use to this worker only.
  const bool mine = places.next_loop() == &net::Loop::current();
  if (mine) places.wake_one();
  return !mine;
}

void Cluster::on_place_free() noexcept { shared_->places().wake_one(); }

// Of use to this worker only, whoever has waited for longest.
void Cluster::on_room() noexcept { shared_->places().wake_one_of(weak_from_this()); }

bool Cluster::wanted_elsewhere() const noexcept {
  const WaitQueue& places = shared_->places();
  return places.anyone() && places.next_is_without_connection() &&
         places.next_loop() != &net::Loop::current();
}

bool Cluster::needs_place(const Demand* demand) const noexcept {
  return demand != nullptr && std::any_of(pools_.begin(), pools_.end(), [&](const auto& pool) {
           return pool->apart(demand->origin);
         });
}

bool Cluster::has_none() const noexcept {
  return std::all_of(pools_.begin(), pools_.end(), [](const auto& pool) { return pool->empty(); });
}

void Cluster::give_up_idle() noexcept {
  if (!shared_->places().anyone()) return;
  for (const auto& pool : pools_) {
    if (pool->endpoint().at_connection_limit() && pool->shed_idle()) return;
  }
}

}  // namespace revproxyd::upstream

#include "app/worker.h"

#include <pthread.h>

#include <algorithm>
#include <exception>
#include <latch>
#include <utility>

#include "app/open_socket.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/base/log.h"
#include "revproxyd/base/slab.h"
#include "revproxyd/base/thread.h"

namespace revproxyd::app {

namespace {

constexpr Duration kLogFlush{200};
// Taken from the queue of a listener that is being closed.
constexpr std::size_t kRest = 4096;
constexpr Duration kTimeForAnother{2};
constexpr std::size_t kMostAccepts = 64;

// New connections of a turn: few, so that a flood of them waits behind everybody else; some more
// when the turn was long, so that on a busy worker the new ones do not wait for ever.
class Ration {
 public:
  bool used_up() const noexcept { return left_ == 0; }
  void use() noexcept { --left_; }
  void renew() noexcept {
    const auto more = static_cast<std::size_t>(since(begun_) / kTimeForAnother);
    left_ = std::min(limits::kTurnAccepts + more, kMostAccepts);
    begin_turn();
  }
  void begin_turn() noexcept { begun_ = loop_now(); }

 private:
  std::size_t left_ = 0;
  TimePoint begun_ = loop_now();
};

// Others that a worker compares itself with at each connection; where there are more, their turn
// comes with the next ones.
constexpr std::size_t kCompared = 8;
// Busy times of shorter spells say little.
constexpr Duration kBusySpell{100};

}  // namespace

struct Worker::Active {
  std::shared_ptr<const proxy::ListenerSettings> settings;
  std::shared_ptr<const tls::ServerContext> tls;
  std::vector<std::unique_ptr<net::Listener>> listeners;  // one, or what was inherited
  TaskGroup accepting;
  bool held = false;         // another process may listen on in the same sockets
  bool handed_over = false;  // another process takes what waits in the same sockets
};

Worker::Worker(std::size_t index, ProcessState& process, std::uint64_t seed)
    : name_("worker-" + std::to_string(index)), process_(process), seed_(seed) {
  std::latch started(1);
  std::exception_ptr problem;
  thread_ = thread_without_signals([this, &started, &problem] {
    try {
      loop_ = std::make_unique<net::Loop>();
    } catch (...) {
      problem = std::current_exception();
    }
    started.count_down();
    if (loop_ != nullptr) run();
  });
  started.wait();
  if (problem == nullptr) return;
  thread_.join();
  std::rethrow_exception(problem);
}

Worker::~Worker() { join(); }

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::run() {
  pthread_setname_np(pthread_self(), name_.c_str());
  loop_->measure(loop_counts_);
  clients_ = std::make_unique<Clients>(
      process_.gate, runtime_, counts_,
      [this](const proxy::ListenerSettings& accepted) { return outdated(accepted); });
  housekeeping_ = std::make_unique<TaskGroup>();
  busy_since_ = loop_now();
  housekeeping_->spawn(serve_passed());
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
  passed_.clear();
  runtime_.snapshot.reset();
  loop_->run_for(Duration(0));
  clients_.reset();
  loop_.reset();
  slab::trim();
}

void Worker::install(Installation installation, std::function<void()> done) {
  auto shared = std::make_shared<Installation>(std::move(installation));
  loop_->post([this, shared, done = std::move(done)] {
    apply(std::move(*shared));
    closed_.push_back(done);
    sweep_closed();
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
  bool complete = true;
  for (const ListenerInstall& wanted : installation.listeners) {
    if (auto known = old.find(wanted.identity); known != old.end() && wanted.sockets.empty()) {
      known->second->settings = wanted.settings;
      known->second->tls = wanted.tls;
      listeners_.insert(old.extract(known));
    } else {
      complete = open(wanted) && complete;
    }
  }
  for (auto& [address, active] : old) {
    close_listener(*active);
    closing_.push_back(std::move(active));
  }
  retire_outdated();
  proxy::end_removed_routes(runtime_, installation.streams);
  visible_.generation.store(complete ? installation.generation : 0);
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

bool Worker::open(const ListenerInstall& wanted) {
  // It could not be opened here when it was new; a restart, or taking it out and in again, tries
  // anew.
  if (wanted.sockets.empty()) return false;
  auto active = std::make_unique<Active>();
  active->settings = wanted.settings;
  active->tls = wanted.tls;
  active->held = wanted.held;
  for (const auto& socket : wanted.sockets) {
    auto listener =
        net::Listener::open(socket, {wanted.settings->name, true, &counts_.accept_pauses});
    if (listener) {
      active->listeners.push_back(std::move(*listener));
      active->accepting.spawn(accept_loop(*active, *active->listeners.back()));
    } else {
      log::Line(log::Level::error)
          << "listener " << wanted.settings->name << ": " << listener.error();
    }
  }
  forget_closing(wanted.sockets);
  const bool all = active->listeners.size() == wanted.sockets.size();
  if (!active->listeners.empty()) listeners_[wanted.identity] = std::move(active);
  return all;
}

// What was to be closed, and is taken back, is served by the new settings alone. Its queue stays
// with the other descriptor.
void Worker::forget_closing(const WorkerSockets& taken_back) {
  std::erase_if(closing_, [&](const std::unique_ptr<Active>& active) {
    return active->accepting.size() == 0 &&
           std::ranges::any_of(active->listeners, [&](const auto& listener) {
             return std::ranges::any_of(taken_back, [&](const auto& socket) {
               return same_socket(socket->get(), listener->fd());
             });
           });
  });
}

void Worker::close_listener(Active& active) { active.accepting.cancel(Code::shutdown); }

// A listener goes when its loop has ended; what the kernel had queued for it is served first,
// because closing would reset it. Where there is no descriptor for it, it waits for one.
void Worker::sweep_closed() {
  bool again = false;
  std::erase_if(closing_, [this, &again](const std::unique_ptr<Active>& active) {
    if (active->accepting.size() != 0) return false;
    const bool done = accept_rest(*active);
    again = again || !done;
    return done;
  });
  if (again && !std::exchange(sweeping_, true)) housekeeping_->spawn(sweep_again());
  // What waits for descriptors may wait for long, and nobody for that.
  const bool accepting =
      std::ranges::any_of(closing_, [](auto& active) { return active->accepting.size() != 0; });
  if (accepting) return;
  for (const auto& told : std::exchange(closed_, {})) told();
}

Task<void> Worker::sweep_again() {
  auto slept = co_await Sleep(net::Listener::kExhaustedPause);
  sweeping_ = false;
  if (slept == Code::none) sweep_closed();
}

// False: there may be more that cannot be accepted now.
bool Worker::accept_rest(Active& active) {
  bool all = true;
  for (const auto& listener : active.listeners) {
    if (clients_->cancelled()) {
      if (!active.handed_over && !active.held && listener->waited_for())
        lost_queues_.insert(active.settings->name);
      continue;
    }
    net::Pending pending = listener->take_pending(kRest);
    for (auto& accepted : pending.connections) start_client(std::move(accepted), active);
    all = all && !pending.exhausted;
  }
  return all || active.handed_over;
}

Task<void> Worker::accept_loop(Active& active, net::Listener& listener) {
  for (Ration ration;; ration.use()) {
    // Those who are here already are served between the new ones; accept() tells of an end.
    if (ration.used_up()) {
      co_await NextTurn();
      ration.renew();
    }
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
  Worker* other = one_with_less();
  if (other != nullptr && pass_on(*other, accepted, active)) return;
  clients_->start(std::move(accepted), active.settings, active.tls);
}

Share Worker::share() const noexcept {
  return {counts_.connections_active.value() + visible_.coming.load(std::memory_order_relaxed),
          visible_.busy.load(std::memory_order_relaxed)};
}

Worker* Worker::one_with_less() noexcept {
  const std::vector<Worker*>& all = process_.workers;
  if (all.size() < 2 || !process_.passing_on.load(std::memory_order_relaxed)) return nullptr;
  const std::uint64_t generation = visible_.generation.load(std::memory_order_relaxed);
  Worker* least = nullptr;
  Share theirs;
  for (std::size_t looks = std::min(kCompared, all.size() - 1); looks != 0; --looks) {
    compared_ = (compared_ + 1) % all.size();
    if (all[compared_] == this) compared_ = (compared_ + 1) % all.size();
    Worker& other = *all[compared_];
    // Before a reload has reached it, it may not know the listener.
    if (other.visible_.owes.load(std::memory_order_relaxed) ||
        other.visible_.generation.load() < generation)
      continue;
    const Share share = other.share();
    if (least != nullptr && !Spread::has_less(share, theirs)) continue;
    least = &other;
    theirs = share;
  }
  return least != nullptr && spread_.passes(share(), theirs) ? least : nullptr;
}

// Announced before the look at the word that forbids it: a worker that drains, after that word,
// sees it coming or is not sent it.
bool Worker::pass_on(Worker& other, net::Accepted& accepted, const Active& active) {
  other.visible_.coming.fetch_add(1);
  if (!process_.passing_on.load()) {
    other.visible_.coming.fetch_sub(1);
    return false;
  }
  counts_.connections_passed_on.add();
  auto parcel = std::make_shared<Passed>(Passed{std::move(accepted), active.settings, active.tls});
  other.loop_->post([&other, parcel] {
    other.passed_.push_back(std::move(*parcel));
    other.has_passed_.set();
  });
  return true;
}

// As many a turn as a listener accepts.
Task<void> Worker::serve_passed() {
  for (Ration ration;; ration.use()) {
    if (ration.used_up()) {
      auto code = co_await NextTurn();
      if (code != Code::none) co_return;
      ration.renew();
    }
    while (passed_.empty()) {
      has_passed_.clear();
      auto code = co_await has_passed_.wait();
      if (code != Code::none) co_return;
      ration.begin_turn();
    }
    Passed next = std::move(passed_.front());
    passed_.pop_front();
    if (!clients_->cancelled()) clients_->start(std::move(next.accepted), next.settings, next.tls);
    visible_.coming.fetch_sub(1);
  }
}

void Worker::note_busy() noexcept {
  const TimePoint now = loop_now();
  const auto spell = std::chrono::duration_cast<std::chrono::microseconds>(now - busy_since_);
  if (spell < kBusySpell) return;
  const std::uint64_t busy_us = loop_counts_.busy_us.value();
  const auto whole = static_cast<std::uint64_t>(spell.count());
  const std::uint64_t part = std::min(busy_us - busy_then_us_, whole) * 1000 / whole;
  visible_.busy.store(static_cast<std::uint32_t>(part), std::memory_order_relaxed);
  busy_since_ = now;
  busy_then_us_ = busy_us;
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
void Worker::hand_over(std::set<std::string> taken, std::function<void()> closed,
                       std::function<void()> done) {
  loop_->post([this, taken = std::move(taken), closed = std::move(closed),
               done = std::move(done)]() mutable {
    closed_.push_back(std::move(closed));
    for (auto& [identity, active] : listeners_) active->handed_over = taken.contains(identity);
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
  clients_->hurry();
}

Task<void> Worker::wait_drained(std::function<void()> done) {
  while (clients_->size() != 0 || !closing_.empty() || visible_.coming.load() != 0) {
    auto slept = co_await Sleep(Duration(20));
    if (slept != Code::none) break;
  }
  flush_log();
  done();
}

void Worker::beat(TimePoint now) {
  asked_ = now;
  visible_.owes.store(true, std::memory_order_relaxed);
  loop_->post([this, now] {
    const auto lag = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - now);
    const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(lag.count(), 0));
    loop_counts_.lag_us.set(us);
    if (us > loop_counts_.longest_lag_us.value()) loop_counts_.longest_lag_us.set(us);
    note_busy();
    visible_.owes.store(false, std::memory_order_relaxed);
    beats_.add();
  });
}

metrics::LoopView Worker::loop_view(TimePoint now) const noexcept {
  metrics::LoopView view{&loop_counts_, 0, stalled_};
  if (!visible_.owes.load(std::memory_order_relaxed)) return view;
  const auto owed = std::chrono::duration_cast<std::chrono::microseconds>(now - asked_);
  view.owed_us = static_cast<std::uint64_t>(std::max<std::int64_t>(owed.count(), 0));
  return view;
}

void Worker::cut() {
  loop_->post([this] {
    clients_->cancel(Code::drain_timeout);
    sweep_closed();
  });
}

void Worker::stop() { loop_->stop(); }

void Worker::trim() {
  loop_->post([] { slab::trim(); });
}

void Worker::scavenge() {
  if (scavenging_.exchange(true, std::memory_order_relaxed)) return;
  loop_->post([this] {
    process_.freed.add(slab::scavenge());
    scavenging_.store(false, std::memory_order_relaxed);
  });
}

void Worker::flush_log() {
  if (log_batch_ == nullptr) return;
  log_batch_->flush();
  log_tick_->arm(kLogFlush);
}

}  // namespace revproxyd::app

#include "revproxyd/net/resolver.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <system_error>
#include <thread>
#include <utility>

#include "net/dns_query.h"
#include "revproxyd/base/ascii.h"
#include "revproxyd/base/thread.h"
#include "revproxyd/net/descriptor.h"

namespace revproxyd::net {

// The gate is held while the callback runs, so that end() waits for it; recursive, because a
// callback may end its own subscription.
struct Resolver::Subscription::State {
  State(std::string name, std::uint16_t number, Callback function)
      : host(std::move(name)), port(number), callback(std::move(function)) {}

  bool active() {
    const std::lock_guard lock(gate);
    return !ended;
  }
  void deliver(const Result<AddressList>& result) {
    const std::lock_guard lock(gate);
    if (ended) return;
    running = true;
    callback(result);
    running = false;
    if (ended) callback = nullptr;
  }
  void end() {
    const std::lock_guard lock(gate);
    ended = true;
    if (!running) callback = nullptr;
  }

  const std::string host;
  const std::uint16_t port;
  std::recursive_mutex gate;
  Callback callback;
  bool running = false;
  bool ended = false;
};

namespace {

// What a name knows between two queries; the thread's own.
template <typename State>
struct Name {
  std::vector<std::shared_ptr<State>> subscribers;
  std::vector<Address> addresses;  // the last good answer, without port
  TimePoint due;                   // of the next query
  int failures = 0;                // since the last whole answer
  const char* problem = nullptr;   // subscribers have been told that there is no answer
  bool doubted = false;            // and that one family is not sure
  bool settled = false;            // it is known which families it has
  std::unique_ptr<DnsQuery> query;
};

Result<AddressList> list_for(const std::vector<Address>& addresses, std::uint16_t port) {
  auto list = std::make_shared<std::vector<Address>>(addresses);
  for (Address& address : *list) address.set_port(port);
  return AddressList(std::move(list));
}

bool is_localhost(std::string_view host) {
  std::string name = ascii::lower(host);
  if (name.ends_with('.')) name.pop_back();
  return name == "localhost" || name.ends_with(".localhost");
}

/// What needs no query.
std::optional<std::vector<Address>> known_addresses(const std::string& host) {
  if (const auto literal = Address::ip(host, 0)) return std::vector<Address>{*literal};
  if (!is_localhost(host)) return std::nullopt;
  return std::vector<Address>{*Address::ip("127.0.0.1", 0), *Address::ip("::1", 0)};
}

bool same_set(const std::vector<Address>& one, const std::vector<Address>& other) {
  return one.size() == other.size() && std::is_permutation(one.begin(), one.end(), other.begin());
}

// Queries in a row that one family of a new name fails before it is taken for having none.
constexpr int kDoubts = 5;

/// `now`, and of `before` those of a family, in front if they were.
std::vector<Address> with_family(std::vector<Address> now, const std::vector<Address>& before,
                                 int family) {
  const bool in_front = !before.empty() && before.front().family() == family;
  const auto place = in_front ? now.begin() : now.end();
  std::vector<Address> kept;
  std::ranges::copy_if(before, std::back_inserter(kept),
                       [family](const Address& one) { return one.family() == family; });
  now.insert(place, kept.begin(), kept.end());
  now.resize(std::min(now.size(), Resolver::kAddresses));
  return now;
}

Error no_answer(const char* problem) noexcept { return Error(Code::resolve_failed, problem); }

}  // namespace

class Resolver::Thread {
 public:
  using State = Subscription::State;

  explicit Thread(Options options)
      : options_(std::move(options)),
        wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
        random_(std::random_device{}()) {
    if (!wake_)
      throw std::system_error(errno, std::system_category(), "cannot make the resolver's event");
  }

  ~Thread() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake();
    if (thread_.joinable()) thread_.join();
  }

  void add(std::shared_ptr<State> state) {
    const std::lock_guard lock(mutex_);
    added_.push_back(std::move(state));
    begin();
    wake();
  }

  void retry() {
    const std::lock_guard lock(mutex_);
    if (!added_.empty()) begin();
  }

 private:
  void begin() {
    if (!thread_.joinable()) thread_ = thread_without_signals([this] { run(); });
  }

  void wake() const noexcept {
    ignore(::eventfd_write(wake_.get(), 1), "a full counter is awake as well");
  }

  void run() {
    while (take_added()) {
      start_due();
      wait();
      finish();
    }
    names_.clear();
  }

  /// False when it is time to end.
  bool take_added() {
    std::vector<std::shared_ptr<State>> added;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return false;
      added.swap(added_);
    }
    for (auto& state : added) {
      const auto [entry, fresh] = names_.try_emplace(state->host);
      Name<State>& name = entry->second;
      if (fresh) name.due = Clock::now();
      if (!name.addresses.empty()) {
        state->deliver(list_for(name.addresses, state->port));
      } else if (name.problem != nullptr) {
        state->deliver(no_answer(name.problem));
      }
      name.subscribers.push_back(std::move(state));
    }
    return true;
  }

  /// Starts queries, those that have waited longest first, and forgets names that nobody asks for
  /// any more.
  void start_due() {
    const TimePoint now = Clock::now();
    std::vector<std::pair<TimePoint, const std::string*>> due;
    for (auto entry = names_.begin(); entry != names_.end();) {
      Name<State>& name = entry->second;
      const bool ready = name.query == nullptr && name.due <= now;
      if (ready)
        std::erase_if(name.subscribers, [](const auto& state) { return !state->active(); });
      if (ready && name.subscribers.empty()) {
        entry = names_.erase(entry);
        continue;
      }
      if (ready) due.emplace_back(name.due, &entry->first);
      ++entry;
    }
    std::sort(due.begin(), due.end());
    for (const auto& [since, host] : due) {
      if (queries_ == kQueries) return;
      Name<State>& name = names_[*host];
      const DnsFamilies expected{!name.settled || has_family(name.addresses, AF_INET),
                                 !name.settled || has_family(name.addresses, AF_INET6)};
      name.query = std::make_unique<DnsQuery>(*host, options_, expected);
      ++queries_;
    }
  }

  void wait() {
    const TimePoint now = Clock::now();
    Duration patience{60000};
    sockets_.assign(1, pollfd{wake_.get(), POLLIN, 0});
    for (auto& [host, name] : names_) {
      if (name.query != nullptr) {
        name.query->watch(sockets_);
        patience = name.query->done() ? Duration::zero()
                                      : std::min(patience, name.query->patience(patience));
      } else if (queries_ < kQueries) {
        patience = std::min(patience, std::chrono::ceil<Duration>(
                                          std::max(name.due - now, TimePoint::duration::zero())));
      }
    }
    ::poll(sockets_.data(), sockets_.size(), static_cast<int>(patience.count()));
    eventfd_t count = 0;
    ignore(::eventfd_read(wake_.get(), &count), "nothing to read is no news");
  }

  void finish() {
    for (auto& [host, name] : names_) {
      if (name.query == nullptr) continue;
      if (!name.query->done()) name.query->process(sockets_);
      if (!name.query->done()) continue;
      const DnsAnswer answer = name.query->answer();
      name.query.reset();
      --queries_;
      if (answer.addresses.empty()) {
        failed(name, answer.problem);
      } else {
        answered(name, answer);
      }
    }
  }

  // A family that failed keeps what was known of it. One that never answers is none in the end:
  // some name services have no better word for that.
  void answered(Name<State>& name, const DnsAnswer& answer) {
    const Duration ttl = answer.ttl.count() > 0
                             ? std::clamp(answer.ttl, options_.shortest_ttl, options_.longest_ttl)
                             : options_.without_ttl;
    name.due = Clock::now() + ttl;
    const bool sure = answer.unsure == AF_UNSPEC ||
                      (!has_family(name.addresses, answer.unsure) && name.failures >= kDoubts);
    bool news = std::exchange(name.problem, nullptr) != nullptr;
    if (sure) {
      name.failures = 0;
      name.settled = true;
      news = std::exchange(name.doubted, false) || news;
    }
    auto addresses =
        sure ? answer.addresses : with_family(answer.addresses, name.addresses, answer.unsure);
    if (news || !same_set(name.addresses, addresses)) {
      name.addresses = std::move(addresses);
      for (const auto& state : name.subscribers)
        state->deliver(list_for(name.addresses, state->port));
    }
    if (!sure) doubt(name, answer.problem);
  }

  void doubt(Name<State>& name, const char* problem) {
    name.due = std::min(name.due, Clock::now() + retry_delay(name.failures++));
    if (!std::exchange(name.doubted, true)) tell_failure(name, problem);
  }

  void failed(Name<State>& name, const char* problem) {
    name.due = Clock::now() + retry_delay(name.failures++);
    if (name.problem != nullptr) return;
    name.problem = problem;
    tell_failure(name, problem);
  }

  static void tell_failure(const Name<State>& name, const char* problem) {
    for (const auto& state : name.subscribers) state->deliver(no_answer(problem));
  }

  Duration retry_delay(int failures) {
    const double doubled =
        std::ldexp(static_cast<double>(options_.first_retry.count()), std::min(failures, 30));
    const double capped = std::min(doubled, static_cast<double>(options_.longest_retry.count()));
    return Duration(static_cast<Duration::rep>(
        capped * std::uniform_real_distribution<double>(0.8, 1.2)(random_)));
  }

  const Options options_;
  const Descriptor wake_;
  std::mutex mutex_;  // for the three below
  std::vector<std::shared_ptr<State>> added_;
  bool stopping_ = false;
  std::jthread thread_;
  // The thread's own.
  std::map<std::string, Name<State>> names_;
  std::vector<pollfd> sockets_;
  std::size_t queries_ = 0;
  std::minstd_rand random_;
};

Resolver::Subscription::Subscription() noexcept = default;
Resolver::Subscription::Subscription(std::shared_ptr<State> state) noexcept
    : state_(std::move(state)) {}
Resolver::Subscription::Subscription(Subscription&&) noexcept = default;
Resolver::Subscription& Resolver::Subscription::operator=(Subscription&& other) noexcept {
  if (this != &other) {
    end();
    state_ = std::move(other.state_);
  }
  return *this;
}
Resolver::Subscription::~Subscription() { end(); }

void Resolver::Subscription::end() noexcept {
  if (state_ != nullptr) state_->end();
  state_.reset();
}

Resolver::Resolver() : Resolver(Options()) {}
Resolver::Resolver(Options options) : thread_(std::make_unique<Thread>(std::move(options))) {}
Resolver::~Resolver() = default;

Resolver::Subscription Resolver::subscribe(const std::string& host, std::uint16_t port,
                                           Callback callback) {
  if (const auto known = known_addresses(host)) {
    callback(list_for(*known, port));
    return Subscription();
  }
  auto state = std::make_shared<Subscription::State>(ascii::lower(host), port, std::move(callback));
  try {
    thread_->add(state);
  } catch (const std::system_error&) {
    state->deliver(no_answer("no thread for resolving"));
  }
  return Subscription(std::move(state));
}

void Resolver::retry() noexcept {
  try {
    thread_->retry();
  } catch (const std::system_error&) {
    // There is still none.
  }
}

}  // namespace revproxyd::net

#include "revproxyd/net/loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/version.hpp>

#include "net/poller.h"
#include "revproxyd/base/deadline.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/base/ready_queue.h"

namespace revproxyd::net {

namespace asio = boost::asio;

namespace {
thread_local Loop* current_loop = nullptr;
// Batches taken before Asio's own handlers get their turn.
constexpr int kBatchesPerTurn = 32;
constexpr Duration kLongestWait{60'000};
constexpr const char* kNoLoop = "cannot make an event loop";
}  // namespace

// Only this thread touches I/O objects of the context; post() from elsewhere stays safe.
struct Loop::Asio {
  explicit Asio(int poller_fd)
      : context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO),
        guard(context.get_executor()),
        poller(context, poller_fd),
        timer(context) {}
  // The descriptor belongs to the Poller.
  ~Asio() { poller.release(); }
  asio::io_context context;
  asio::executor_work_guard<asio::io_context::executor_type> guard;
  asio::posix::stream_descriptor poller;
  asio::steady_timer timer;
  TimePoint armed = TimePoint::max();
  bool watching = false;  // the poller's descriptor is being waited for
  bool waits = false;     // the loop waits here and not in the poller
};

// Ends the poller's wait when another thread has posted.
struct Loop::Doorbell final : Watcher {
  explicit Doorbell(Poller& of) : poller(of), fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (fd < 0 || !poller.add(fd, readiness))
      throw std::system_error(errno, std::system_category(), "eventfd");
    readiness.watch(this);
  }
  ~Doorbell() {
    poller.remove(fd, readiness);
    ::close(fd);
  }
  void ring() noexcept {
    if (rung.exchange(true)) return;
    const std::uint64_t one = 1;
    ignore(::write(fd, &one, sizeof one), "a full counter rings as well");
  }
  void on_input() noexcept override {
    std::uint64_t count = 0;
    ignore(::read(fd, &count, sizeof count), "whoever rings from now on rings again");
    rung.store(false);
    heard = true;
  }
  Poller& poller;
  Readiness readiness;
  int fd;
  std::atomic<bool> rung = false;
  bool heard = false;
};

// Asio's errors come with its own names of things; whoever starts a daemon knows nothing of them.
Loop::Loop() try
    : poller_(std::make_unique<Poller>()),
      asio_(std::make_unique<Asio>(poller_->fd())),
      doorbell_(std::make_unique<Doorbell>(*poller_)) {
  assert(current_loop == nullptr);
  current_loop = this;
  TimerWheel::current().advance(Clock::now());
} catch (const boost::system::system_error& problem) {
  throw std::system_error(problem.code().value(), std::generic_category(), kNoLoop);
} catch (const std::system_error& problem) {
  throw std::system_error(problem.code(), kNoLoop);
}

Loop::~Loop() {
  while (posting_.load() != 0) std::this_thread::yield();
  asio_.reset();
  doorbell_.reset();
  current_loop = nullptr;
}

Loop& Loop::current() noexcept {
  assert(current_loop != nullptr);
  return *current_loop;
}

bool Loop::is_current() const noexcept { return current_loop == this; }

boost::asio::io_context& Loop::context() noexcept {
  asio_->waits = true;
  return asio_->context;
}

void Loop::post(std::function<void()> function) {
  posting_.fetch_add(1);
  asio::post(asio_->context, [function = std::move(function)] {
    TimerWheel::current().advance(Clock::now());
    function();
  });
  doorbell_->ring();
  posting_.fetch_sub(1);
}

void Loop::stop() noexcept {
  post([this] { stopped_ = true; });
}

void Loop::run() {
  while (!stopped_) run_for(kLongestWait);
}

void Loop::run_for(Duration limit) {
  if (!asio_->waits) {
    // Under load the next events are nearly here: looking once more is cheaper than being put to
    // sleep and woken.
    if (!batch(Duration::zero())) batch(limit);
    return;
  }
  const bool busy = turn();
  arm_poller();
  arm_timer();
  const std::size_t ran = busy ? asio_->context.poll_one() : asio_->context.run_one_for(limit);
  if (ran != 0) turn();
}

// Whatever handler Asio ran, a turn follows: this one has only to end Asio's wait.
void Loop::arm_poller() {
  if (asio_->watching) return;
  asio_->watching = true;
  asio_->poller.async_wait(asio::posix::descriptor_base::wait_read,
                           [this](const boost::system::error_code& error) {
                             if (!error) asio_->watching = false;
                           });
}

// Takes batches while the kernel has any. True when anything was to be done.
bool Loop::turn() {
  bool busy = false;
  for (int count = 0; count < kBatchesPerTurn && batch(Duration::zero()); ++count) busy = true;
  return busy;
}

// Events, and what becomes ready by them; waits for the first of them where nothing is ready yet.
bool Loop::batch(Duration wait) {
  auto& ready = ReadyQueue::current();
  const Duration limit = ready.empty() ? until_timer(wait) : Duration::zero();
  const bool waits = limit != Duration::zero();
  if (waits) note_busy(Clock::now());
  const std::size_t events = poller_->poll(limit);
  const TimePoint now = Clock::now();
  if (!waits) note_busy(now);
  awake_ = now;
  // A busy batch is followed by one that does not wait, so that the time between was its own.
  if (!waits && now > allowed_) note_long(std::chrono::duration_cast<Duration>(now - allowed_));
  allowed_ = now + limits::kLongTurn;
  // What has come is not late because this thread was.
  TimerWheel::current().set_now(now);
  poller_->dispatch();
  TimerWheel::current().advance(now);
  const bool busy = events != 0 || !ready.empty();
  ready.run(limits::kReadyBatch);
  if (std::exchange(doorbell_->heard, false)) asio_->context.poll();
  return busy;
}

Duration Loop::until_timer(Duration most) const noexcept {
  if (most.count() <= 0) return most;
  const auto next = TimerWheel::current().next();
  if (!next) return most;
  return std::clamp(std::chrono::ceil<Duration>(*next - Clock::now()), Duration::zero(), most);
}

// `over`: how much longer the batch took than it may.
void Loop::note_long(Duration over) noexcept {
  if (counts_ == nullptr) return;
  const auto time = std::chrono::duration_cast<std::chrono::microseconds>(over + limits::kLongTurn);
  const auto us = static_cast<std::uint64_t>(time.count());
  counts_->long_turns.add();
  counts_->long_turn_us.set(us);
  if (us > counts_->longest_turn_us.value()) counts_->longest_turn_us.set(us);
}

void Loop::note_busy(TimePoint until) noexcept {
  if (counts_ == nullptr) return;
  uncounted_ += until - awake_;
  const auto time = std::chrono::floor<std::chrono::microseconds>(uncounted_);
  uncounted_ -= time;
  counts_->busy_us.add(static_cast<std::uint64_t>(time.count()));
}

void Loop::arm_timer() {
  if (!ReadyQueue::current().empty()) {
    asio::post(asio_->context, [] {});
    return;
  }
  const auto next = TimerWheel::current().next();
  // An earlier wake-up than needed is cheaper than moving the timer at every turn.
  if (!next || asio_->armed <= *next) return;
  asio_->armed = *next;
  asio_->timer.expires_at(*next);
  asio_->timer.async_wait([this](const boost::system::error_code& error) {
    if (!error) asio_->armed = TimePoint::max();
  });
}

std::string loop_library_version() {
  return "Boost " + std::to_string(BOOST_VERSION / 100000) + "." +
         std::to_string(BOOST_VERSION / 100 % 1000) + "." + std::to_string(BOOST_VERSION % 100);
}

}  // namespace revproxyd::net

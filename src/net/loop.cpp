#include "revproxyd/net/loop.h"

#include <unistd.h>

#include <cassert>

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
};

Loop::Loop() : poller_(std::make_unique<Poller>()), asio_(std::make_unique<Asio>(poller_->fd())) {
  assert(current_loop == nullptr);
  current_loop = this;
  TimerWheel::current().advance(Clock::now());
}

Loop::~Loop() {
  asio_.reset();
  current_loop = nullptr;
}

Loop& Loop::current() noexcept {
  assert(current_loop != nullptr);
  return *current_loop;
}

boost::asio::io_context& Loop::context() noexcept { return asio_->context; }

void Loop::post(std::function<void()> function) {
  asio::post(asio_->context, [function = std::move(function)] {
    TimerWheel::current().advance(Clock::now());
    function();
  });
}

void Loop::stop() noexcept {
  asio::post(asio_->context, [this] { stopped_ = true; });
}

void Loop::run() {
  while (!stopped_) {
    arm_poller();
    arm_timer();
    asio_->context.run_one();
    turn();
  }
}

void Loop::run_for(Duration limit) {
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

// Takes batches while the kernel has any: under load the way back through Asio is paid once for
// many batches. True when anything was to be done.
bool Loop::turn() {
  auto& ready = ReadyQueue::current();
  auto& wheel = TimerWheel::current();
  bool busy = false;
  for (int batch = 0; batch < kBatchesPerTurn; ++batch) {
    wheel.advance(Clock::now());
    const std::size_t events = poller_->poll();
    busy = busy || events != 0 || !ready.empty();
    const bool more = ready.run(limits::kReadyBatch);
    if (events == 0 && !more) break;
  }
  return busy;
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

#include "revproxyd/net/signals.h"

#include <system_error>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "revproxyd/base/deadline.h"

namespace revproxyd::net {

SignalHold::SignalHold(std::span<const int> numbers) noexcept {
  sigset_t held;
  ::sigemptyset(&held);
  for (int number : numbers) ::sigaddset(&held, number);
  ::pthread_sigmask(SIG_BLOCK, &held, &before_);
}

SignalHold::~SignalHold() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

struct Signals::State : std::enable_shared_from_this<Signals::State> {
  State(Loop& loop, std::span<const int> taken, std::function<void(int)> call)
      : numbers(taken.begin(), taken.end()), set(loop.context()), handler(std::move(call)) {
    for (int number : numbers) set.add(number);
  }
  ~State() {
    const SignalHold hold(numbers);
    set.clear();
    for (int number : numbers) ::signal(number, SIG_IGN);
  }
  // A signal that has come is told later, be the set gone by then.
  void wait() {
    set.async_wait([weak = weak_from_this()](const boost::system::error_code& error, int number) {
      const auto self = error ? nullptr : weak.lock();
      if (self == nullptr) return;
      // Asio calls between turns: what is armed now counts from now.
      TimerWheel::current().set_now(Clock::now());
      self->handler(number);
      self->wait();
    });
  }
  std::vector<int> numbers;
  boost::asio::signal_set set;
  std::function<void(int)> handler;
};

Signals::Signals(Loop& loop, std::span<const int> numbers, std::function<void(int)> handler) try
    : state_(std::make_shared<State>(loop, numbers, std::move(handler))) {
  state_->wait();
} catch (const boost::system::system_error& problem) {
  throw std::system_error(problem.code().value(), std::generic_category(), "cannot take signals");
}

Signals::~Signals() = default;

}  // namespace revproxyd::net

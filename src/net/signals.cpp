#include "revproxyd/net/signals.h"

#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

namespace revproxyd::net {

SignalHold::SignalHold(std::span<const int> numbers) noexcept {
  sigset_t held;
  ::sigemptyset(&held);
  for (int number : numbers) ::sigaddset(&held, number);
  ::pthread_sigmask(SIG_BLOCK, &held, &before_);
}

SignalHold::~SignalHold() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

struct Signals::State {
  State(Loop& loop, std::span<const int> taken, std::function<void(int)> call)
      : numbers(taken.begin(), taken.end()), set(loop.context()), handler(std::move(call)) {
    for (int number : numbers) set.add(number);
    wait();
  }
  ~State() {
    const SignalHold hold(numbers);
    set.clear();
    for (int number : numbers) ::signal(number, SIG_IGN);
  }
  void wait() {
    set.async_wait([this](const boost::system::error_code& error, int number) {
      if (error) return;
      handler(number);
      wait();
    });
  }
  std::vector<int> numbers;
  boost::asio::signal_set set;
  std::function<void(int)> handler;
};

Signals::Signals(Loop& loop, std::span<const int> numbers, std::function<void(int)> handler)
    : state_(std::make_unique<State>(loop, numbers, std::move(handler))) {}

Signals::~Signals() = default;

}  // namespace revproxyd::net

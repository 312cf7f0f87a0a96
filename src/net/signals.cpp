#include "revproxyd/net/signals.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

namespace revproxyd::net {

struct Signals::State {
  State(Loop& loop, std::function<void(int)> call)
      : set(loop.context()), handler(std::move(call)) {}
  void wait() {
    set.async_wait([this](const boost::system::error_code& error, int number) {
      if (error) return;
      handler(number);
      wait();
    });
  }
  boost::asio::signal_set set;
  std::function<void(int)> handler;
};

Signals::Signals(Loop& loop, std::initializer_list<int> numbers, std::function<void(int)> handler)
    : state_(std::make_unique<State>(loop, std::move(handler))) {
  for (int number : numbers) state_->set.add(number);
  state_->wait();
}

Signals::~Signals() = default;

}  // namespace revproxyd::net

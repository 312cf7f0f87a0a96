#pragma once
// Signals of the process as calls on a loop.

#include <functional>
#include <initializer_list>
#include <memory>

#include "revproxyd/net/loop.h"

namespace revproxyd::net {

/// Takes the named signals over for the process while it lives; `handler` runs on the loop's
/// thread.
class Signals {
 public:
  Signals(Loop& loop, std::initializer_list<int> numbers, std::function<void(int)> handler);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace revproxyd::net

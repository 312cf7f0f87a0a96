#pragma once
// Signals of the process as calls on a loop.

#include <signal.h>

#include <functional>
#include <memory>
#include <span>

#include "revproxyd/net/loop.h"

namespace revproxyd::net {

/// Keeps the named signals from the calling thread, and from threads that it starts, while it
/// lives: one that comes meanwhile is delivered at its end, and ends no process that has no handler
/// yet.
class SignalHold {
 public:
  explicit SignalHold(std::span<const int> numbers) noexcept;
  ~SignalHold();
  SignalHold(const SignalHold&) = delete;
  SignalHold& operator=(const SignalHold&) = delete;

 private:
  sigset_t before_;
};

/// Takes the named signals over for the process while it lives; `handler` runs on the loop's
/// thread. Afterwards they are ignored: they cannot end what is ending by itself.
class Signals {
 public:
  /// Throws std::system_error when there is no descriptor for it.
  Signals(Loop& loop, std::span<const int> numbers, std::function<void(int)> handler);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace revproxyd::net

#include "revproxyd/base/thread.h"

#include <csignal>
#include <utility>

namespace revproxyd {

namespace {

/// A thread begins with the mask of the one that makes it.
class AllHeld {
 public:
  AllHeld() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllHeld() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllHeld(const AllHeld&) = delete;
  AllHeld& operator=(const AllHeld&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

std::jthread thread_without_signals(std::function<void()> body) {
  const AllHeld held;
  return std::jthread(std::move(body));
}

}  // namespace revproxyd

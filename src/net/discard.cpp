#include "revproxyd/net/discard.h"

#include <array>

#include "revproxyd/base/limits.h"

namespace revproxyd::net {

// All of a thread read over each other: nothing is ever looked at.
Task<Result<std::size_t>> discard_some(Transport& transport) {
  static thread_local std::array<char, limits::kGather> waste;
  return read_some(transport, waste);
}

Task<void> discard(Transport& transport, std::size_t most) {
  // A stream that always has input never waits, which is where the deadline would end it.
  for (std::size_t dropped = 0;
       dropped < most && transport.readiness().read_expired() == Code::none;) {
    auto got = co_await discard_some(transport);
    if (!got || *got == 0) co_return;
    dropped += *got;
  }
}

}  // namespace revproxyd::net

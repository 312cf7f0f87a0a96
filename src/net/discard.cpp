#include "revproxyd/net/discard.h"

#include <algorithm>

#include "revproxyd/base/limits.h"

namespace revproxyd::net {

Task<void> discard(Transport& transport, std::size_t most) {
  // A stream that always has input never waits, which is where the deadline would end it.
  for (std::size_t dropped = 0;
       dropped < most && transport.readiness().read_expired() == Code::none;) {
    auto got = co_await discard_some(transport);
    if (!got || *got == 0) co_return;
    dropped += std::max(*got, limits::kDiscardLeast);
  }
}

}  // namespace revproxyd::net

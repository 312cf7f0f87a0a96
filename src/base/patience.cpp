#include "revproxyd/base/patience.h"

#include "revproxyd/base/deadline.h"

namespace revproxyd {

namespace {

Task<Code> wait_for(Event& event) {
  auto code = co_await event.wait();
  co_return code;
}

}  // namespace

Task<Code> wait_within(Event& event, Duration limit, Code late) {
  CancelScope* parent = co_await current_scope();
  CancelScope patience(parent);
  Deadline deadline(patience);
  deadline.set(limit, late);
  auto waiting = wait_for(event);
  auto scoped = std::move(waiting).under(patience);
  auto code = co_await std::move(scoped);
  co_return code;
}

}  // namespace revproxyd

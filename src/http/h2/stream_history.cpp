#include "http/h2/stream_history.h"

#include <algorithm>

namespace revproxyd::http::h2 {

namespace {

constexpr std::size_t kResetsKnown = 256;

}  // namespace

void StreamHistory::note_opened(StreamId id) noexcept {
  if (id > last_opened_ + 2) {
    skipped_from_ = last_opened_ + 2;
    skipped_to_ = id - 2;
  }
  last_opened_ = id;
}

void StreamHistory::note_reset(StreamId id) {
  if (resets_.size() == kResetsKnown) {
    forgotten_resets_ = std::max(forgotten_resets_, resets_.front());
    resets_.erase(resets_.begin());
  }
  resets_.push_back(id);
}

bool StreamHistory::was_reset(StreamId id) const noexcept {
  // Mostly it is one of the latest.
  return std::find(resets_.rbegin(), resets_.rend(), id) != resets_.rend();
}

std::optional<ErrorCode> StreamHistory::fault_of_frame(StreamId id) const noexcept {
  if (id == 0 || id > last_opened_ || forgot(id) || was_reset(id)) return {};
  const bool never_opened = id >= skipped_from_ && id <= skipped_to_;
  return never_opened ? ErrorCode::protocol_error : ErrorCode::stream_closed;
}

}  // namespace revproxyd::http::h2

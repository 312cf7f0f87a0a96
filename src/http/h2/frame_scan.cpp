#include "http/h2/frame_scan.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace revproxyd::http::h2 {

namespace {

constexpr std::uint8_t kData = 0x0;
constexpr std::uint8_t kHeaders = 0x1;
constexpr std::uint8_t kPriority = 0x2;
constexpr std::uint8_t kWindowUpdate = 0x8;
constexpr std::uint8_t kLastKnown = 0x9;  // CONTINUATION
constexpr std::uint8_t kPriorityUpdate = 0x10;
constexpr std::uint8_t kEndStream = 0x1;

// 31 bits behind one that is reserved.
std::uint32_t number_at(const std::uint8_t* bytes) noexcept {
  return (static_cast<std::uint32_t>(bytes[0]) << 24 | static_cast<std::uint32_t>(bytes[1]) << 16 |
          static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3]) &
         0x7fffffffU;
}

std::size_t length_of(const std::uint8_t* head) noexcept {
  return static_cast<std::size_t>(head[0]) << 16 | static_cast<std::size_t>(head[1]) << 8 | head[2];
}

}  // namespace

// Of a frame so much is kept: its head, and the number behind it where that is looked at.
std::size_t FrameScan::wanted() const noexcept {
  if (have_ < kFrameHead) return kFrameHead;
  const std::size_t length = length_of(seen_.data());
  const bool number =
      (seen_[3] == kPriority && length == 5) || (seen_[3] == kWindowUpdate && length == 4);
  return number ? kSeen : kFrameHead;
}

void FrameScan::scan(Bytes bytes, Finder& finder) noexcept {
  const char* const begin = bytes.data();
  std::size_t head_at = 0;
  while (!bytes.empty()) {
    const std::size_t skipped = std::min(skip_, bytes.size());
    skip_ -= skipped;
    bytes.remove_prefix(skipped);
    if (have_ == 0) head_at = static_cast<std::size_t>(bytes.data() - begin);
    const std::size_t taken = std::min(wanted() - have_, bytes.size());
    std::memcpy(seen_.data() + have_, bytes.data(), taken);
    have_ += taken;
    bytes.remove_prefix(taken);
    if (have_ < wanted() || have_ == 0) continue;
    const std::size_t seen = std::exchange(have_, 0);
    if (!finder.on_frame({seen_[3], length_of(seen_.data())}, head_at)) return;
    look(finder, head_at, seen == kSeen);
    if (finder.done()) return;
    skip_ = length_of(seen_.data()) - (seen - kFrameHead);
  }
}

// `numbered`: the first number of the payload was kept too.
void FrameScan::look(Finder& finder, std::size_t at, bool numbered) const noexcept {
  const std::uint32_t stream = number_at(seen_.data() + 5);
  const std::uint32_t number = numbered ? number_at(seen_.data() + kFrameHead) : 1;
  switch (seen_[3]) {
    case kData:
      if (length_of(seen_.data()) == 0 && (seen_[4] & kEndStream) == 0) finder.on_idle_head();
      return finder.on_data_head(stream, at);
    case kHeaders: return finder.on_request_head(stream, at);
    case kPriority:
      if (stream == 0 || (numbered && number == stream)) finder.on_bad_priority();
      return;
    case kWindowUpdate:
      if (number == 0) finder.on_empty_update(stream);
      return;
    default:
      if (seen_[3] > kLastKnown && seen_[3] != kPriorityUpdate) finder.on_idle_head();
      return;
  }
}

}  // namespace revproxyd::http::h2

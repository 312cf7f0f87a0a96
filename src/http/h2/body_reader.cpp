#include "http/h2/body_reader.h"

#include <algorithm>
#include <utility>

#include "http/h2/link.h"
#include "revproxyd/base/patience.h"

namespace revproxyd::http::h2 {

namespace {

// A stream's window bounds its speed by a window a round trip. It grows up to the first for a
// reader that keeps waiting for the sender, all those of a connection together by no more than the
// second.
constexpr std::size_t kMostWindow = 512 * 1024;
constexpr std::size_t kMostWider = 512 * 1024;

}  // namespace

void ReceiveBudget::received(std::size_t bytes) noexcept {
  held_ += bytes;
  if (held_ <= most_) {
    session_.consume_connection(bytes);
  } else {
    owed_ += bytes;
  }
}

void ReceiveBudget::taken(std::size_t bytes) noexcept {
  held_ -= bytes;
  const std::size_t back = std::min(owed_, bytes);
  owed_ -= back;
  if (back == 0) return;
  session_.consume_connection(back);
  link_.look();
}

bool ReceiveBudget::widen(std::size_t bytes) noexcept {
  if (wider_ + bytes > kMostWider) return false;
  wider_ += bytes;
  return true;
}

BodyReader::~BodyReader() {
  release_view();
  budget_.narrow(window_ - SessionSettings().stream_window);
  budget_.taken(queue_.size());
}

void BodyReader::add(Bytes bytes) {
  budget_.received(bytes.size());
  queue_.append(bytes);
  changed_.set();
}

void BodyReader::end() noexcept {
  ended_ = true;
  changed_.set();
}

void BodyReader::end(Fields trailers) noexcept {
  if (!trailers.empty()) trailers_.emplace(std::move(trailers));
  end();
}

void BodyReader::fail(const Error& error) noexcept {
  if (ended_ || failed()) return;
  error_ = error;
  changed_.set();
}

// The sender may send as much as was read.
void BodyReader::release_view() noexcept {
  if (view_.empty()) return;
  budget_.taken(view_.size());
  session_.consume_stream(id_, view_.size());
  widen(view_.size());
  view_.clear();
  link_.look();
}

void BodyReader::widen(std::size_t taken) noexcept {
  since_wider_ += taken;
  if (!queue_.empty() || ended_ || failed()) return;
  if (since_wider_ < window_ || window_ >= kMostWindow || !budget_.widen(window_)) return;
  since_wider_ = 0;
  window_ *= 2;
  session_.widen_stream(id_, window_);
}

Task<Result<Piece>> BodyReader::read() {
  release_view();
  if (ready()) return Task<Result<Piece>>::settled(take());
  return wait_and_take();
}

Result<Piece> BodyReader::take() {
  if (queue_.empty() && failed()) return error_;
  std::swap(view_, queue_);
  received_ += view_.size();
  if (rules_.max_bytes != 0 && received_ > rules_.max_bytes)
    return Error(Code::body_too_large, side_, "body exceeds max_body");
  changed_.clear();
  return Piece(view_.held(), ended_);
}

Task<Result<Piece>> BodyReader::wait_and_take() {
  const CancelScope* scope = co_await current_scope();
  changed_.clear();
  while (!ready()) {
    const TimePoint begun = loop_now();
    auto code = co_await wait_within(changed_, rules_.stall, rules_.stall_code);
    const bool cancelled = scope != nullptr && scope->cancelled();
    // Other streams have taken the window of the connection: not the sender's fault.
    if (budget_.withholds() && !cancelled) continue;
    if (code != Code::none) co_return Error(code, side_, "wait for the body ended");
    rate_.waited(since(begun));
    if (rate_.too_slow(received_ + queue_.size(), rules_.min_rate))
      co_return Error(Code::body_too_slow, side_, "body comes slower than min_rate");
  }
  co_return take();
}

}  // namespace revproxyd::http::h2

// What a session does with its input: how much of it a turn takes, and what nghttp2 does not judge.

#include <nghttp2/nghttp2.h>

#include "http/h2/session.h"
#include "revproxyd/base/limits.h"

namespace revproxyd::http::h2 {

Result<std::size_t> Session::receive(Bytes bytes) {
  if (deaf_) return bytes.size();
  input_ = bytes;
  fed_ = 0;
  fed_result_ = 0;
  weight_ = 0;
  paused_ = false;
  if (role_ == Role::server) scan_.scan(bytes, *this);
  if (!paused_) feed(bytes.size());
  if (fed_result_ >= 0 || deaf_) return deaf_ ? bytes.size() : fed_;
  // Most errors have queued their own GOAWAY; these have not.
  const int code = static_cast<int>(fed_result_);
  if (code == NGHTTP2_ERR_BAD_CLIENT_MAGIC) terminate(ErrorCode::protocol_error);
  if (code == NGHTTP2_ERR_FLOODED || code == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
    terminate(ErrorCode::enhance_your_calm);
  if (code == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
    return Error(Code::header_flood, nghttp2_strerror(code));
  if (code == NGHTTP2_ERR_FLOODED) return Error(Code::ping_flood, nghttp2_strerror(code));
  return failure(code);
}

void Session::feed(std::size_t until) noexcept {
  if (until <= fed_ || fed_result_ < 0 || deaf_) return;
  const Bytes part = input_.substr(fed_, until - fed_);
  fed_ = until;
  fed_result_ = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const std::uint8_t*>(part.data()), part.size());
}

// A head costs as much as many other frames, and more when it is long; one that is continued counts
// piece by piece. What a turn cannot take begins the next one.
bool Session::on_frame(const FrameScan::Frame& frame, std::size_t at) noexcept {
  if (frame.type == NGHTTP2_HEADERS || frame.type == NGHTTP2_CONTINUATION) {
    weight_ += limits::kTurnHead + frame.length / limits::kTurnHeadBytes;
  } else {
    ++weight_;
  }
  paused_ = at != 0 && weight_ > limits::kTurnFrames;
  if (paused_) feed(at);
  return !paused_;
}

// When everything before it has been taken: what comes for closed streams, or too late, is skipped
// without a word.
void Session::on_request_head(std::uint32_t stream, std::size_t at) noexcept {
  feed(at);
  const auto id = static_cast<StreamId>(stream);
  if (id <= history_.last_opened() && history_.was_reset(id))
    owner_.on_idle_frame(Idle::empty_frame);
  if (parted_ && id > history_.last_opened()) owner_.on_late_request();
  check_closed(id);
}

// RFC 9113 section 5.1: nothing may come for a stream that has ended, but for what was on its way
// when this side reset it.
void Session::check_closed(StreamId id) noexcept {
  if (role_ != Role::server || id > history_.last_opened()) return;
  if (nghttp2_session_find_stream(session_, id) != nullptr) return;
  if (const auto fault = history_.fault_of_frame(id); fault) terminate(*fault);
}

void Session::on_data_head(std::uint32_t stream, std::size_t at) noexcept {
  feed(at);
  check_closed(static_cast<StreamId>(stream));
}

// nghttp2 judges it for streams that are open.
void Session::on_empty_update(std::uint32_t stream) noexcept {
  const auto id = static_cast<StreamId>(stream);
  if (id <= history_.last_opened() && nghttp2_session_find_stream(session_, id) == nullptr)
    terminate(ErrorCode::protocol_error);
}

}  // namespace revproxyd::http::h2

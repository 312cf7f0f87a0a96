#include "http/h2/message_writer.h"

#include <utility>

#include "http/framing.h"
#include "http/h2/header_map.h"
#include "http/h2/link.h"
#include "revproxyd/base/patience.h"

namespace revproxyd::http::h2 {

void MessageWriter::begin(StreamId id, BodyLength length, bool bodiless) noexcept {
  count_from(link_.sent());
  id_ = id;
  length_ = length;
  begun_ = true;
  complete_ = bodiless;
}

void MessageWriter::hold_stall(bool held) noexcept {
  held_ = held;
  if (!taken()) link_.uptake().excuse(*this);
  if (!held) progress_.set();
}

void MessageWriter::fail(const Error& error) noexcept {
  if (error_.code() == Code::none) error_ = error;
  rest_ = {};
  progress_.set();
}

Outgoing MessageWriter::take(std::size_t most) noexcept {
  Outgoing out;
  deferred_ = true;
  if (error_.code() != Code::none) return out;
  out.bytes = rest_.substr(0, most);
  if (!out.bytes.empty()) {
    rest_.remove_prefix(out.bytes.size());
    sent_ += out.bytes.size();
    link_.uptake().carries(uptake_rules().stall);
    progress_.set();
  }
  out.whole = rest_.empty();
  if (rest_.empty() && last_) {
    out.end = complete_ = true;
    progress_.set();
  }
  deferred_ = out.nothing();
  return out;
}

Task<Result<void>> MessageWriter::send(Piece piece) {
  using Sent = Task<Result<void>>;
  if (error_.code() != Code::none) return Sent::settled(error_);
  if (length_.framing == Framing::none) piece.bytes = {};
  if (auto counted = count(piece); !counted) return Sent::settled(counted);
  if (complete_ || (piece.bytes.empty() && !piece.last)) {
    link_.produce();
    return Sent::settled(Result<void>());
  }
  // What take() gives would wait for a window, a trailer section does not.
  if (piece.bytes.empty() && session_.window_closed(id_) && session_.is_open(id_))
    return Sent::settled(end_with({}));
  rest_ = piece.bytes;
  last_ = piece.last;
  if (std::exchange(deferred_, false)) session_.resume(id_);
  link_.produce();
  if (error_.code() != Code::none) return Sent::settled(error_);
  return taken() ? Sent::settled(Result<void>()) : wait_taken();
}

// A closed window is the peer's doing, that of the connection only when it stays closed for all
// streams. That the kernel takes nothing is as well; the link looks at it. Else the session sends
// other streams first.
Task<Result<void>> MessageWriter::wait_taken() {
  const CancelScope* scope = co_await current_scope();
  const UptakeWatch::Wait wait(link_.uptake(), *this);
  while (!taken()) {
    progress_.clear();
    const bool closed = session_.window_closed(id_);
    const std::uint64_t before = session_.content_sent();
    const TimePoint begun = loop_now();
    auto code = co_await wait_within(progress_, rules_.stall, stall_code_);
    if (error_.code() != Code::none) co_return error_;
    // At the last moment, when this had been woken already.
    if (taken()) code = Code::none;
    const bool cancelled = scope != nullptr && scope->cancelled();
    const bool in_turn = !session_.stream_window_closed(id_) &&
                         moves(session_.content_sent() - before, since(begun));
    const bool blocked = closed && !in_turn;
    const bool too_long = blocked && !held_ && session_.window_closed(id_);
    if (code != Code::none && !cancelled && !too_long) continue;
    if (code != Code::none)
      co_return give_up(Error(code, side_, "peer does not take what is sent"));
    if (blocked) rate_.waited(since(begun));
    if (!taken() && rate_.too_slow(sent_, rules_.min_rate))
      co_return give_up(Error(Code::body_too_slow, side_, "peer takes less than min_rate"));
  }
  co_return {};
}

// What has been taken whole meanwhile is no failure.
void MessageWriter::on_slow(Uptake::Verdict verdict) noexcept {
  if (error_.code() != Code::none || taken()) return;
  const auto why = verdict == Uptake::Verdict::too_slow
                       ? Error(Code::body_too_slow, side_, "peer takes less than min_rate")
                       : Error(stall_code_, side_, "peer does not take what is sent");
  ignore(give_up(why), "whoever waits is told");
}

// The peer takes what it has to, of any stream.
bool MessageWriter::moves(std::uint64_t bytes, Duration time) const noexcept {
  return bytes != 0 && bytes * 1000 >= rules_.min_rate * static_cast<std::uint64_t>(time.count());
}

// What is being sent goes with the caller, and the message never ends: it must not pass for whole.
Error MessageWriter::give_up(const Error& error) noexcept {
  fail(error);
  last_ = false;
  return error;
}

Result<void> MessageWriter::count(const Piece& piece) noexcept {
  auto checked = check_sent(length_, handed_ + piece.bytes.size(), piece.last);
  if (checked) handed_ += piece.bytes.size();
  return checked;
}

Task<Result<void>> MessageWriter::finish(const Fields& trailers) {
  using Sent = Task<Result<void>>;
  if (error_.code() != Code::none) return Sent::settled(error_);
  if (complete_) return Sent::settled(Result<void>());
  if (auto checked = check_sent(length_, handed_, true); !checked) return Sent::settled(checked);
  WireFields fields;
  write_trailers(trailers, fields);
  if (fields.empty()) return send(Piece({}, true));
  return session_.is_open(id_) ? Sent::settled(end_with(fields)) : end_behind_head(fields);
}

// The views are those of the caller's trailers.
Task<Result<void>> MessageWriter::end_behind_head(WireFields trailers) {
  link_.produce();
  while (!session_.is_open(id_)) {
    progress_.clear();
    auto code = co_await progress_.wait();
    if (error_.code() != Code::none) co_return error_;
    if (code != Code::none) co_return give_up(Error(code, side_, "the head has not been sent"));
  }
  co_return end_with(trailers);
}

Result<void> MessageWriter::end_with(const WireFields& trailers) {
  if (auto submitted = session_.submit_trailers(id_, trailers); !submitted)
    return submitted.error().at(side_);
  complete_ = true;
  link_.produce();
  return {};
}

}  // namespace revproxyd::http::h2

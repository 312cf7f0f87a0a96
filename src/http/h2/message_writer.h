#pragma once
// The sending half of one message: pieces go into frames as the peer's windows allow, straight from
// where they lie.

#include <cstdint>

#include "http/h2/session.h"
#include "http/h2/uptake_watch.h"
#include "http/rate_meter.h"
#include "revproxyd/base/event.h"
#include "revproxyd/base/task.h"
#include "revproxyd/base/units.h"
#include "revproxyd/http/body.h"
#include "revproxyd/http/head.h"

namespace revproxyd::http::h2 {

class Link;

class MessageWriter final : private UptakeWatch::Waiter {
 public:
  MessageWriter(Session& session, Link& link, Side side) noexcept
      : session_(session), link_(link), side_(side) {}

  /// Bounds on a peer that does not take bytes: that leaves a window closed, or does not read.
  void set_rules(const UptakeRules& rules, Code stall_code) noexcept {
    rules_ = rules;
    stall_code_ = stall_code;
  }
  /// While `held`, no wait is too long. Afterwards one that is under way has all of its time again.
  void hold_stall(bool held) noexcept;
  void drop_min_rate() noexcept { rules_.min_rate = 0; }

  /// The head has been submitted on stream `id`; `length` is what it announced. `bodiless`: the
  /// head ended the message.
  void begin(StreamId id, BodyLength length, bool bodiless) noexcept;
  bool begun() const noexcept { return begun_; }

  /// Settled when the session has taken the piece, which is at once unless a window is closed or
  /// the kernel takes nothing.
  Task<Result<void>> send(Piece piece);
  Task<Result<void>> finish(const Fields& trailers);

  /// Of a request, which opens the stream.
  void head_leaves() noexcept { progress_.set(); }
  /// The stream is over; nothing can be sent any more.
  void fail(const Error& error) noexcept;
  /// For SessionStream.
  Outgoing take(std::size_t most) noexcept;

  std::uint64_t body_bytes() const noexcept { return sent_; }
  /// The session has the whole message.
  bool complete() const noexcept { return complete_; }

 private:
  UptakeRules uptake_rules() const noexcept override { return held_ ? UptakeRules() : rules_; }
  void on_slow(Uptake::Verdict verdict) noexcept override;
  Task<Result<void>> wait_taken();
  bool moves(std::uint64_t bytes, Duration time) const noexcept;
  Error give_up(const Error& error) noexcept;
  Result<void> count(const Piece& piece) noexcept;
  Result<void> end_with(const WireFields& trailers);
  Task<Result<void>> end_behind_head(WireFields trailers);
  bool taken() const noexcept { return rest_.empty() && (!last_ || complete_); }

  Session& session_;
  Link& link_;
  Side side_;
  StreamId id_ = 0;
  BodyLength length_;
  UptakeRules rules_;
  Code stall_code_ = Code::write_timeout;
  RateMeter rate_;  // of the waits for a window
  Bytes rest_;      // of the piece that is being sent
  Event progress_;
  Error error_{Code::none};
  std::uint64_t sent_ = 0;    // body bytes that the session has taken
  std::uint64_t handed_ = 0;  // and that it was given
  bool held_ = false;
  bool begun_ = false;
  bool last_ = false;
  bool complete_ = false;
  bool deferred_ = false;  // the session has asked in vain, and does not ask again by itself
};

}  // namespace revproxyd::http::h2

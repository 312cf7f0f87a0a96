#pragma once
// The received half of one message: DATA waits here, within the stream's window, until somebody
// reads it.

#include <cstdint>
#include <optional>

#include "http/h2/session.h"
#include "http/rate_meter.h"
#include "revproxyd/base/buffer.h"
#include "revproxyd/base/event.h"
#include "revproxyd/http/body.h"

namespace revproxyd::http::h2 {

class Link;

/// What all streams of one connection have received and nobody has read yet. The connection's
/// window is given back on receipt while that is little, else when it is read: one stream that
/// nobody reads does not hold up the others, and memory stays bounded.
class ReceiveBudget {
 public:
  ReceiveBudget(Session& session, Link& link, std::size_t most) noexcept
      : session_(session), link_(link), most_(most) {}
  void received(std::size_t bytes) noexcept;
  /// Read, or thrown away.
  void taken(std::size_t bytes) noexcept;
  /// The sender may not send although nobody has read too little of its stream.
  bool withholds() const noexcept { return owed_ != 0 && session_.receive_window() < kLittle; }
  /// A stream's window may grow by so much; false when others have grown as far as they may.
  bool widen(std::size_t bytes) noexcept;
  /// The stream is over.
  void narrow(std::size_t bytes) noexcept { wider_ -= bytes; }

 private:
  static constexpr std::size_t kLittle = 16 * 1024;  // a frame

  Session& session_;
  Link& link_;
  std::size_t most_;
  std::size_t wider_ = 0;  // what all windows have grown by
  std::size_t held_ = 0;
  std::size_t owed_ = 0;  // of the window, to be given back
};

class BodyReader final : public Body {
 public:
  BodyReader(Session& session, Link& link, ReceiveBudget& budget, Side side) noexcept
      : session_(session), link_(link), budget_(budget), side_(side) {}
  ~BodyReader() override;

  void begin(StreamId id) noexcept { id_ = id; }
  void set_rules(const BodyRules& rules) noexcept { rules_ = rules; }

  Task<Result<Piece>> read() override;
  bool ready() const noexcept override { return !queue_.empty() || ended_ || failed(); }
  const Fields* trailers() const noexcept override { return trailers_ ? &*trailers_ : nullptr; }

  /// What came.
  void add(Bytes bytes);
  void end() noexcept;
  void end(Fields trailers) noexcept;
  /// Nothing more will come; what is here is still read first. After the end it changes nothing.
  void fail(const Error& error) noexcept;

  bool ended() const noexcept { return ended_; }
  /// The end was handed out, or there is nothing to hand out before it.
  bool done() const noexcept { return ended_ && queue_.empty(); }
  std::uint64_t received() const noexcept { return received_; }

 private:
  bool failed() const noexcept { return error_.code() != Code::none; }
  void release_view() noexcept;
  void widen(std::size_t taken) noexcept;
  Result<Piece> take();
  Task<Result<Piece>> wait_and_take();

  Session& session_;
  Link& link_;
  ReceiveBudget& budget_;
  Side side_;
  StreamId id_ = 0;
  BodyRules rules_;
  RateMeter rate_;
  Buffer queue_;
  Buffer view_;  // what was handed out last
  Event changed_;
  Error error_{Code::none};
  std::optional<Fields> trailers_;
  std::uint64_t received_ = 0;  // handed out
  std::size_t window_ = SessionSettings().stream_window;
  std::size_t since_wider_ = 0;  // taken
  bool ended_ = false;
};

}  // namespace revproxyd::http::h2

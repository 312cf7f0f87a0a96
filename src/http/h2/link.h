#pragma once
// Moves bytes between a transport and a session without a coroutine: input is taken when it comes,
// output of all streams goes out together at the end of the turn.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "http/h2/session.h"
#include "http/h2/uptake_watch.h"
#include "revproxyd/base/buffer.h"
#include "revproxyd/base/deadline.h"
#include "revproxyd/base/ready_queue.h"
#include "revproxyd/net/transport.h"

namespace revproxyd::http::h2 {

/// Holds no buffer while the connection is idle: input is read into one of the thread and kept only
/// where it is more than a turn takes, output is kept only until the kernel takes it. Input that is
/// kept is late work. A peer that does not read what its frames are answered by
/// is not read any more.
class Link final : private net::Watcher, private TurnEnd {
 public:
  class Owner {
   public:
    /// Input was taken; once a batch.
    virtual void on_input_taken() noexcept = 0;
    /// The connection is of no more use; once. Nothing is sent or received any more.
    virtual void on_link_failed(const Error& error) noexcept = 0;
    /// The session is over and everything has been sent, or the link has failed; last of all, and
    /// from the loop: the owner may destroy the link in it.
    virtual void on_link_over() noexcept = 0;

   protected:
    ~Owner() = default;
  };

  Link(std::unique_ptr<net::Transport> transport, Session& session, Owner& owner, Side side);
  ~Link();

  /// `stall`: longest wait for the peer to take bytes where no stream that has something to send
  /// allows more, zero is none; it ends with `code`.
  void set_stall(Duration stall, Code code) noexcept {
    uptake_.set_stall(stall);
    stall_code_ = code;
  }
  /// For the streams.
  UptakeWatch& uptake() noexcept { return uptake_; }
  /// Begins with what was read already, if anything.
  void start(Bytes received);
  /// The session has, or may have, something to send: takes it now as far as there is room, sends
  /// it when it is much, else at the end of the turn.
  void produce() noexcept;
  /// Sends what there is at once, as far as the kernel takes it; for who cannot wait.
  void flush() noexcept { send(); }
  /// Looks at the session's state at the end of the turn.
  void look() noexcept { at_turn_end(); }
  /// What is produced already is on its way to the kernel.
  bool drained() const noexcept { return out_.empty(); }
  /// Bytes that the transport has taken.
  std::uint64_t sent() const noexcept { return sent_; }
  /// Ends it from this side, with on_link_failed.
  void fail(const Error& error) noexcept;
  bool failed() const noexcept { return failed_; }
  /// No input is taken any more; the transport is the caller's.
  void stop() noexcept;
  net::Transport& transport() noexcept { return *transport_; }
  /// When bytes were last taken from the transport; at first when the link was made.
  TimePoint last_input() const noexcept { return last_input_; }

 private:
  void on_input() noexcept override { receive(); }
  void on_output() noexcept override;
  void on_turn_end() noexcept override;
  void receive() noexcept;
  bool takes_input() const noexcept;
  void take(Bytes bytes) noexcept;
  std::size_t give(Bytes bytes) noexcept;
  void go_on() noexcept;
  bool peer_left() noexcept;
  void send() noexcept;
  void make_room();
  void write_out() noexcept;
  void write_failed(const Error& error) noexcept;
  void look_at_uptake() noexcept;

  std::unique_ptr<net::Transport> transport_;
  Session& session_;
  Owner& owner_;
  Buffer left_;  // input for the next turns
  Buffer out_;
  LateWork<Link> late_;
  std::size_t piece_;      // to be read at once
  std::size_t usual_ = 0;  // the most that lately was gathered in a turn
  UptakeWatch uptake_;
  MemberTimer<Link> uptake_timer_;  // while the kernel has no room, or not for long
  Code stall_code_ = Code::write_timeout;
  Side side_;
  TimePoint last_input_;
  std::uint64_t sent_ = 0;
  std::optional<Error> write_error_;  // nothing can be sent any more; what has come is still read
  bool blocked_ = false;              // the kernel takes nothing now
  bool input_left_ = false;           // receive() stopped before the transport was empty
  bool read_wants_room_ = false;      // TLS must write before it can read
  bool write_wants_input_ = false;    // and the other way round
  bool inside_ = false;               // the session is at work: it must not be entered again
  bool stopped_ = false;
  bool failed_ = false;
  bool told_over_ = false;
};

}  // namespace revproxyd::http::h2

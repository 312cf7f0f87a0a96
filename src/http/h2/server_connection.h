#pragma once
// The client's side of HTTP/2: many exchanges at once on one transport.

#include <cstdint>
#include <deque>
#include <memory>

#include "http/h2/body_reader.h"
#include "http/h2/conduct.h"
#include "http/h2/link.h"
#include "http/h2/session.h"
#include "http/linger.h"
#include "revproxyd/base/event.h"
#include "revproxyd/http/connection.h"

namespace revproxyd::http::h2 {

class ServerStream;

class ServerConnection final : public http::ServerConnection,
                               private SessionOwner,
                               private Link::Owner {
 public:
  /// `received`: what was read from the transport to find out that HTTP/2 is spoken; `waited`: how
  /// long that took.
  ServerConnection(std::unique_ptr<net::Transport> transport,
                   const ServerConnectionSettings& settings, CancelScope& scope, Bytes received,
                   Duration waited = Duration::zero());
  ~ServerConnection() override;

  Task<Next> next_stream() override;
  void drain() noexcept override;
  void retire() noexcept override { drain(); }
  Task<void> finish() override;
  net::Transport& transport() noexcept override { return link_.transport(); }

 private:
  friend class ServerStream;

  SessionStream* on_stream_opened(StreamId id) override;
  void on_idle_frame(Idle kind) override;
  void on_useful_frame(std::size_t bytes) noexcept override { conduct_.useful_frame(bytes); }
  void on_peer_reset() override;
  void on_provoked_reset() override;
  void on_late_request() override;
  void on_settings() override {}
  void on_ping_answer() override;
  void on_goaway(StreamId last, ErrorCode code) override;
  void on_input_taken() noexcept override;
  void on_link_failed(const Error& error) noexcept override;
  void on_link_over() noexcept override;

  void head_complete(ServerStream& stream) noexcept;
  void stream_ended(ServerStream& stream) noexcept;
  void judge(Verdict verdict) noexcept;
  void give_up(const Error& error) noexcept;
  void part() noexcept;
  void close_to_streams() noexcept;
  void set_clock() noexcept;
  void on_clock() noexcept;
  void close_down() noexcept;
  Task<bool> last_words_sent(Leftover& leftover);

  ServerConnectionSettings settings_;
  CancelScope& scope_;
  Session session_;
  Link link_;
  ReceiveBudget budget_;
  Conduct conduct_;
  enum class Clock : std::uint8_t { off, head, idle };

  MemberTimer<ServerConnection> clock_timer_;  // for a head, or between requests
  MemberTimer<ServerConnection> parting_;      // until no more streams are taken
  std::deque<std::unique_ptr<ServerStream>> opened_;
  std::unique_ptr<ServerStream> incoming_;  // its head is not complete
  Event changed_;
  Event gone_;                 // the session is over and everything was sent, or nothing can be
  Error error_{Code::none};    // ends the connection now
  Error verdict_{Code::none};  // what it was told to go for
  Clock clock_ = Clock::off;
  std::size_t active_ = 0;  // streams that exist as objects
  std::uint64_t served_ = 0;
  TimePoint parted_at_{};
  bool announced_ = false;  // the client knows that no more streams are wanted
  bool parted_ = false;     // and none is taken
  bool over_ = false;
};

}  // namespace revproxyd::http::h2

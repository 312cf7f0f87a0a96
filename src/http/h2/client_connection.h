#pragma once
// The origin's side of HTTP/2: exchanges of many clients share a connection.

#include <cstdint>
#include <limits>
#include <memory>

#include "http/h2/body_reader.h"
#include "http/h2/link.h"
#include "http/h2/session.h"
#include "revproxyd/http/connection.h"

namespace revproxyd::http::h2 {

class ClientStream;

class ClientConnection final : public http::ClientConnection,
                               private SessionOwner,
                               private Link::Owner {
 public:
  ClientConnection(std::unique_ptr<net::Transport> transport,
                   const ClientConnectionSettings& settings, http::ClientConnection::Owner& owner);
  ~ClientConnection() override;

  std::size_t capacity() const noexcept override;
  std::size_t active() const noexcept override { return active_; }
  bool multiplexes() const noexcept override { return true; }
  bool settled() const noexcept override { return settled_; }
  std::unique_ptr<http::ClientStream> open_stream() override;
  bool alive() noexcept override { return usable_; }
  net::Transport& transport() noexcept override { return link_.transport(); }

 private:
  friend class ClientStream;

  SessionStream* on_stream_opened(StreamId) override { return nullptr; }
  void on_idle_frame(Idle) override {}
  void on_useful_frame(std::size_t) noexcept override {}
  void on_peer_reset() override {}
  void on_provoked_reset() override {}
  void on_late_request() override {}
  void on_settings() override;
  void on_ping_answer() override { ping_sent_ = TimePoint(); }
  void on_goaway(StreamId last, ErrorCode code) override;
  void on_input_taken() noexcept override;
  void on_link_failed(const Error& error) noexcept override;
  void on_link_over() noexcept override;

  void stream_ended(ClientStream& stream) noexcept;
  void fail_for_a_head() noexcept;
  void fail_streams(const Error& error) noexcept;
  void on_pulse() noexcept;
  /// A stream has waited in vain; new ones go elsewhere if nobody has heard a word since `begun`.
  void note_silence(TimePoint begun) noexcept;
  /// The server's GOAWAY says that it has not looked at this stream.
  bool left_behind(StreamId id) const noexcept { return id > last_taken_; }

  ClientConnectionSettings settings_;
  http::ClientConnection::Owner& owner_;
  Session session_;
  Link link_;
  ReceiveBudget budget_;
  MemberTimer<ClientConnection> pulse_;
  TimePoint ping_sent_{};  // and not answered
  TimePoint last_ping_{};
  ClientStream* streams_ = nullptr;
  std::size_t active_ = 0;
  std::uint64_t served_ = 0;
  StreamId last_taken_ = std::numeric_limits<StreamId>::max();  // as of its GOAWAY
  bool settled_ = false;                                        // the server's SETTINGS have come
  bool usable_ = true;
  bool mute_ = false;  // has not answered in time; takes no new streams until it says something
};

}  // namespace revproxyd::http::h2

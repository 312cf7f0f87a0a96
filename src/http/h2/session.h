#pragma once
// The door to nghttp2: one HTTP/2 session without input or output. Bytes go in, bytes come out, and
// what happened in between is told to the streams and to the connection.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "http/h2/frame_scan.h"
#include "http/h2/stream_history.h"
#include "http/h2/terms.h"
#include "revproxyd/base/buffer.h"
#include "revproxyd/base/bytes.h"
#include "revproxyd/base/result.h"

struct nghttp2_session;

namespace revproxyd::http::h2 {

/// A field as it goes onto the wire; names are made lower case on the way.
struct WireField {
  std::string_view name;
  std::string_view value;
  bool secret = false;   // never put into a compression table (RFC 7541 section 7.1.3)
  bool lasting = false;  // the name is in lower case and lives as long as the program
};
using WireFields = std::vector<WireField>;

/// What of the body of one message can be sent now.
struct Outgoing {
  Bytes bytes;
  bool whole = false;  // nothing of what is to be sent was left behind
  bool end = false;    // the message has ended

  /// Asked in vain.
  bool nothing() const noexcept { return bytes.empty() && !end; }
};

/// One stream, as the session tells it what came and asks it what to send.
class SessionStream {
 public:
  /// A header section begins, other than the one that opened the stream.
  virtual void on_fields_begin() = 0;
  virtual void on_field(std::string_view name, std::string_view value) = 0;
  /// A header section is complete; `last`: it ended the message.
  virtual void on_fields_end(bool last) = 0;
  virtual void on_body(Bytes bytes) = 0;
  virtual void on_body_end() = 0;
  /// What came breaks the rules of HTTP; the session resets the stream for it.
  virtual void on_malformed(const char* why) = 0;
  /// The stream is over; `code` is no_error after an orderly end. Nothing is told after it.
  virtual void on_closed(ErrorCode code) = 0;
  /// At most `most` body bytes, which are copied before anything else is asked or told; neither
  /// bytes nor an end: asked again after resume().
  virtual Outgoing take_body(std::size_t most) noexcept = 0;
  /// The head of a request is being produced: it may reach the server from now on.
  virtual void on_request_leaves() noexcept {}

 protected:
  ~SessionStream() = default;
};

/// Frames without a use of their own, which cost the reader something.
enum class Idle : std::uint8_t { settings, ping, priority, window_update, empty_frame };

/// The connection that a session belongs to. Called inside receive() and produce().
class SessionOwner {
 public:
  /// A client opens a stream; null refuses it (REFUSED_STREAM).
  virtual SessionStream* on_stream_opened(StreamId id) = 0;
  virtual void on_idle_frame(Idle kind) = 0;
  /// A frame that carried something: a head, or so many body bytes, received or sent. Bytes that
  /// are sent for a window that is too small for what there is to send are none.
  virtual void on_useful_frame(std::size_t bytes) noexcept = 0;
  /// The peer reset a stream that was not over.
  virtual void on_peer_reset() = 0;
  /// A frame that the peer should not have sent; this side resets the stream for it.
  virtual void on_provoked_reset() = 0;
  /// A request behind the last one that is served.
  virtual void on_late_request() = 0;
  virtual void on_settings() = 0;
  virtual void on_ping_answer() = 0;
  /// The peer takes no streams above `last`.
  virtual void on_goaway(StreamId last, ErrorCode code) = 0;

 protected:
  ~SessionOwner() = default;
};

struct SessionSettings {
  std::uint32_t streams = 100;              // that the peer may open at once
  std::uint32_t stream_window = 64 * 1024;  // bytes
  std::uint32_t connection_window = 1024 * 1024;
  std::uint32_t header_bytes = 32 * 1024;  // of a field section, as told to the peer
};

class Session final : private FrameScan::Finder {
 public:
  enum class Role : std::uint8_t { server, client };
  /// Queues the preface and the settings. `owner` outlives the session.
  Session(Role role, const SessionSettings& settings, SessionOwner& owner);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Takes what came, as far as limits::kTurnFrames let it; how many bytes that were. The rest is
  /// to be given again, in front of what comes next. An error ends the connection; its GOAWAY, if
  /// one is due, is still to be produced.
  Result<std::size_t> receive(Bytes bytes);
  /// Appends frames to `out` until it holds `limit` bytes or nothing is left to send.
  Result<void> produce(Buffer& out, std::size_t limit);
  /// produce() would give something.
  bool wants_write() const noexcept;
  /// Nothing will come or go any more.
  bool over() const noexcept;

  /// A client's request; the stream's id. `body`: take_body() gives one. Needs can_open().
  Result<StreamId> submit_request(const WireFields& fields, SessionStream& stream, bool body);
  /// The final head of a response, on a stream that is open; `body`: take_body() gives one.
  Result<void> submit_response(StreamId id, const WireFields& fields, SessionStream& stream,
                               bool body);
  /// Further heads: interim ones, and a trailer section, which ends the message. One without fields
  /// goes out as an empty frame of DATA.
  Result<void> submit_interim(StreamId id, const WireFields& fields);
  Result<void> submit_trailers(StreamId id, const WireFields& fields);
  /// take_body() has something to give again.
  void resume(StreamId id) noexcept;
  void reset(StreamId id, ErrorCode code) noexcept;
  /// For a stream that was detached, whose message is whole but may still be queued: reset() with
  /// NO_ERROR would drop what is queued, so it comes behind it.
  void end_behind_message(StreamId id) noexcept;
  /// The peer lets nothing be sent on this stream now.
  bool window_closed(StreamId id) const noexcept;
  bool stream_window_closed(StreamId id) const noexcept;
  /// False for a request of which the head waits to be produced. Trailers would not wait for it:
  /// they would go nowhere.
  bool is_open(StreamId id) const noexcept;
  /// Heads that were submitted and have not been produced, also of streams that are over.
  std::size_t heads_waiting() const noexcept { return heads_waiting_; }
  /// Frames other than DATA that wait to be produced.
  std::size_t backlog() const noexcept;
  /// Bytes of content that all streams together have sent.
  std::uint64_t content_sent() const noexcept { return content_sent_; }
  /// The stream's object goes: nothing is told to it any more.
  void detach(StreamId id) noexcept;

  /// Gives the sender its window back: of a stream, of the connection.
  void consume_stream(StreamId id, std::size_t bytes) noexcept;
  void consume_connection(std::size_t bytes) noexcept;
  /// What the peer may send now, on all streams together.
  std::size_t receive_window() const noexcept;
  /// Makes a stream's window `bytes` large from now on; never smaller than it is.
  void widen_stream(StreamId id, std::size_t bytes) noexcept;

  /// First step of an orderly end: no more streams, please; those on their way are still taken. A
  /// PING follows.
  void announce_shutdown() noexcept;
  /// Streams after the last one that was taken are not served any more.
  void goaway(ErrorCode code) noexcept;
  /// Nothing is served any more but what has been produced already.
  void terminate(ErrorCode code) noexcept;
  /// As terminate() without an error, behind all that can be produced: terminate() drops heads,
  /// trailers and resets that wait. Nothing may be left to be sent later.
  void conclude() noexcept { concluding_ = true; }
  /// A GOAWAY with an error has been produced: the peer broke the protocol, or was told to go.
  bool broken() const noexcept { return broken_; }
  /// It was for a head that cannot be decoded.
  bool undecodable() const noexcept { return undecodable_; }
  void ping() noexcept;

  /// A client may open one more stream on this connection: no GOAWAY came, and there are ids left.
  bool can_open() const noexcept;
  /// How many streams the peer lets this side have open at once.
  std::uint32_t peer_streams() const noexcept;

 private:
  struct Callbacks;
  static Error failure(int code) noexcept;  // what nghttp2 calls it
  void on_bad_priority() noexcept override { terminate(ErrorCode::protocol_error); }
  void on_request_head(std::uint32_t stream, std::size_t at) noexcept override;
  void on_data_head(std::uint32_t stream, std::size_t at) noexcept override;
  void on_idle_head() noexcept override { owner_.on_idle_frame(Idle::empty_frame); }
  void on_empty_update(std::uint32_t stream) noexcept override;
  bool on_frame(const FrameScan::Frame& frame, std::size_t at) noexcept override;
  bool done() const noexcept override { return deaf_; }
  void feed(std::size_t until) noexcept;
  Result<void> head_queued(int code) noexcept;
  void note_content(const Outgoing& out) noexcept;
  void reset_sent(StreamId id);
  void check_closed(StreamId id) noexcept;
  void leave_section(StreamId id) noexcept;
  void part() noexcept;
  nghttp2_session* session_ = nullptr;
  SessionOwner& owner_;
  Role role_;
  FrameScan scan_;
  std::uint64_t content_sent_ = 0;
  std::size_t crumbs_ = 0;
  std::size_t heads_waiting_ = 0;
  bool concluding_ = false;  // as soon as there is nothing more to produce
  StreamHistory history_;
  StreamId section_id_ = 0;              // of the header section that is coming
  SessionStream* section_of_ = nullptr;  // null when nobody wants it
  Buffer* out_ = nullptr;                // what produce() fills
  std::size_t out_limit_ = 0;            // and how far
  Bytes content_;                        // of the frame of DATA that it is at
  Bytes input_;                          // that is being taken
  std::size_t fed_ = 0;
  long fed_result_ = 0;          // a negative one is an error of nghttp2
  std::size_t weight_ = 0;       // of this input
  bool paused_ = false;          // there is more in it than a turn takes
  bool parted_ = false;          // no stream after the last one is taken
  std::int32_t last_taken_ = 0;  // once parted
  bool deaf_ = false;            // the peer was cut off: what it still sends is not looked at
  bool broken_ = false;
  bool undecodable_ = false;
};

}  // namespace revproxyd::http::h2

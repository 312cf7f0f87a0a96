#include "http/h2/client_connection.h"

#include <algorithm>
#include <utility>

#include "http/h2/client_stream.h"
#include "revproxyd/base/limits.h"

namespace revproxyd::http::h2 {

namespace {

// A server that says nothing while it is asked something is pinged: after so long, and again only
// after so long, since servers count frequent pings as an offence (gRPC's allow one in five
// minutes). Without an answer in
// kPatience the connection takes no new streams.
constexpr Duration kSilence{20000};
constexpr Duration kBetweenPings{310000};
constexpr Duration kPatience{10000};

SessionSettings session_settings(const ClientConnectionSettings& settings) noexcept {
  SessionSettings out;
  out.header_bytes = static_cast<std::uint32_t>(settings.response_header_bytes);
  return out;
}

// What counts as misbehaviour of a client is a bad answer when a server does it.
Error for_streams(const Error& error) noexcept {
  switch (error.code()) {
    case Code::header_flood:
      return Error(Code::malformed_response, Side::upstream, "a head in too many frames");
    case Code::protocol_error:
    case Code::ping_flood:
      return Error(Code::malformed_response, Side::upstream, "the server broke the protocol");
    default: return error.at(Side::upstream);
  }
}

}  // namespace

// Windows of the streams bound what an origin can make wait; the connection's is always given back,
// or a client that reads slowly would hold up the others.
ClientConnection::ClientConnection(std::unique_ptr<net::Transport> transport,
                                   const ClientConnectionSettings& settings,
                                   http::ClientConnection::Owner& owner)
    : settings_(settings),
      owner_(owner),
      session_(Session::Role::client, session_settings(settings), *this),
      link_(std::move(transport), session_, *this, Side::upstream),
      budget_(session_, link_, SIZE_MAX),
      pulse_(*this, &ClientConnection::on_pulse) {
  link_.set_stall(settings.write, Code::idle_timeout);
  link_.start({});
}

ClientConnection::~ClientConnection() { link_.stop(); }

std::size_t ClientConnection::capacity() const noexcept {
  if (!usable_ || mute_ || !session_.can_open()) return 0;
  if (!settled_) return active_ == 0 ? 1 : 0;
  const std::size_t most =
      std::min<std::size_t>(session_.peer_streams(), limits::kStreamsPerConnection);
  return most > active_ ? most - active_ : 0;
}

std::unique_ptr<http::ClientStream> ClientConnection::open_stream() {
  ++served_;
  ++active_;
  auto stream = std::make_unique<ClientStream>(*this);
  stream->next_ = streams_;
  if (streams_ != nullptr) streams_->previous_ = stream.get();
  streams_ = stream.get();
  if (!pulse_.armed()) pulse_.arm(kPatience);
  return stream;
}

// Last of all: the owner may destroy the connection.
void ClientConnection::stream_ended(ClientStream& stream) noexcept {
  (stream.previous_ != nullptr ? stream.previous_->next_ : streams_) = stream.next_;
  if (stream.next_ != nullptr) stream.next_->previous_ = stream.previous_;
  --active_;
  owner_.on_stream_closed(*this);
}

void ClientConnection::on_settings() {
  settled_ = true;
  if (active_ != 0) owner_.on_more_room(*this);
}

// Requests may be waiting because it was silent.
void ClientConnection::on_input_taken() noexcept {
  if (std::exchange(mute_, false) && active_ != 0) owner_.on_more_room(*this);
}

void ClientConnection::on_goaway(StreamId last, ErrorCode) {
  usable_ = false;
  last_taken_ = last;
}

void ClientConnection::on_link_failed(const Error& error) noexcept {
  usable_ = false;
  fail_streams(for_streams(error));
}

void ClientConnection::on_link_over() noexcept {
  usable_ = false;
  pulse_.disarm();
  if (session_.undecodable()) fail_for_a_head();
  const Code code = session_.broken() ? Code::protocol_error : Code::reset;
  fail_streams(for_streams(Error(code, Side::upstream, "the connection ended")));
  if (active_ == 0) owner_.on_idle_input(*this);
}

void ClientConnection::fail_streams(const Error& error) noexcept {
  for (ClientStream* stream = streams_; stream != nullptr; stream = stream->next_)
    stream->fail(error);
}

// Nothing that comes after such a head can be decoded, though nothing else is wrong with it: the
// others have lost their connection, as they may at any time. nghttp2 takes no field beyond 64 KiB.
void ClientConnection::fail_for_a_head() noexcept {
  const Error guilty(Code::malformed_response, Side::upstream,
                     "a head that cannot be decoded, or has a field beyond 64 KiB");
  const Error lost(Code::reset, Side::upstream, "another answer's head ended the connection");
  for (ClientStream* stream = streams_; stream != nullptr; stream = stream->next_)
    stream->fail(stream->in_fields_ ? guilty : lost);
}

void ClientConnection::note_silence(TimePoint begun) noexcept {
  if (link_.last_input() <= begun) mute_ = true;
}

void ClientConnection::on_pulse() noexcept {
  if (active_ == 0) return;
  const TimePoint now = loop_now();
  if (ping_sent_ != TimePoint()) {
    // A server that is busy answers no ping either: its streams have their own limits, and lose the
    // connection only when it has been silent for as long as any of them may be.
    mute_ = true;
    if (settings_.write.count() > 0 && now - ping_sent_ >= std::max(kPatience, settings_.write)) {
      link_.fail(Error(Code::reset, Side::upstream, "the server does not answer a ping"));
      return;
    }
  } else if (now - link_.last_input() >= kSilence &&
             (last_ping_ == TimePoint() || now - last_ping_ >= kBetweenPings)) {
    ping_sent_ = last_ping_ = now;
    session_.ping();
    link_.look();
  }
  pulse_.arm(kPatience);
}

}  // namespace revproxyd::http::h2

#include "http/h2/server_connection.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "http/h2/server_stream.h"
#include "http/linger.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/base/patience.h"

namespace revproxyd::http::h2 {

namespace {

// Exchanges whose streams are over but which have not ended yet may be as many as those that are
// open; beyond that new ones are refused.
constexpr std::size_t kUnfinished = 2;
// So for heads that a client does not read: interim ones, final ones and trailers.
constexpr std::size_t kHeadsWaiting = 4;

SessionSettings session_settings(const ServerConnectionSettings& settings) noexcept {
  SessionSettings out;
  out.streams = settings.streams;
  out.header_bytes = static_cast<std::uint32_t>(
      std::min<std::size_t>(settings.header_bytes, std::numeric_limits<std::uint32_t>::max()));
  return out;
}

}  // namespace

ServerConnection::ServerConnection(std::unique_ptr<net::Transport> transport,
                                   const ServerConnectionSettings& settings, CancelScope& scope,
                                   Bytes received, Duration waited)
    : settings_(settings),
      scope_(scope),
      session_(Session::Role::server, session_settings(settings), *this),
      link_(std::move(transport), session_, *this, Side::downstream),
      budget_(session_, link_, SessionSettings().connection_window),
      conduct_(settings.resets),
      clock_timer_(*this, &ServerConnection::on_clock),
      parting_(*this, &ServerConnection::part) {
  link_.set_stall(settings.write, Code::write_timeout);
  net::keep_unsent_short(link_.transport());
  set_clock();
  if (clock_timer_.armed()) clock_timer_.arm(std::max(settings.header - waited, Duration(1)));
  link_.start(received);
}

ServerConnection::~ServerConnection() {
  link_.stop();
  opened_.clear();
  incoming_.reset();
}

Task<Next> ServerConnection::next_stream() {
  for (;;) {
    if (!opened_.empty()) {
      auto stream = std::move(opened_.front());
      opened_.pop_front();
      co_return Next::of(std::move(stream));
    }
    if (error_.code() != Code::none) co_return Next::failure(error_);
    if (over_) co_return verdict_.code() == Code::none ? Next::drained() : Next::failure(verdict_);
    changed_.clear();
    auto code = co_await changed_.wait();
    if (code != Code::none) {
      // Else the client hears what has become of its streams.
      if (code != Code::drain_timeout) link_.fail(Error(code, "the connection was ended"));
      co_return Next::failure(Error(code));
    }
  }
}

SessionStream* ServerConnection::on_stream_opened(StreamId id) {
  // The last GOAWAY has named the last stream already; the client may try this one elsewhere.
  if (parted_) {
    on_late_request();
    return nullptr;
  }
  if (active_ >= kUnfinished * settings_.streams ||
      session_.heads_waiting() >= kHeadsWaiting * settings_.streams) {
    judge(conduct_.offence(Code::reset_flood));
    return nullptr;
  }
  ++served_;
  ++active_;
  incoming_ = std::make_unique<ServerStream>(*this, id);
  if (settings_.requests != 0 && served_ >= settings_.requests) drain();
  return &incoming_->session_side();
}

void ServerConnection::head_complete(ServerStream& stream) noexcept {
  if (incoming_.get() != &stream) return;
  opened_.push_back(std::move(incoming_));
  clock_timer_.disarm();
  clock_ = Clock::off;
  changed_.set();
}

void ServerConnection::stream_ended(ServerStream&) noexcept {
  --active_;
  link_.produce();
  set_clock();
  if (parted_ && active_ == 0) close_down();
}

void ServerConnection::on_idle_frame(Idle kind) { judge(conduct_.idle_frame(kind)); }

void ServerConnection::on_peer_reset() { judge(conduct_.offence(Code::reset_flood)); }

void ServerConnection::on_provoked_reset() { judge(conduct_.offence(Code::provoked_reset_flood)); }

// What was sent before the client could hear of it is no offence.
void ServerConnection::on_late_request() {
  if (since(parted_at_) < limits::kDrainTime) return;
  judge(conduct_.offence(Code::reset_flood));
}

// First the client is told to go, and what it has asked for is still answered; one that carries on
// is cut off.
void ServerConnection::judge(Verdict verdict) noexcept {
  if (verdict == Verdict::fine) return;
  const Error why(conduct_.worst(), Side::downstream, "more than limits.h2_resets allows");
  if (verdict == Verdict::cut) return give_up(why);
  verdict_ = why;
  announced_ = parted_ = true;
  parted_at_ = loop_now();
  parting_.disarm();
  session_.goaway(ErrorCode::enhance_your_calm);
  link_.look();
  if (active_ == 0) close_down();
}

void ServerConnection::give_up(const Error& error) noexcept {
  if (error_.code() != Code::none) return;
  error_ = error;
  announced_ = parted_ = true;
  session_.terminate(ErrorCode::enhance_your_calm);
  link_.look();
  scope_.cancel(Code::client_gone);
  changed_.set();
}

void ServerConnection::on_goaway(StreamId, ErrorCode) {
  close_to_streams();
  if (active_ == 0) close_down();
}

void ServerConnection::on_input_taken() noexcept { set_clock(); }

// Between requests, or when everything was answered, a client may just close.
void ServerConnection::on_link_failed(const Error& error) noexcept {
  const bool peer_closed = error.code() == Code::end_of_stream || error.code() == Code::reset;
  if (active_ != 0 || !peer_closed) {
    if (error_.code() == Code::none)
      error_ = peer_closed ? Error(Code::client_gone, Side::downstream, "client left") : error;
    scope_.cancel(error_.code());
  }
  over_ = true;
  gone_.set();
  changed_.set();
}

void ServerConnection::on_link_over() noexcept {
  if (session_.broken() && error_.code() == Code::none && verdict_.code() == Code::none)
    error_ = Error(Code::protocol_error, Side::downstream, "the client broke the protocol");
  // In order, it is over when all streams have been sent: their exchanges are about to end.
  if (active_ != 0 && session_.broken()) scope_.cancel(Code::client_gone);
  over_ = true;
  gone_.set();
  changed_.set();
}

// One clock: for a head that has begun, or for the next request. While requests are served it
// stands still. For the first head it runs from the beginning of the connection.
void ServerConnection::set_clock() noexcept {
  const Clock wanted = incoming_ != nullptr ? Clock::head : active_ == 0 ? Clock::idle : Clock::off;
  if (wanted == clock_) return;
  const bool runs_on = wanted == Clock::head && clock_ == Clock::idle && served_ == 1;
  clock_ = wanted;
  if (runs_on) return;
  if (wanted == Clock::off) return clock_timer_.disarm();
  const bool first = wanted == Clock::head || served_ == 0;
  const Duration limit = first ? settings_.header : settings_.keepalive;
  if (limit.count() > 0) {
    clock_timer_.arm(limit);
  } else {
    clock_timer_.disarm();
  }
}

void ServerConnection::on_clock() noexcept {
  clock_ = Clock::off;
  if (incoming_ == nullptr) return part();
  incoming_->refuse(Error(Code::header_timeout, Side::downstream, "the head came too slowly"));
  head_complete(*incoming_);
  // The rest of that head would have to come before anything else can.
  close_to_streams();
}

// Without a word, for the client knows.
void ServerConnection::close_to_streams() noexcept {
  announced_ = true;
  if (!std::exchange(parted_, true)) parted_at_ = loop_now();
}

// RFC 9113 section 6.8: first the wish, then, when the client must have heard it, the end. What was
// on its way meanwhile is served.
void ServerConnection::drain() noexcept {
  if (announced_) return;
  announced_ = true;
  session_.announce_shutdown();
  parting_.arm(limits::kDrainTime);
  link_.look();
}

void ServerConnection::on_ping_answer() {
  if (parting_.armed()) part();
}

void ServerConnection::part() noexcept {
  parting_.disarm();
  parted_ = true;
  parted_at_ = loop_now();
  session_.goaway(ErrorCode::no_error);
  link_.look();
  if (active_ == 0) close_down();
}

void ServerConnection::close_down() noexcept {
  over_ = true;
  changed_.set();
}

// What is on its way may need as long as the client takes some of it.
Task<bool> ServerConnection::last_words_sent(Leftover& leftover) {
  const std::uint64_t earlier = link_.sent();
  const std::uint64_t in_kernel = leftover.sent;
  for (leftover.wait_begins(net::unacknowledged(link_.transport()));;) {
    auto code = co_await wait_within(gone_, limits::kLingerLook, Code::write_timeout);
    leftover.sent = in_kernel + link_.sent() - earlier;
    if (code == Code::none) co_return !link_.failed();
    if (code != Code::write_timeout) co_return false;
    net::Transport& transport = link_.transport();
    if (!still_takes(transport, leftover, net::unacknowledged(transport))) co_return false;
  }
}

Task<void> ServerConnection::finish() {
  if (link_.failed()) co_return;
  session_.conclude();
  if (scope_.cancelled())
    link_.flush();
  else
    link_.look();
  Leftover leftover;
  leftover.rules = {closing_stall(settings_.write, settings_.write), settings_.min_rate};
  leftover.sent = net::unacknowledged(link_.transport()).value_or(0);
  auto sent = co_await last_words_sent(leftover);
  link_.stop();
  if (!sent) co_return;
  // It knows that it has to go: a well-meaning client has connected anew already.
  if (verdict_.code() != Code::none) co_await Sleep(limits::kSentAway);
  auto parting = part_from_client(link_.transport(), leftover, true);
  auto scoped = std::move(parting).under(scope_);
  co_await std::move(scoped);
}

}  // namespace revproxyd::http::h2

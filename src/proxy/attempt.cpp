#include "proxy/attempt.h"

#include "revproxyd/base/ascii.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/base/patience.h"
#include "revproxyd/base/ready_queue.h"
#include "revproxyd/http/hop_by_hop.h"
#include "revproxyd/http/splice.h"
#include "revproxyd/http/status.h"
#include "revproxyd/pipeline/grpc.h"

namespace revproxyd::proxy {

using http::FieldName;

/// The origin's body, read under the attempt's scope so that a failing upload ends it.
class UpstreamBody final : public http::Body {
 public:
  explicit UpstreamBody(Attempt& attempt) noexcept : attempt_(attempt) {}
  Task<Result<http::Piece>> read() override {
    auto reading = attempt_.stream().body().read();
    auto scoped = std::move(reading).under(attempt_.scope_);
    return attempt_.ended() && attempt_.downstream_error_.code() == Code::none
               ? std::move(scoped)
               : beside_upload(std::move(scoped));
  }
  bool ready() const noexcept override { return attempt_.stream().body().ready(); }
  // Not while an upload may still fail, which ends what runs under the attempt's scope only.
  http::PipeSource* pipe_source() noexcept override {
    return attempt_.pump_.size() == 0 ? attempt_.stream().body().pipe_source() : nullptr;
  }
  const http::Fields* trailers() const noexcept override {
    return attempt_.stream().body().trailers();
  }

 private:
  Task<Result<http::Piece>> beside_upload(Task<Result<http::Piece>> reading) {
    // As long as the answer moves the server may take the rest of the upload later, or never. It
    // cannot move the answer while we do not read that.
    attempt_.stream().hold_write_limit(false);
    auto piece = co_await std::move(reading);
    attempt_.stream().hold_write_limit(true);
    if (!piece) co_return attempt_.to_blame(piece.error());
    co_return std::move(piece);
  }

  Attempt& attempt_;
};

/// The origin's bytes after 101. That either side has ended is the tunnel's orderly end.
class TunnelBody final : public http::Body {
 public:
  explicit TunnelBody(Attempt& attempt) noexcept : attempt_(attempt) {}
  Task<Result<http::Piece>> read() override {
    auto reading = attempt_.stream().body().read();
    auto scoped = std::move(reading).under(attempt_.scope_);
    attempt_.stream().hold_write_limit(false);
    auto piece = co_await std::move(scoped);
    attempt_.stream().hold_write_limit(true);
    attempt_.touch_tunnel();
    if (!piece && attempt_.downstream_error_.code() != Code::none)
      co_return attempt_.downstream_error_;
    if (!piece && attempt_.scope_.reason() == Code::end_of_stream) co_return http::Piece({}, true);
    co_return std::move(piece);
  }
  bool ready() const noexcept override { return attempt_.stream().body().ready(); }

 private:
  Attempt& attempt_;
};

Attempt::Attempt(upstream::Lease lease, pipeline::Exchange& exchange,
                 const UpstreamRequest& request)
    : lease_(std::move(lease)),
      exchange_(exchange),
      request_(request),
      scope_(&exchange.scope()),
      pump_(&scope_),
      tunnel_deadline_(scope_) {
  if (request.deadline.count() > 0) deadline_.arm(request.deadline);
}

Task<void> Attempt::finish() {
  pump_.cancel(Code::cancelled);
  co_await pump_.join();
}

Task<Result<http::ResponseHead>> Attempt::exchange_heads() {
  stream().stage_head(exchange_.head(), request_.target, request_.host);
  stream().set_write_limit(request_.idle);
  if (request_.body == nullptr || request_.upgrade) {
    // The clock starts with the write: there is no wait between the two that would not count
    // against the origin.
    stream().await_response(request_.first_byte);
    co_await InStep{};
    if (scope_.cancelled()) co_return Error(scope_.reason(), "ended before the request was sent");
    auto sent = co_await stream().send_body(http::Piece(Bytes(), true));
    // As for a body: who closes on a head that he does not take whole may have answered.
    const bool may_answer =
        !sent && sent.error().code() == Code::reset && stream().request_started();
    if (!sent && !may_answer) co_return sent.error();
  }
  if (request_.body != nullptr) pump_.spawn(pump());
  auto head = co_await stream().read_head(exchange_.arena());
  if (head && http::is_interim(head->status)) {
    auto final_head = co_await pass_interim(std::move(*head));
    head = std::move(final_head);
  }
  // A server that has said 100 wants the body, be its answer at hand as well.
  if (awaits_continue_ && !go_on_.is_set()) pump_.cancel(Code::cancelled);
  if (!head) co_return to_blame(head.error());
  co_return std::move(head);
}

namespace {

// That we ended it ourselves is nobody's failure.
Error cancelled_inside(const Error& error) noexcept {
  return error.code() == Code::cancelled ? error.at(Side::internal) : error;
}

}  // namespace

// A write error is not the end while a response may still come: origins answer early and close (RFC
// 9112 section 9.5).
Task<void> Attempt::pump() {
  auto wanted = co_await may_go_on();
  if (!wanted) co_return;
  auto pumped = co_await pump_pieces();
  if (pumped && request_.upgrade) {
    co_await end_clients_side();
    co_return;
  }
  // What the server has not taken is lost, and no answer to the rest can be trusted.
  if (!pumped && pumped.error().code() == Code::idle_timeout) scope_.cancel(Code::idle_timeout);
  if (pumped || pumped.error().side() == Side::upstream) {
    stream().await_response(request_.first_byte);
    co_return;
  }
  if (pumped.error().code() == Code::cancelled) co_return;
  downstream_error_ = pumped.error();
  scope_.cancel(pumped.error().code());
}

// The server hears of it and may still have something to say: its half of a closing handshake, or
// the rest of an answer.
Task<void> Attempt::end_clients_side() {
  // The end may have to wait for room under TLS.
  ending_ = true;
  touch_tunnel();
  auto closed = co_await stream().half_close();
  if (!closed) scope_.cancel(Code::end_of_stream);
  touch_tunnel();
}

// The client waits for a word before it sends its body: the origin's, or ours when the origin stays
// silent. False: it must not be asked any more.
Task<bool> Attempt::may_go_on() {
  if (request_.upgrade || !exchange_.head().expect_continue) co_return true;
  auto flushed = co_await stream().flush();
  ignore(flushed, "whoever reads the head meets the same failure");
  awaits_continue_ = true;
  auto code = co_await wait_within(go_on_, limits::kContinueDelay, Code::first_byte_timeout);
  awaits_continue_ = false;
  co_return code == Code::none || code == Code::first_byte_timeout;
}

// Who has the answer's head may send no more (RFC 9112 section 9.5), and the rest of the answer is
// his all the same. How long it may take is the server's matter then.
bool Attempt::may_pause(const Error& error) noexcept {
  const bool slow = error.code() == Code::body_timeout || error.code() == Code::body_too_slow;
  if (!answered_ || !slow) return false;
  pause_ = error.at(Side::downstream);
  paused_at_ = uploaded();
  return true;
}

std::uint64_t Attempt::uploaded() const noexcept {
  return exchange_.stream() != nullptr ? exchange_.stream()->bytes().body_in : 0;
}

// An upload that fails ends what runs beside it, and is what is told. So is one that has paused for
// too long when the server has fallen silent: that may wait for the rest.
const Error& Attempt::to_blame(const Error& error) const noexcept {
  if (downstream_error_.code() != Code::none) return downstream_error_;
  const bool silent = error.code() == Code::idle_timeout || error.code() == Code::tunnel_timeout;
  const bool pauses = pause_.code() != Code::none && uploaded() == paused_at_;
  return silent && pauses ? pause_ : error;
}

Task<Result<void>> Attempt::pump_pieces() {
  http::Body& body = *request_.body;
  for (;;) {
    http::PipeSource* const source = body.pipe_source();
    http::PipeSink* const sink = source == nullptr ? nullptr : stream().pipe_sink();
    if (sink != nullptr || !body.ready()) {
      auto flushed = co_await stream().flush();
      if (!flushed) co_return flushed.error();
    }
    if (sink != nullptr) {
      auto spliced = co_await http::splice(*source, *sink);
      if (!spliced && may_pause(spliced.error())) continue;
      if (!spliced) co_return cancelled_inside(spliced.error());
      if (*spliced) co_return {};
    }
    auto piece = co_await body.read();
    if (!piece && may_pause(piece.error())) continue;
    if (!piece)
      co_return piece.error().at(piece.error().code() == Code::cancelled ? Side::internal
                                                                         : Side::downstream);
    if (tunnel_) touch_tunnel();
    const bool last = piece->last;
    const http::Fields* trailers = last ? body.trailers() : nullptr;
    const http::Piece out(piece->bytes, last && trailers == nullptr);
    auto sent = co_await stream().send_body(out);
    if (!sent) co_return sent.error();
    if (trailers != nullptr) {
      auto finished = co_await stream().finish(*trailers);
      co_return finished;
    }
    if (last) co_return {};
  }
}

// Until the final head comes, which it returns.
Task<Result<http::ResponseHead>> Attempt::pass_interim(http::ResponseHead head) {
  for (;;) {
    http::remove_hop_by_hop(head.fields);
    auto passed = co_await exchange_.interim(head);
    if (!passed) {
      downstream_error_ = passed.error();
      co_return passed.error();
    }
    if (head.status == 100) go_on_.set();
    auto next = co_await stream().read_head(exchange_.arena());
    if (!next || !http::is_interim(next->status)) co_return std::move(next);
    head = std::move(*next);
  }
}

std::unique_ptr<http::Body> Attempt::take_body(const http::ResponseHead& head) {
  answered_ = true;
  if (head.length.framing == http::Framing::none) return nullptr;
  http::BodyRules rules;
  rules.stall_code = Code::idle_timeout;
  rules.stall = request_.idle;
  if (head.length.framing == http::Framing::tunnel) {
    tunnel_ = true;
    rules.stall = Duration::zero();
    stream().set_body_rules(rules);
    touch_tunnel();
    return std::make_unique<TunnelBody>(*this);
  }
  // Streams of events are silent by nature.
  const std::string_view type = head.fields.get(FieldName::content_type);
  constexpr std::string_view kEvents = "text/event-stream";
  if (ascii::iequals(type.substr(0, kEvents.size()), kEvents) || pipeline::is_grpc(head.fields)) {
    rules.stall = request_.tunnel;
    rules.stall_code = Code::tunnel_timeout;
  }
  stream().set_body_rules(rules);
  stream().hold_write_limit(true);
  return std::make_unique<UpstreamBody>(*this);
}

void Attempt::touch_tunnel() noexcept {
  if (!ending_) return tunnel_deadline_.set(request_.tunnel, Code::tunnel_timeout);
  const bool shorter = request_.tunnel.count() > 0 && request_.tunnel < limits::kTunnelEnd;
  tunnel_deadline_.set(shorter ? request_.tunnel : limits::kTunnelEnd, Code::end_of_stream);
}

// As long as nothing was answered the exchange itself must live on to say so. Later whatever it
// does is to end, also a wait for the client to take bytes.
void Attempt::deadline_passed() {
  (answered_ ? exchange_.scope() : scope_).cancel(Code::deadline_exceeded);
}

}  // namespace revproxyd::proxy

#include "http/h2/server_stream.h"

#include <utility>

#include "revproxyd/base/ascii.h"

namespace revproxyd::http::h2 {

namespace {

std::size_t size_of(const WireFields& fields) noexcept {
  std::size_t size = 0;
  for (const WireField& field : fields) size += field.name.size() + field.value.size();
  return size;
}

// What a client learns of why its stream was cut (RFC 9113 section 7).
ErrorCode code_for(Code reason) noexcept {
  switch (reason) {
    case Code::client_gone:
    case Code::cancelled:
    case Code::deadline_exceeded:
    case Code::shutdown:
    case Code::drain_timeout: return ErrorCode::cancel;
    case Code::malformed_request: return ErrorCode::protocol_error;
    case Code::write_timeout:
    case Code::body_too_slow: return ErrorCode::enhance_your_calm;
    default: return ErrorCode::internal_error;
  }
}

}  // namespace

/// Belongs to the exchange; the stream outlives it.
class ServerStream::RequestBody final : public Body {
 public:
  explicit RequestBody(ServerStream& stream) noexcept : stream_(stream) {}
  Task<Result<Piece>> read() override { return stream_.read_body(); }
  bool ready() const noexcept override {
    return !stream_.expects_continue_ && !stream_.upgrade_ && stream_.reader_.ready();
  }
  const Fields* trailers() const noexcept override { return stream_.reader_.trailers(); }

 private:
  ServerStream& stream_;
};

ServerStream::ServerStream(ServerConnection& connection, StreamId id)
    : connection_(connection),
      id_(id),
      scope_(&connection.scope_),
      section_(arena_,
               SectionLimits{connection.settings_.header_bytes, connection.settings_.header_count,
                             connection.settings_.request_line}),
      reader_(connection.session_, connection.link_, connection.budget_, Side::downstream),
      writer_(connection.session_, connection.link_, Side::downstream) {
  section_.open(SectionKind::request);
  reader_.begin(id);
  set_write_rules(connection.settings_.write, connection.settings_.min_rate);
}

// What is left of the exchange on the wire is cut. After a whole answer that is no error: the rest
// of the request is not wanted (RFC 9113 section 8.1).
ServerStream::~ServerStream() {
  if (!closed_) {
    const bool whole = writer_.complete() && !abandoned_;
    connection_.session_.detach(id_);
    if (!whole) connection_.session_.reset(id_, ErrorCode::cancel);
    if (whole && !reader_.ended()) connection_.session_.end_behind_message(id_);
  }
  connection_.stream_ended(*this);
}

void ServerStream::on_field(std::string_view name, std::string_view value) {
  section_.add(name, value);
  if (section_.hopeless())
    connection_.give_up(Error(Code::header_flood, Side::downstream, "field section without end"));
}

void ServerStream::on_fields_end(bool last) {
  if (head_known_) return end_with_trailers();
  settle_head(last);
  connection_.head_complete(*this);
}

void ServerStream::settle_head(bool last) {
  head_known_ = true;
  head_bytes_ = section_.bytes();
  if (last) reader_.end();
  auto head = section_.take_request(last);
  if (!head) {
    refuse(head.error());
    return;
  }
  head_request_ = head->method == Method::head;
  upgrade_ = !head->upgrade.empty();
  has_body_ = !last && head->length.framing != Framing::none;
  expects_continue_ = head->expect_continue && has_body_;
  head_.emplace(std::move(*head));
}

void ServerStream::end_with_trailers() {
  if (section_.error().code() != Code::none) {
    reader_.fail(section_.error());
    return;
  }
  reader_.end(section_.take_trailers());
}

void ServerStream::refuse(const Error& error) noexcept {
  head_known_ = true;
  head_bytes_ = section_.bytes();
  refusal_ = error;
  if (!head_) head_.emplace(section_.take_refused());
  head_request_ = head_->method == Method::head;
}

void ServerStream::on_body(Bytes bytes) { reader_.add(bytes); }

void ServerStream::on_body_end() { reader_.end(); }

void ServerStream::on_malformed(const char* why) {
  const Error error(Code::malformed_request, Side::downstream, why);
  fault_ = error;
  if (!head_known_) {
    refuse(error);
    connection_.head_complete(*this);
    return;
  }
  refusal_ = error;
  reader_.fail(error);
  if (!writer_.complete()) scope_.cancel(Code::malformed_request);
}

// Reset, by the client or for what it sent: the exchange ends with it.
void ServerStream::on_closed(ErrorCode) {
  closed_ = true;
  reader_.fail(fault_);
  if (writer_.complete()) return;
  writer_.fail(fault_);
  // Whoever reset it himself is not to take it for a client that left.
  if (!abandoned_) scope_.cancel(fault_.code());
}

Request ServerStream::take_request() {
  Request request(std::move(*head_));
  if ((has_body_ || upgrade_) && !refusal_) request.body = std::make_unique<RequestBody>(*this);
  return request;
}

void ServerStream::set_write_rules(Duration stall, std::uint64_t min_rate) noexcept {
  writer_.set_rules({stall, min_rate}, Code::write_timeout);
}

Task<Result<Piece>> ServerStream::read_body() {
  if (upgrade_ && !tunnel_open_.is_set()) return read_when_open();
  if (expects_continue_) {
    ResponseHead go_on(arena_);
    go_on.status = 100;
    // It never waits.
    auto sent = send_interim(go_on);
    ignore(sent, "whoever sends the final head meets the same failure");
  }
  return reader_.read();
}

Task<Result<Piece>> ServerStream::read_when_open() {
  auto code = co_await tunnel_open_.wait();
  if (code != Code::none) co_return Error(code, Side::downstream);
  auto piece = co_await reader_.read();
  co_return std::move(piece);
}

Task<Result<void>> ServerStream::send_interim(const ResponseHead& head) {
  using Sent = Task<Result<void>>;
  if (writer_.begun() || closed_) return Sent::settled(Result<void>());
  if (head.status == 100) {
    if (!expects_continue_) return Sent::settled(Result<void>());
    expects_continue_ = false;
  } else if (connection_.session_.heads_waiting() >= connection_.settings_.streams) {
    // A client that takes none of them is told the final answer only.
    return Sent::settled(Result<void>());
  }
  WireFields fields;
  write_response(head, false, arena_, fields);
  auto submitted = connection_.session_.submit_interim(id_, fields);
  connection_.link_.produce();
  return Sent::settled(submitted);
}

// Only a tunnel's or a streamed body's head goes out before the first piece of the body; it waits
// in the session until then.
void ServerStream::stage_head(const ResponseHead& head) {
  const bool tunnel = head.status == 101 || head.length.framing == Framing::tunnel;
  BodyLength length = head.length;
  if (head_request_ || head.status == 204 || head.status == 304) length = {};
  if (tunnel) length = {Framing::tunnel, 0};
  const bool bodiless = length.framing == Framing::none;
  writer_.begin(id_, length, bodiless);
  if (tunnel) open_tunnel();
  if (closed_) return writer_.fail(Error(Code::client_gone, Side::downstream, "closed stream"));
  static thread_local WireFields fields;
  fields.clear();
  write_response(head, head_request_, arena_, fields);
  sent_head_bytes_ = size_of(fields);
  const auto submitted = connection_.session_.submit_response(id_, fields, *this, !bodiless);
  if (!submitted) writer_.fail(submitted.error().at(Side::downstream));
}

void ServerStream::open_tunnel() {
  if (!upgrade_) return;
  // A tunnel may be silent, which the exchange limits; but who does not take what is sent is gone.
  reader_.set_rules(BodyRules());
  writer_.drop_min_rate();
  tunnel_open_.set();
}

Task<Result<void>> ServerStream::send_body(Piece piece) { return writer_.send(piece); }

// What is staged is put in front of everything that comes later; it goes out at the end of the
// turn.
Task<Result<void>> ServerStream::flush() {
  connection_.link_.produce();
  return Task<Result<void>>::settled(Result<void>());
}

Task<Result<void>> ServerStream::finish(const Fields& trailers) { return writer_.finish(trailers); }

void ServerStream::reset(Code reason) noexcept {
  abandoned_ = true;
  if (closed_) return;
  connection_.session_.reset(id_, code_for(reason));
  connection_.link_.produce();
}

StreamBytes ServerStream::bytes() const noexcept {
  return {head_bytes_ + reader_.received(), sent_head_bytes_ + writer_.body_bytes(),
          reader_.received(), writer_.body_bytes()};
}

}  // namespace revproxyd::http::h2

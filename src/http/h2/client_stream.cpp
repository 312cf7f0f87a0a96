#include "http/h2/client_stream.h"

#include <utility>

#include "revproxyd/base/limits.h"
#include "revproxyd/http/status.h"

namespace revproxyd::http::h2 {

namespace {

// As for HTTP/1: what an origin may send is bounded by bytes rather than by number.
constexpr std::size_t kMostFields = 1000;

Error malformed(const char* text) noexcept {
  return Error(Code::malformed_response, Side::upstream, text);
}

}  // namespace

ClientStream::ClientStream(ClientConnection& connection)
    : connection_(connection),
      membership_(*this),
      reader_(connection.session_, connection.link_, connection.budget_, Side::upstream),
      writer_(connection.session_, connection.link_, Side::upstream),
      first_byte_(*this, &ClientStream::late),
      first_(connection.served_ == 1) {
  set_write_limit(connection.settings_.write);
}

ClientStream::~ClientStream() {
  if (!closed_ && id_ != 0) {
    if (!writer_.complete() || !reader_.ended()) connection_.session_.reset(id_, ErrorCode::cancel);
    connection_.session_.detach(id_);
    connection_.link_.produce();
  }
}

void ClientStream::stage_head(const RequestHead& head, std::string_view target,
                              std::string_view host) {
  method_ = head.method;
  section_.emplace(head.fields.arena(),
                   SectionLimits{connection_.settings_.response_header_bytes, kMostFields});
  static thread_local WireFields fields;
  fields.clear();
  const bool secure = connection_.link_.transport().tls() != nullptr;
  write_request(head, target, host, secure, fields);
  const bool body = head.length.framing == Framing::chunked ||
                    (head.length.framing == Framing::length && head.length.bytes != 0);
  const auto id = connection_.session_.submit_request(fields, *this, body);
  if (!id) return fail(Error(Code::reset, Side::upstream, "the connection takes no more streams"));
  id_ = *id;
  reader_.begin(id_);
  writer_.begin(id_, head.length, !body);
}

Task<Result<void>> ClientStream::send_body(Piece piece) { return writer_.send(piece); }

Task<Result<void>> ClientStream::flush() {
  connection_.link_.produce();
  return Task<Result<void>>::settled(Result<void>());
}

Task<Result<void>> ClientStream::finish(const Fields& trailers) { return writer_.finish(trailers); }

// Interim responses do not end the wait.
void ClientStream::await_response(Duration limit) noexcept {
  if (head_seen_ || error_) return;
  awaits_since_ = loop_now();
  if (limit.count() > 0) {
    first_byte_.arm(limit);
  } else {
    first_byte_.disarm();
  }
}

void ClientStream::set_write_limit(Duration limit) noexcept {
  writer_.set_rules({limit}, Code::idle_timeout);
}

void ClientStream::late() noexcept {
  connection_.note_silence(awaits_since_);
  fail(Error(Code::first_byte_timeout, Side::upstream, "wait for the response ended"));
}

Task<Result<ResponseHead>> ClientStream::read_head(Arena&) {
  for (;;) {
    if (!interim_.empty()) {
      ResponseHead head = std::move(interim_.front());
      interim_.erase(interim_.begin());
      co_return head;
    }
    if (final_) co_return std::move(*final_);
    if (error_) co_return *error_;
    changed_.clear();
    auto code = co_await changed_.wait();
    if (code != Code::none) co_return Error(code, Side::upstream, "wait for the response ended");
  }
}

void ClientStream::on_fields_begin() {
  in_fields_ = true;
  section_->open(head_seen_ ? SectionKind::response_trailers : SectionKind::response);
}

void ClientStream::on_field(std::string_view name, std::string_view value) {
  section_->add(name, value);
}

void ClientStream::on_fields_end(bool last) {
  in_fields_ = false;
  response_started_ = true;
  if (error_) return;
  if (!head_seen_) return take_head(last);
  if (section_->error().code() != Code::none) return fail(section_->error());
  reader_.end(section_->take_trailers());
}

void ClientStream::take_head(bool last) {
  auto head = section_->take_response(method_, last);
  if (!head) return fail(head.error());
  if (is_interim(head->status)) {
    if (++interim_seen_ > limits::kInterimResponses)
      return fail(malformed("too many interim responses"));
    interim_.push_back(std::move(*head));
    return changed_.set();
  }
  head_seen_ = true;
  first_byte_.disarm();
  if (last) reader_.end();
  final_.emplace(std::move(*head));
  changed_.set();
}

void ClientStream::on_malformed(const char* why) { fail(malformed(why)); }

// REFUSED_STREAM says that nothing was done with the request (RFC 9113 section 8.7), and so does a
// GOAWAY for the streams behind its last one.
void ClientStream::on_closed(ErrorCode code) {
  closed_ = true;
  if (code == ErrorCode::refused_stream && !response_started_) {
    refused_ = request_started_ && !connection_.left_behind(id_);
    request_started_ = false;
  }
  fail(Error(Code::reset, Side::upstream, "the server reset the stream"));
}

// What has come whole is not undone by it, nor is what was sent whole: whoever sends may get to it
// only now, and the answer, or why there is none, is what counts.
void ClientStream::fail(const Error& error) noexcept {
  first_byte_.disarm();
  if (!head_seen_ && !error_) error_ = error;
  reader_.fail(error);
  if (!writer_.complete()) writer_.fail(error);
  changed_.set();
}

void ClientStream::reset(Code) noexcept {
  if (closed_ || id_ == 0) return;
  connection_.session_.reset(id_, ErrorCode::cancel);
  connection_.link_.produce();
}

}  // namespace revproxyd::http::h2

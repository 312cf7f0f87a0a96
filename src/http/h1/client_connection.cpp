#include "http/h1/client_connection.h"

#include "http/h1/serializer.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/http/hop_by_hop.h"
#include "revproxyd/http/status.h"

namespace revproxyd::http::h1 {

namespace {

// The status line has the request line's usual bound; the rest is the operator's.
HeadLimits head_limits(const ClientConnectionSettings& settings) noexcept {
  HeadLimits limits;
  limits.header_bytes = settings.response_header_bytes;
  limits.header_count = 1000;
  return limits;
}

}  // namespace

ClientConnection::ClientConnection(std::unique_ptr<net::Transport> transport,
                                   const ClientConnectionSettings& settings, Owner& owner)
    : transport_(std::move(transport)),
      owner_(owner),
      limits_(head_limits(settings)),
      writer_(*transport_, Side::upstream) {
  writer_.set_rules({{settings.write}, Code::idle_timeout});
}

ClientConnection::~ClientConnection() { transport_->readiness().watch(nullptr); }

std::unique_ptr<http::ClientStream> ClientConnection::open_stream() {
  transport_->readiness().watch(nullptr);
  ++served_;
  auto stream = std::make_unique<ClientStream>(*this);
  stream_ = stream.get();
  return stream;
}

bool ClientConnection::alive() noexcept {
  if (usable_ && has_input()) {
    char byte = 0;
    const net::IoResult result = transport_->try_read({&byte, 1});
    usable_ = result.status == net::IoStatus::want_read;
  }
  return usable_;
}

bool ClientConnection::has_input() noexcept {
  const auto& readiness = transport_->readiness();
  return readiness.readable || readiness.hangup || transport_->pending();
}

void ClientConnection::stream_ended(bool reusable) noexcept {
  stream_ = nullptr;
  usable_ = usable_ && reusable && in_.empty();
  in_.release();
  out_.release();
  transport_->readiness().read_deadline(Duration::zero(), Code::none);
  // The watcher is told of what is new; the end may have come already.
  if (usable_ && alive()) transport_->readiness().watch(this);
  owner_.on_stream_closed(*this);
}

ClientStream::ClientStream(ClientConnection& connection) noexcept
    : connection_(connection),
      scanner_(Kind::response, connection.limits_),
      message_(connection.out_, connection.writer_) {
  connection.writer_.restart();
}

ClientStream::~ClientStream() {
  if (reader_) reader_->release_view();
  const bool reusable = !reset_ && keep_alive_ && message_.complete() && reader_ && reader_->done();
  connection_.stream_ended(reusable);
}

void ClientStream::stage_head(const RequestHead& head, std::string_view target,
                              std::string_view host) {
  method_ = head.method;
  upgrade_ = head.upgrade;
  write_request(head, target, host, head.upgrade.empty() ? "" : "upgrade", connection_.out_);
  message_.begin(head.length);
}

Task<Result<void>> ClientStream::send_body(Piece piece) {
  if (!may_start()) return Task<Result<void>>::settled(left_early());
  return message_.send(piece);
}

Task<Result<void>> ClientStream::flush() {
  if (!may_start()) return Task<Result<void>>::settled(left_early());
  return message_.flush();
}

// Others had their turn since the connection was picked. What has not left is safe to send again.
bool ClientStream::may_start() noexcept {
  if (request_started_) return true;
  request_started_ = !reused() || connection_.alive();
  return request_started_;
}

Error ClientStream::left_early() noexcept {
  return Error(Code::reset, Side::upstream, "kept connection closed before the request was sent");
}

Task<Result<void>> ClientStream::finish(const Fields& trailers) {
  return message_.finish(trailers);
}

void ClientStream::await_response(Duration limit) noexcept {
  // Interim responses do not end the wait.
  if (reader_) return;
  connection_.transport_->readiness().read_deadline(limit, Code::first_byte_timeout);
}

// One frame for all of it: most of a request's time is spent waiting here.
Task<Result<ResponseHead>> ClientStream::read_head(Arena& arena) {
  Buffer& in = connection_.in_;
  scanner_.reset();
  for (;;) {
    auto size = scanner_.scan(in.held());
    if (!size) co_return head_error(size.error());
    if (*size != 0) co_return parse(*size, arena);
    if (in.empty() && !connection_.has_input()) {
      let_go_of_buffers();
      auto code = co_await connection_.transport_->readiness().wait(net::Want::read);
      if (code != Code::none) co_return Error(code, Side::upstream, "wait for the response ended");
    }
    in.reserve(in.empty() ? limits::kFirstRead : in.size());
    const net::IoResult result = connection_.transport_->try_read(in.room());
    if (result.status == net::IoStatus::failed) co_return result.error.at(Side::upstream);
    if (result.status == net::IoStatus::end) co_return closed_early();
    if (result.status == net::IoStatus::done) {
      response_started_ = true;
      in.commit(result.bytes);
      continue;
    }
    auto code = co_await connection_.transport_->readiness().wait_to_read(result.want());
    if (code != Code::none) co_return Error(code, Side::upstream, "wait for the response ended");
  }
}

// While an origin thinks, others use the memory: it stays in the processor's cache.
void ClientStream::let_go_of_buffers() noexcept {
  connection_.in_.release();
  if (message_.complete() && connection_.out_.empty()) connection_.out_.release();
}

Error ClientStream::head_error(const Error& error) const noexcept {
  if (error.code() == Code::header_too_large)
    return Error(Code::response_header_too_large, Side::upstream);
  return error.at(Side::upstream);
}

Error ClientStream::closed_early() const noexcept {
  return Error(Code::end_of_stream, Side::upstream,
               response_started_ ? "closed within the response head" : "closed before a response");
}

Result<ResponseHead> ClientStream::parse(std::size_t size, Arena& arena) {
  Buffer& in = connection_.in_;
  const Bytes block = arena.copy(in.held().substr(scanner_.skipped(), size - scanner_.skipped()));
  in.consume(size);
  auto head = parse_response(block, method_, arena, connection_.limits_);
  if (!head) return head.error().at(Side::upstream);
  if (head->status == 101 && !switches_as_offered(head->fields, upgrade_))
    return Error(Code::malformed_response, Side::upstream, "101 to what was not asked for");
  if (is_interim(head->status)) {
    if (++interim_ > limits::kInterimResponses)
      return Error(Code::malformed_response, Side::upstream, "too many interim responses");
    return head;
  }
  connection_.transport_->readiness().read_deadline(Duration::zero(), Code::none);
  keep_alive_ = head->keep_alive;
  reader_.emplace(*connection_.transport_, in, head->length, Kind::response, connection_.limits_);
  reader_->keep_trailers_in(&arena);
  // From here on what is sent is the tunnel's, without framing.
  if (head->length.framing == Framing::tunnel) message_.begin(head->length);
  return head;
}

void ClientStream::set_write_limit(Duration limit) noexcept {
  connection_.writer_.set_rules({{limit}, Code::idle_timeout});
}

void ClientStream::set_body_rules(const BodyRules& rules) noexcept {
  if (reader_) reader_->set_rules(rules);
}

void ClientStream::reset(Code) noexcept { reset_ = true; }

}  // namespace revproxyd::http::h1

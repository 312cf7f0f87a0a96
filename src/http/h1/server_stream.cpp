#include "http/h1/server_stream.h"

#include "http/h1/serializer.h"
#include "revproxyd/base/limits.h"

namespace revproxyd::http::h1 {

/// The request's body as the exchange sees it; the stream does the reading.
class RequestBody final : public Body, private PipeSource {
 public:
  explicit RequestBody(ServerStream& stream) noexcept : stream_(stream) {}
  Task<Result<Piece>> read() override { return stream_.read_body(); }
  void release() noexcept override { stream_.reader_->release(); }
  bool ready() const noexcept override {
    return !stream_.expects_continue_ && !stream_.upgrade_ && stream_.reader_->ready();
  }
  const Fields* trailers() const noexcept override { return stream_.reader_->trailers(); }
  PipeSource* pipe_source() noexcept override {
    const bool may = !stream_.expects_continue_ && !stream_.upgrade_;
    return may && stream_.reader_->pipe_source() != nullptr ? this : nullptr;
  }

 private:
  Task<Result<void>> receive_into(net::Pipe& pipe) override { return stream_.receive_body(pipe); }
  bool ended() const noexcept override { return stream_.reader_->done(); }

  ServerStream& stream_;
};

ServerStream::ServerStream(ServerConnection& connection)
    : connection_(connection),
      scope_(&connection.scope_),
      message_(connection.out_, connection.writer_) {
  connection.writer_.restart();
  connection.reset_write_rules();
}

ServerStream::~ServerStream() { connection_.stream_ended(*this); }

void ServerStream::accept(RequestHead&& head, std::size_t head_bytes) {
  head_bytes_ = head_bytes;
  version_ = head.version;
  head_request_ = head.method == Method::head;
  keep_alive_ = head.keep_alive;
  const bool has_body = head.length.framing != Framing::none;
  upgrade_ = !head.upgrade.empty() && head.length.empty() && head.version == Version::http11;
  expects_continue_ = head.expect_continue && has_body;
  if (has_body || upgrade_) {
    reader_ = std::make_unique<BodyReader>(*connection_.transport_, connection_.in_,
                                           upgrade_ ? BodyLength() : head.length, Kind::request,
                                           connection_.limits_);
    reader_->keep_trailers_in(&arena_);
  }
  head_.emplace(std::move(head));
  connection_.watch_client();
}

void ServerStream::refuse(Error error, Bytes line, std::optional<Version> version,
                          std::size_t head_bytes) {
  refusal_ = error;
  head_bytes_ = head_bytes;
  version_ = version.value_or(version_);
  RequestHead head(arena_);
  head.version = version_;
  head.version_known = version.has_value();
  head.method = Method::other;
  const std::size_t space = line.find(' ');
  head.method_text = line.substr(0, space);
  head_request_ = lookup_method(head.method_text) == Method::head;
  if (space != Bytes::npos)
    head.raw_target = line.substr(space + 1, line.find(' ', space + 1) - space - 1);
  head_.emplace(std::move(head));
}

Request ServerStream::take_request() {
  Request request(std::move(*head_));
  if (reader_ != nullptr) request.body = std::make_unique<RequestBody>(*this);
  return request;
}

void ServerStream::set_body_rules(const BodyRules& rules) noexcept {
  if (reader_ != nullptr) reader_->set_rules(rules);
}

void ServerStream::set_write_rules(Duration stall, std::uint64_t min_rate) noexcept {
  connection_.writer_.set_rules({{stall, min_rate}, Code::write_timeout});
}

Task<Result<Piece>> ServerStream::read_body() {
  if (upgrade_ && !tunnel_open_.is_set()) {
    auto code = co_await tunnel_open_.wait();
    if (code != Code::none) co_return Error(code, Side::downstream);
  }
  if (expects_continue_) {
    ResponseHead go_on(arena_);
    go_on.status = 100;
    auto sent = co_await send_interim(go_on);
    if (!sent) co_return sent.error();
  }
  auto piece = co_await reader_->read();
  body_moved(piece ? Code::none : piece.error().code());
  co_return std::move(piece);
}

Task<Result<void>> ServerStream::receive_body(net::Pipe& pipe) {
  auto received = co_await reader_->receive_into(pipe);
  body_moved(received ? Code::none : received.error().code());
  co_return received;
}

void ServerStream::body_moved(Code failure) noexcept {
  // Where the next request begins is not known any more; a reader that was only told to stop may go
  // on later, and so may one that has found the client slow beside its answer.
  const bool slow = failure == Code::body_timeout || failure == Code::body_too_slow;
  const bool goes_on =
      failure == Code::none || failure == Code::cancelled || (slow && message_.begun());
  if (!goes_on) keep_alive_ = false;
  if (goes_on && !upgrade_) connection_.watch_client();
}

// Never waits: what the kernel does not take now goes out in front of the final head.
Task<Result<void>> ServerStream::send_interim(const ResponseHead& head) {
  using Sent = Task<Result<void>>;
  if (message_.begun() || version_ == Version::http10) return Sent::settled(Result<void>());
  if (head.status == 100) {
    if (!expects_continue_) return Sent::settled(Result<void>());
    expects_continue_ = false;
  }
  ResponseOptions options;
  options.client_version = version_;
  write_response(head, options, connection_.out_);
  const iovec staged = net::piece_of(connection_.out_.held());
  const net::IoResult result = connection_.transport_->try_write({&staged, 1});
  if (result.status == net::IoStatus::failed)
    return Sent::settled(result.error.at(Side::downstream));
  if (result.status == net::IoStatus::done) connection_.out_.consume(result.bytes);
  return Sent::settled(Result<void>());
}

bool ServerStream::can_keep_alive() const noexcept {
  if (!keep_alive_ || refusal_ || connection_.closing_ || connection_.last_exchange()) return false;
  if (reader_ == nullptr || reader_->done() || upgrade_) return true;
  // What is left of the request must be read before the next one; not worth it when it is long or
  // may never come, and a promise that is not kept costs the client its next request (RFC 9112
  // section 9.6).
  return !expects_continue_ && reader_->ends_within(limits::kDrainBytes);
}

void ServerStream::stage_head(const ResponseHead& head) {
  ResponseOptions options;
  options.client_version = version_;
  options.keep_alive = can_keep_alive();
  options.head_request = head_request_;
  BodyLength wire = head.length;
  wire.framing = write_response(head, options, connection_.out_);
  keep_alive_ =
      options.keep_alive && wire.framing != Framing::until_close && wire.framing != Framing::tunnel;
  message_.begin(wire);
  if (wire.framing == Framing::tunnel && upgrade_) open_tunnel();
}

void ServerStream::open_tunnel() {
  connection_.transport_->readiness().watch(nullptr);
  connection_.in_.append(connection_.ahead_.held());
  connection_.ahead_.clear();
  // A tunnel may be silent, which the exchange limits; but who does not take what is sent is gone.
  reader_->set_rules(BodyRules());
  connection_.writer_.drop_min_rate();
  reader_->become_tunnel();
  tunnel_open_.set();
}

Task<Result<void>> ServerStream::send_body(Piece piece) { return message_.send(piece); }
Task<Result<void>> ServerStream::flush() { return message_.flush(); }
Task<Result<void>> ServerStream::finish(const Fields& trailers) {
  return message_.finish(trailers);
}

void ServerStream::reset(Code reason) noexcept {
  keep_alive_ = false;
  connection_.cut(reason);
  // An orderly end would make a body without a length look whole, and a tunnel; any other framing
  // shows that something is missing.
  const bool unmarked = message_.begun() && message_.ends_with_connection();
  if (unmarked || tunnel_open_.is_set()) connection_.failed_ = true;
  // What the kernel holds for a client that does not take it would stay there for minutes.
  const bool untaken = reason == Code::write_timeout || reason == Code::body_too_slow;
  if (unmarked || untaken) connection_.transport_->abort_on_close();
}

StreamBytes ServerStream::bytes() const noexcept {
  const std::uint64_t body_in = reader_ != nullptr ? reader_->received() : 0;
  return {head_bytes_ + body_in, connection_.writer_.sent(), body_in, message_.body_bytes()};
}

}  // namespace revproxyd::http::h1

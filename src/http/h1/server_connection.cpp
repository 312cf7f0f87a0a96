#include "http/h1/server_connection.h"

#include "http/h1/server_stream.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/base/ready_queue.h"

namespace revproxyd::http::h1 {

namespace {

// Failures to read a head that still deserve an answer.
bool wants_answer(Code code) noexcept {
  switch (code) {
    case Code::malformed_request:
    case Code::unsupported_version:
    case Code::expectation_failed:
    case Code::request_line_too_long:
    case Code::header_too_large:
    case Code::too_many_fields:
    case Code::header_timeout: return true;
    default: return false;
  }
}

Bytes first_line(Bytes head) noexcept { return head.substr(0, head.find_first_of("\r\n")); }

HeadLimits head_limits(const ServerConnectionSettings& settings) noexcept {
  return {settings.request_line, settings.header_bytes, settings.header_count};
}

}  // namespace

ServerConnection::ServerConnection(std::unique_ptr<net::Transport> transport,
                                   const ServerConnectionSettings& settings, CancelScope& scope,
                                   Buffer received)
    : transport_(std::move(transport)),
      scope_(scope),
      idle_scope_(&scope),
      settings_(settings),
      limits_(head_limits(settings)),
      scanner_(Kind::request, limits_),
      writer_(*transport_, Side::downstream),
      in_(std::move(received)),
      served_(settings.served) {
  reset_write_rules();
}

ServerConnection::~ServerConnection() = default;

Task<Next> ServerConnection::next_stream() {
  while (stream_ != nullptr) {
    auto code = co_await stream_gone_.wait();
    if (code != Code::none) co_return Next::failure(Error(code));
  }
  stream_gone_.clear();
  if (failure_ != Code::none) co_return Next::failure(Error(failure_, Side::downstream));
  if (closing_ || (draining_ && served_ > 0 && !request_waits())) co_return Next::drained();
  if (unread_ != nullptr) {
    auto discarded = co_await discard_unread();
    if (!discarded) co_return Next::drained();
  }
  if (in_.empty()) std::swap(in_, ahead_);
  in_.append(ahead_.held());
  ahead_.clear();
  // Whoever pipelines has the next request at hand without a wait: the turn ends here.
  auto turn = co_await Fair{};
  if (turn != Code::none) co_return Next::failure(Error(turn));
  if (in_.empty() || served_ != 0) begin_idle();
  scanner_.reset();
  // What a TLS transport holds already is announced by no event.
  for (bool waits = in_.empty() && !transport_->pending();; waits = true) {
    if (waits) {
      if (draining_ && served_ != 0 && !request_waits()) co_return no_request(Code::shutdown);
      if (served_ != 0) enter(settings_.idle);
      auto code = co_await transport_->readiness().wait(net::Want::read, idle_scope_);
      leave();
      if (code != Code::none) co_return no_request(code);
    }
    auto size = co_await receive_head();
    if (size && *size == 0) continue;
    transport_->readiness().read_deadline(Duration::zero(), Code::none);
    if (!size) co_return no_head(size.error());
    co_await InStep{};
    co_return admit_stream(*size);
  }
}

// The rest of a request that was answered before it had ended. The client was told that it may send
// another one behind it, and has the time for that which any idle client has.
Task<Result<void>> ServerConnection::discard_unread() {
  CancelScope patience(&idle_scope_);
  Deadline deadline(patience);
  deadline.set(draining_ ? Duration(limits::kDrainTime) : settings_.keepalive,
               Code::keepalive_timeout);
  std::size_t dropped = 0;
  while (!unread_->done()) {
    auto reading = unread_->read();
    auto scoped = std::move(reading).under(patience);
    auto piece = co_await std::move(scoped);
    if (!piece) co_return piece.error();
    dropped += piece->bytes.size();
    if (dropped > limits::kDrainBytes)
      co_return Error(Code::body_too_large, Side::downstream, "too much left of the request");
  }
  unread_->release_view();
  unread_.reset();
  linger_ = false;
  co_return {};
}

// Behind a rest the time of before runs on: what wakes it need be no request. If it ran out as that
// came, what is here is read and nothing else is waited for.
void ServerConnection::begin_idle() noexcept {
  auto& readiness = transport_->readiness();
  const bool first = served_ == 0;
  const bool rested = !first && served_ == settings_.served;
  if (!rested || readiness.read_expired() != Code::none) {
    const Duration patience = rested      ? Duration(1)
                              : draining_ ? limits::kDrainTime
                              : first     ? settings_.header
                                          : settings_.keepalive;
    readiness.read_deadline(patience, first ? Code::header_timeout : Code::keepalive_timeout);
  }
  if (in_.empty()) release_buffers();
}

// Idle between requests: no buffer is held.
void ServerConnection::release_buffers() noexcept {
  const auto& readiness = transport_->readiness();
  if (readiness.readable || readiness.hangup || transport_->pending()) return;
  in_.release();
  ahead_.release();
  out_.release();
}

void ServerConnection::on_long_idle() noexcept {
  resting_ = true;
  idle_scope_.cancel(Code::cancelled);
}

Next ServerConnection::no_request(Code code) noexcept {
  closing_ = true;
  const bool asked = resting_ && code == Code::cancelled;
  if (asked && !draining_ && !scope_.cancelled()) return Next::pause();
  if (asked || code == Code::shutdown || code == Code::keepalive_timeout ||
      code == Code::header_timeout)
    return Next::drained();
  return Next::failure(Error(code, Side::downstream, "wait for a request ended"));
}

Next ServerConnection::no_head(const Error& error) {
  closing_ = true;
  if (wants_answer(error.code()) && !in_.empty()) return refuse_stream(error);
  failed_ = error.code() != Code::header_timeout;
  // So clients leave that have what they wanted.
  if (error.code() == Code::end_of_stream && (in_.empty() || drop_empty_lines()))
    return Next::drained();
  return Next::failure(error);
}

// Settled for a head that came whole, which is nearly every one.
Task<Result<std::size_t>> ServerConnection::receive_head() {
  net::Want want = net::Want::read;
  auto head = take_head(want);
  if (!head && (drop_empty_lines() || woken_for_nothing(want))) head = std::size_t{0};
  return head ? Task<Result<std::size_t>>::settled(*head) : await_head(want);
}

// Old clients end a body with one (RFC 9112 section 2.2): it begins no request.
bool ServerConnection::drop_empty_lines() noexcept {
  if (served_ == 0 || in_.empty() || !scanner_.leave_out(in_.size())) return false;
  in_.clear();
  linger_ = false;
  release_buffers();
  return true;
}

// A read that filled its room leaves `readable` set though it took everything, and what TLS has for
// itself wakes as well: the client is idle still, without a head's clock.
bool ServerConnection::woken_for_nothing(net::Want want) noexcept {
  if (served_ == 0 || !in_.empty() || want != net::Want::read) return false;
  release_buffers();
  return true;
}

// The clock for a head runs from its first byte. On a new connection it runs from the start:
// already, if it is not begin_idle() that has set it but whoever found out what is spoken.
Task<Result<std::size_t>> ServerConnection::await_head(net::Want want) {
  if (served_ != 0) transport_->readiness().read_deadline(settings_.header, Code::header_timeout);
  for (;;) {
    auto code = co_await transport_->readiness().wait_to_read(want);
    if (code != Code::none) co_return Error(code, Side::downstream, "wait for the head ended");
    auto head = take_head(want);
    if (head) co_return *head;
  }
}

std::optional<Result<std::size_t>> ServerConnection::take_head(net::Want& want) {
  for (;;) {
    auto size = scanner_.scan(in_.held());
    if (!size) return size.error().at(Side::downstream);
    if (*size != 0) return size;
    in_.reserve(in_.empty() ? limits::kFirstRead : in_.size());
    const net::IoResult result = transport_->try_read(in_.room());
    if (result.status == net::IoStatus::failed) return result.error.at(Side::downstream);
    if (result.status == net::IoStatus::end)
      return Error(Code::end_of_stream, Side::downstream, "closed before a request");
    if (result.status != net::IoStatus::done) {
      want = result.want();
      return std::nullopt;
    }
    in_.commit(result.bytes);
  }
}

Next ServerConnection::admit_stream(std::size_t head_size) {
  ++served_;
  auto stream = std::make_unique<ServerStream>(*this);
  const std::size_t skipped = scanner_.skipped();
  const Bytes block = stream->arena().copy(in_.held().substr(skipped, head_size - skipped));
  in_.consume(head_size);
  if (in_.empty()) in_.release();
  auto head = parse_request(block, stream->arena(), limits_);
  stream_ = stream.get();
  if (head) {
    stream->accept(std::move(*head), head_size);
  } else {
    closing_ = true;
    const Bytes line = first_line(block);
    stream->refuse(head.error().at(Side::downstream), line, version_of(line), head_size);
  }
  return Next::of(std::move(stream));
}

Next ServerConnection::refuse_stream(Error error) {
  ++served_;
  auto stream = std::make_unique<ServerStream>(*this);
  stream_ = stream.get();
  // Enough of the line to find the culprit in the log; the rest may be of any size.
  const Bytes line = first_line(in_.held().substr(scanner_.skipped()));
  const Bytes kept = stream->arena().copy(line.substr(0, 256));
  stream->refuse(error, kept, version_of(line), in_.size());
  return Next::of(std::move(stream));
}

bool ServerConnection::request_waits() noexcept {
  return !in_.empty() || !ahead_.empty() || transport_->readiness().readable ||
         transport_->pending();
}

void ServerConnection::watch_client() noexcept {
  auto& readiness = transport_->readiness();
  readiness.watch(this);
  if (readiness.readable || readiness.hangup || transport_->pending()) on_input();
}

// While the backend works: pipelined requests are kept up to a limit, and the end of the stream
// ends the exchange.
void ServerConnection::on_input() noexcept {
  // With its answer on the way a client may leave in order: the next read will meet what has come.
  if (stream_ == nullptr || stream_->answered()) return;
  if (stream_->awaits_body()) return leave_if_cut_short();
  auto& readiness = transport_->readiness();
  while (in_.size() + ahead_.size() < settings_.header_bytes) {
    ahead_.reserve(limits::kFirstRead);
    const net::IoResult result = transport_->try_read(ahead_.room());
    if (result.status == net::IoStatus::done) {
      ahead_.commit(result.bytes);
      continue;
    }
    if (result.status == net::IoStatus::end || result.status == net::IoStatus::failed)
      client_left();
    return;
  }
  if (readiness.hangup) client_left();
}

// Nobody reads the body while the backend takes none of it. A reset is the end of any upload; an
// orderly end that came before as much as was announced cannot be that of one that is whole.
void ServerConnection::leave_if_cut_short() noexcept {
  if (!transport_->readiness().hangup) return;
  if (net::is_gone(*transport_)) return client_left();
  const auto left = stream_->reader_->left();
  const auto unread = net::most_unread(*transport_);
  if (left && unread && *left > stream_->reader_->waiting() + *unread) client_left();
}

void ServerConnection::client_left() noexcept {
  transport_->readiness().watch(nullptr);
  cut(Code::client_gone);
  stream_->scope_.cancel(Code::client_gone);
}

// What the server or the proxy has broken off would end a stream over HTTP/2, not the connection:
// it stands with the exchange alone, and the answers before it are to arrive.
void ServerConnection::cut(Code reason) noexcept {
  closing_ = true;
  const bool by_client = reason == Code::client_gone || reason == Code::write_timeout;
  if (by_client || reason == Code::body_too_slow) failed_ = true;
  if (by_client && failure_ == Code::none) failure_ = reason;
}

void ServerConnection::stream_ended(ServerStream& stream) noexcept {
  transport_->readiness().watch(nullptr);
  stream_ = nullptr;
  if (!stream.message_.complete() || !stream.keep_alive_) closing_ = true;
  if (stream.reader_ != nullptr) {
    stream.reader_->release_view();
    if (!stream.reader_->done()) {
      stream.reader_->keep_trailers_in(nullptr);
      stream.reader_->set_rules(BodyRules());  // from here on it has the time of an idle client
      unread_ = std::move(stream.reader_);
    }
  }
  linger_ = stream.refusal_.has_value() || unread_ != nullptr || !in_.empty() || !ahead_.empty();
  stream_gone_.set();
}

void ServerConnection::drain() noexcept {
  draining_ = true;
  if (stream_ != nullptr) return;
  if (unread_ != nullptr) return idle_scope_.cancel(Code::shutdown);
  if (!in_.empty()) return;
  if (served_ > 0) {
    if (!request_waits()) idle_scope_.cancel(Code::shutdown);
    return;
  }
  // Its first request is on its way: whoever connected before the listener closed is served.
  transport_->readiness().read_deadline(limits::kDrainTime, Code::header_timeout);
}

Task<void> ServerConnection::finish() {
  if (failed_) co_return;
  unread_.reset();
  for (Buffer* buffer : {&in_, &ahead_, &out_}) buffer->release();
  Leftover leftover = writer_.leftover(settings_.served == 0 && served_ <= 1);
  leftover.rules.stall = closing_stall(leftover.rules.stall, settings_.write);
  auto parting = part_from_client(*transport_, leftover, linger_);
  auto scoped = std::move(parting).under(scope_);
  co_await std::move(scoped);
}

}  // namespace revproxyd::http::h1

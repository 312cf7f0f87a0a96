#include "http/h1/body_reader.h"

#include <algorithm>

#include "revproxyd/base/limits.h"

namespace revproxyd::http::h1 {

namespace {

Side side_of(Kind kind) noexcept {
  return kind == Kind::request ? Side::downstream : Side::upstream;
}

}  // namespace

BodyReader::BodyReader(net::Transport& transport, Buffer& input, BodyLength length, Kind kind,
                       const HeadLimits& limits)
    : transport_(transport),
      input_(input),
      length_(length),
      kind_(kind),
      done_(length.framing == Framing::none ||
            (length.framing == Framing::length && length.bytes == 0)) {
  if (length.framing == Framing::chunked) decoder_.emplace(kind, limits);
}

// What is here already needs no coroutine.
Task<Result<Piece>> BodyReader::read() {
  release_view();
  if (done_) return Task<Result<Piece>>::settled(Piece({}, true));
  if (input_.empty() || !ReadyQueue::current().spend()) return read_more();
  auto taken = take();
  if (!taken) return Task<Result<Piece>>::settled(taken.error());
  if (taken->has_value()) return Task<Result<Piece>>::settled(count(**taken));
  return read_more();
}

Task<Result<Piece>> BodyReader::read_more() {
  auto fair = co_await Fair{};
  if (fair != Code::none) co_return Error(fair, side_of(kind_));
  for (;;) {
    auto taken = take();
    if (!taken) co_return taken.error();
    if (taken->has_value()) co_return count(**taken);
    auto got = co_await fill();
    if (!got) co_return got.error().at(side_of(kind_));
    if (*got == 0) co_return at_end();
  }
}

bool BodyReader::ready() const noexcept {
  if (done_) return true;
  const Bytes rest = input_.held().substr(viewed_);
  if (rest.empty() || length_.framing != Framing::chunked || decoder_->in_data())
    return !rest.empty();
  // Framing alone is nothing to send: a size line with a byte behind it, or the whole of the end.
  if (rest.front() == '0') return rest.find("\r\n\r\n") != Bytes::npos;
  const std::size_t line = rest.find("\r\n");
  return line != Bytes::npos && rest.size() > line + 2;
}

std::optional<std::uint64_t> BodyReader::left() const noexcept {
  if (done_) return 0;
  if (length_.framing == Framing::length) return length_.bytes;
  return std::nullopt;
}

bool BodyReader::ends_within(std::size_t bytes) const {
  if (const auto known = left()) return *known <= bytes;
  return decoder_ && decoder_->ends_within(input_.held().substr(viewed_, bytes));
}

Result<std::optional<Piece>> BodyReader::take() {
  switch (length_.framing) {
    case Framing::none: done_ = true; return std::optional<Piece>(Piece({}, true));
    case Framing::length: return take_length();
    case Framing::chunked: return take_chunked();
    case Framing::until_close:
    case Framing::tunnel: return take_rest();
  }
  return Error(Code::internal, "unknown framing");
}

Result<std::optional<Piece>> BodyReader::take_length() {
  if (input_.empty()) return std::optional<Piece>();
  const std::size_t size =
      static_cast<std::size_t>(std::min<std::uint64_t>(length_.bytes, input_.size()));
  length_.bytes -= size;
  viewed_ = size;
  done_ = length_.bytes == 0;
  return std::optional<Piece>(Piece(input_.held().substr(0, size), done_));
}

Result<std::optional<Piece>> BodyReader::take_rest() {
  if (input_.empty()) return std::optional<Piece>();
  viewed_ = input_.size();
  return std::optional<Piece>(Piece(input_.held(), false));
}

// The decoder takes what frames a run together with it, so a last chunk that has already come makes
// its piece the last one.
Result<std::optional<Piece>> BodyReader::take_chunked() {
  while (!input_.empty()) {
    auto step = decoder_->step(input_.held());
    if (!step) return step.error();
    if (step->data.empty() && !decoder_->done()) {
      input_.consume(step->consumed);
      continue;
    }
    viewed_ = step->consumed;
    if (decoder_->done()) {
      if (auto ended = end_chunked(); !ended) return ended.error();
    }
    return std::optional<Piece>(Piece(step->data, done_));
  }
  return std::optional<Piece>();
}

Result<void> BodyReader::end_chunked() {
  if (arena_ != nullptr) {
    trailers_.emplace(*arena_);
    if (auto taken = decoder_->take_trailers(*trailers_); !taken) return taken.error();
    if (trailers_->empty()) trailers_.reset();
  }
  // Only now: a message whose trailers are refused has not ended well.
  done_ = true;
  return {};
}

Result<Piece> BodyReader::count(Piece piece) {
  received_ += piece.bytes.size();
  if (rules_.max_bytes != 0 && received_ > rules_.max_bytes) {
    return Error(Code::body_too_large, side_of(kind_), "body exceeds max_body");
  }
  return piece;
}

Result<Piece> BodyReader::at_end() {
  if (length_.framing == Framing::until_close || length_.framing == Framing::tunnel) {
    done_ = true;
    return Piece({}, true);
  }
  if (kind_ == Kind::request)
    return Error(Code::client_gone, Side::downstream, "client closed within the body");
  return Error(Code::end_of_stream, Side::upstream, "closed within the body");
}

std::size_t BodyReader::next_read_size() noexcept {
  std::uint64_t size = received_ < limits::kStreamRead ? limits::kGather : limits::kStreamRead;
  if (length_.framing == Framing::length) size = length_.bytes;
  const bool large = size > limits::kGather && large_.allowed();
  const std::uint64_t most = large ? limits::kStreamRead : limits::kGather;
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(size, 1024, most));
}

Task<Result<std::size_t>> BodyReader::fill() {
  input_.reserve(next_read_size());
  for (;;) {
    const net::IoResult result = transport_.try_read(input_.room());
    if (result.status == net::IoStatus::done) {
      input_.commit(result.bytes);
      co_return result.bytes;
    }
    if (result.status == net::IoStatus::end) co_return std::size_t{0};
    if (result.status == net::IoStatus::failed) co_return result.error;
    auto waited = co_await wait(result.want());
    if (!waited) co_return waited.error();
  }
}

Task<Result<void>> BodyReader::wait(net::Want want) {
  auto& readiness = transport_.readiness();
  const TimePoint begun = loop_now();
  readiness.read_deadline(rules_.stall, rules_.stall_code);
  auto code = co_await readiness.wait_to_read(want);
  readiness.read_deadline(Duration::zero(), Code::none);
  if (code != Code::none) co_return Error(code, side_of(kind_), "wait for the body ended");
  rate_.waited(since(begun));
  if (rate_.too_slow(received_, rules_.min_rate))
    co_return Error(Code::body_too_slow, side_of(kind_), "body comes slower than min_rate");
  co_return {};
}

// What frames a body is read here, so only one with a length can pass by; and a pipe is not worth
// its system calls for a short one.
PipeSource* BodyReader::pipe_source() noexcept {
  const bool bare = length_.framing == Framing::length && input_.size() == viewed_;
  const bool fits = rules_.max_bytes == 0 || received_ + length_.bytes <= rules_.max_bytes;
  return bare && fits && length_.bytes >= limits::kSpliceFrom && transport_.splices() ? this
                                                                                      : nullptr;
}

Task<Result<void>> BodyReader::receive_into(net::Pipe& pipe) {
  release_view();
  auto fair = co_await Fair{};
  if (fair != Code::none) co_return Error(fair, side_of(kind_));
  for (;;) {
    const net::IoResult result = transport_.try_read_into(pipe, length_.bytes);
    if (result.status == net::IoStatus::done) {
      received_ += result.bytes;
      length_.bytes -= result.bytes;
      done_ = length_.bytes == 0;
      co_return {};
    }
    if (result.status == net::IoStatus::end) co_return at_end().error();
    if (result.status == net::IoStatus::failed) co_return result.error.at(side_of(kind_));
    auto waited = co_await wait(result.want());
    if (!waited) co_return waited.error();
  }
}

}  // namespace revproxyd::http::h1

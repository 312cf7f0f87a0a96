#include "http/h1/message_writer.h"

#include "http/h1/serializer.h"
#include "revproxyd/base/limits.h"

namespace revproxyd::http::h1 {

namespace {

// Pieces up to this size are copied behind what is staged rather than written on their own.
constexpr std::size_t kSmallPiece = 2048;

}  // namespace

void MessageWriter::begin(BodyLength length) noexcept {
  length_ = length;
  sent_ = 0;
  begun_ = true;
  complete_ = false;
}

Task<Result<void>> MessageWriter::send(Piece piece) {
  using Sent = Task<Result<void>>;
  if (length_.framing == Framing::none) piece.bytes = {};
  if (auto counted = count(piece.bytes.size(), piece.last); !counted) return Sent::settled(counted);
  if (stage(piece)) return Sent::settled(Result<void>());
  const bool chunked = length_.framing == Framing::chunked;
  Bytes tail;
  if (chunked && !piece.bytes.empty()) {
    write_chunk_size(piece.bytes.size(), out_);
    tail = piece.last ? Bytes("\r\n0\r\n\r\n") : Bytes("\r\n");
  } else if (chunked && piece.last) {
    tail = "0\r\n\r\n";
  }
  Pieces pieces{net::piece_of(out_.held()), net::piece_of(piece.bytes), net::piece_of(tail)};
  auto left = writer_.write_now(pieces);
  if (!left) return Sent::settled(left.error());
  if (!left->empty())
    return send_rest(pieces, static_cast<std::size_t>(left->data() - pieces.data()), piece.last);
  sent_whole(piece.last);
  return Sent::settled(Result<void>());
}

Task<Result<void>> MessageWriter::send_rest(Pieces pieces, std::size_t first, bool last) {
  auto written = co_await writer_.write(std::span<iovec>(pieces).subspan(first));
  if (!written) co_return written.error();
  sent_whole(last);
  co_return {};
}

void MessageWriter::sent_whole(bool last) noexcept {
  out_.clear();
  complete_ = last;
}

// A message must be as long as its head said, or its reader takes the next one for a part of it.
Result<void> MessageWriter::count(std::size_t bytes, bool last) noexcept {
  sent_ += bytes;
  if (length_.framing != Framing::length) return {};
  if (sent_ > length_.bytes) return Error(Code::internal, "body longer than announced");
  if (last && sent_ < length_.bytes) return Error(Code::internal, "body shorter than announced");
  return {};
}

bool MessageWriter::stage(const Piece& piece) {
  if (piece.last || piece.bytes.size() > kSmallPiece ||
      out_.size() + piece.bytes.size() > limits::kGather)
    return false;
  if (piece.bytes.empty()) return true;
  const bool chunked = length_.framing == Framing::chunked;
  if (chunked) write_chunk_size(piece.bytes.size(), out_);
  out_.append(piece.bytes);
  if (chunked) out_.append("\r\n");
  return true;
}

Task<Result<void>> MessageWriter::flush() {
  return out_.empty() ? Task<Result<void>>::settled(Result<void>()) : write_staged();
}

Task<Result<void>> MessageWriter::write_staged() {
  iovec staged = net::piece_of(out_.held());
  std::span<iovec> all(&staged, 1);
  auto written = co_await writer_.write(all);
  if (!written) co_return written.error();
  out_.clear();
  co_return {};
}

Task<Result<void>> MessageWriter::send_from(net::Pipe& pipe, bool last) {
  if (auto counted = count(pipe.size(), last); !counted) co_return counted.error();
  auto written = co_await writer_.write_from(pipe);
  if (!written) co_return written.error();
  complete_ = last;
  co_return {};
}

Task<Result<void>> MessageWriter::finish(const Fields& trailers) {
  if (length_.framing == Framing::length && sent_ < length_.bytes) {
    co_return Error(Code::internal, "body shorter than announced");
  }
  if (length_.framing == Framing::chunked) write_last_chunk(&trailers, out_);
  auto flushed = co_await flush();
  if (!flushed) co_return flushed.error();
  complete_ = true;
  co_return {};
}

}  // namespace revproxyd::http::h1

#include "http/h1/message_writer.h"

#include <array>

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
  if (length_.framing == Framing::none) piece.bytes = {};
  if (auto counted = count(piece); !counted) co_return counted.error();
  if (stage(piece)) co_return {};
  const bool chunked = length_.framing == Framing::chunked;
  Bytes tail;
  if (chunked && !piece.bytes.empty()) {
    write_chunk_size(piece.bytes.size(), out_);
    tail = piece.last ? Bytes("\r\n0\r\n\r\n") : Bytes("\r\n");
  } else if (chunked && piece.last) {
    tail = "0\r\n\r\n";
  }
  std::array<iovec, 3> pieces{net::piece_of(out_.held()), net::piece_of(piece.bytes), net::piece_of(tail)};
  std::span<iovec> all(pieces);
  auto left = writer_.write_now(all);
  if (!left) co_return left.error();
  if (!left->empty()) {
    auto written = co_await writer_.write(*left);
    if (!written) co_return written.error();
  }
  out_.clear();
  complete_ = piece.last;
  co_return {};
}

// A message must be as long as its head said, or its reader takes the next one for a part of it.
Result<void> MessageWriter::count(const Piece& piece) noexcept {
  sent_ += piece.bytes.size();
  if (length_.framing != Framing::length) return {};
  if (sent_ > length_.bytes) return Error(Code::internal, "body longer than announced");
  if (piece.last && sent_ < length_.bytes) return Error(Code::internal, "body shorter than announced");
  return {};
}

bool MessageWriter::stage(const Piece& piece) {
  if (piece.last || piece.bytes.size() > kSmallPiece || out_.size() + piece.bytes.size() > limits::kGather) return false;
  if (piece.bytes.empty()) return true;
  const bool chunked = length_.framing == Framing::chunked;
  if (chunked) write_chunk_size(piece.bytes.size(), out_);
  out_.append(piece.bytes);
  if (chunked) out_.append("\r\n");
  return true;
}

Task<Result<void>> MessageWriter::flush() {
  if (out_.empty()) co_return {};
  iovec staged = net::piece_of(out_.held());
  std::span<iovec> all(&staged, 1);
  auto written = co_await writer_.write(all);
  if (!written) co_return written.error();
  out_.clear();
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
